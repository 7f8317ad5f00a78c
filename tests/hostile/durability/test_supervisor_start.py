"""The first start of a supervisor, at each durable call: root and uids are whole or not there, and the next works."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.hostile.durability.points import Held, Injection, Lines, hits, injections, place
from tests.support.durability_strace import CALLS, Call, Fault, parse
from tests.support.durability_sync import judge
from tests.support.stages import NODE_STATE
from waykeep.demo.stage import Stage
from waykeep.errors import SupervisorError

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing")]


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="waykeep-start-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


def first_start(stage: Stage, fault: Fault | None = None) -> list[Call]:
    """Start a supervisor under a tracer and end it, if it did not end by itself; its calls."""
    output = stage.folder / "temporary.trace"
    inject = ("-e", fault.option) if fault else ()
    # Not what it forks: the preloaded parent tries its own work once, in a folder that lasts no longer than that.
    command = ("strace", "-yy", "-s", "0", "-o", str(output), "-e", f"trace={','.join(CALLS)}", *inject)
    traced = Stage(stage.folder, wrap_supervisor=command)
    try:
        traced.start_supervisor()
    except SupervisorError as error:
        assert error.rule == "start-failed"
    finally:
        traced.stop()
    text = output.read_text()
    output.unlink()
    return parse("".join(f"1 {line}" for line in text.splitlines(keepends=True)))


def test_a_first_start_is_synced() -> None:
    with folder() as home:
        calls = first_start(Stage(home))
        found = judge(calls, lambda path: "/state/" in path and bool(place(path, home)))
    assert found.unsynced == ()
    assert {Path(name).name for name in found.names} >= {"insecure-root", "node-key", "uids"}


@pytest.mark.soak
@pytest.mark.timeout(600)
def test_a_first_start_that_fails_or_is_killed(lines: Lines) -> None:
    with folder() as home:
        points = [
            injection
            for injection in injections(first_start(Stage(home)), "supervisor", "start", home)
            if injection.point.place in ("insecure-root", "node-key", "uids", "state")
            and not isinstance(injection.fault, Held)
        ]
    assert points
    for injection in points:
        _start_after(injection, lines)


def _start_after(injection: Injection, lines: Lines) -> None:
    with folder() as home:
        stage = Stage(home)
        struck = hits(first_start(stage, injection.fault), injection, home)
        assert injection.point in struck, injection
        root = stage.root if (home / "state" / "insecure-root.pub").exists() else ""
        with stage:
            assert root in ("", stage.root), "a root that somebody may trust is another now"
        left = {path.name for path in stage.state.iterdir()} - NODE_STATE
        line = lines["supervisor", injection.point.call, injection.point.place]
        line.hit[injection.kind] += 1
        line.staging += len(left)
        assert left == set()
