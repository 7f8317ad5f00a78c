"""A crash of the machine keeps what was synced and no more, so the order of calls is judged from traces.

Of each process, through a whole life of an owner: whatever it changed is synced, and so is the folder that names it,
before it answers anybody. A sync that is left out on purpose turns the same judgement red.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

import waykeep
from tests.hostile.durability.points import place
from tests.support.durability_life import VERBS, Commands, Life, Recordings
from tests.support.durability_strace import Call, attached, parse
from tests.support.durability_sync import Judged, Unsynced, judge
from tests.support.stages import Watched, running

pytestmark = pytest.mark.root

# The user cloud runs before anything is uploaded, so that a tracer can be attached to it.
STEPS = (*VERBS[: VERBS.index("upload")], "status", *VERBS[VERBS.index("upload") :])
FIRST_RUN = STEPS[: STEPS.index("upload") + 1]
_LINKED = "            new = self._link(directory, path, data)\n"
PLANTED = (
    pytest.param("vault/store.py", "", "            os.fsync(staging)\n", "cloud", "bytes", {"journal"}, id="file"),
    pytest.param(
        *("vault/store.py", _LINKED, "            os.fsync(directory)\n", "cloud", "names in", {"journal"}), id="folder"
    ),
    pytest.param(
        *("device/files.py", "", "                os.fsync(file.fileno())\n", "device", "bytes", {"outbox", "heads"}),
        id="device",
    ),
)
"""Module, what stands before the line that is left out, that line, who is then found to answer too early, and what was
not synced by then.
"""


def traced(life: Life, stage: Watched, folder: Path, steps: tuple[str, ...] = STEPS) -> dict[str, list[Call]]:
    """Calls of each process while an owner lives through these steps."""
    found: dict[str, list[Call]] = {"device": [], "host": [], "supervisor": [], "cloud": []}
    for step in steps:
        pids = {"device": life.start(step, held=True), "host": stage.host_pid, "supervisor": stage.supervisor_pid}
        if "status" in life.acknowledged:
            pids["cloud"] = stage.cloud(life.owner).pid
        with ExitStack() as tracers:
            traces = {n: tracers.enter_context(attached(pid, folder / f"{n}.trace")) for n, pid in pids.items()}
            life.go()
            assert life.end(step), life.said
        for name, trace in traces.items():
            # Lines of several traces follow each other, as judged they are one.
            start = 1 + max((call.ended for call in found[name]), default=0)
            found[name] += [_moved(call, start) for call in trace.calls()]
    return found


def _moved(call: Call, by: int) -> Call:
    return replace(call, began=call.began + by, ended=call.ended + by)


def judged(calls: list[Call], stage: Watched) -> Judged:
    return judge(calls, lambda path: bool(place(path, stage.folder)))


def named_unsynced(calls: list[Call], stage: Watched | None = None) -> list[str]:
    """Names that were given to bytes which were not synced by then: after a crash they could name half of them."""
    events = sorted([(c.began, 0, c) for c in calls] + [(c.ended, 1, c) for c in calls], key=lambda event: event[:2])
    dirty, found = set[str](), list[str]()
    for _, ended, call in events:
        if call.verb in ("write", "truncate") and not ended and (stage is None or place(call.path, stage.folder)):
            dirty.add(call.path)
        elif call.verb == "fsync" and ended and not call.error:
            dirty.discard(call.path)
        elif call.verb in ("link", "rename") and not ended and not call.error and call.source in dirty:
            found.append(call.path)
            dirty.discard(call.source)
    return found


def rooms(paths: tuple[str, ...], stage: Watched) -> set[str]:
    return {place(path, stage.folder) for path in paths}


def test_everything_is_synced_before_anybody_is_told(
    stage: Watched, commands: Commands, recordings: Recordings, tmp_path: Path
) -> None:
    life = Life(stage, commands, recordings, 1000, "traced")
    traces = traced(life, stage, tmp_path)
    found = {name: judged(calls, stage) for name, calls in traces.items()}
    assert {name: named_unsynced(calls, stage) for name, calls in traces.items()} == {name: [] for name in traces}
    assert {name: judgement.unsynced for name, judgement in found.items()} == dict.fromkeys(found, ())
    assert rooms(found["device"].names, stage) >= {"keystore", "profile", "heads", "outbox", "log"}
    assert rooms(found["host"].names, stage) >= {"bundles", "owner-log", "epochs", "access", "keys", "segments"}
    assert rooms(found["cloud"].names, stage) == {"segments", "journal"}
    life.finish()


@contextmanager
def without(module: str, before: str, line: str) -> Iterator[Path]:
    """A folder with a copy of the package that lacks one line."""
    with tempfile.TemporaryDirectory(prefix="waykeep-source-") as name:
        package = Path(name) / "waykeep"
        shutil.copytree(Path(waykeep.__file__).parent, package, ignore=shutil.ignore_patterns("__pycache__"))
        changed = package / module
        text = changed.read_text()
        assert text.count(before + line) == 1, f"{module} has not the line {line.strip()} once"
        changed.write_text(text.replace(before + line, before))
        yield Path(name)


@pytest.mark.usefixtures("tracing")
@pytest.mark.parametrize(("module", "before", "line", "who", "what", "where"), PLANTED)
def test_a_sync_that_is_left_out_is_found(
    module: str, before: str, line: str, who: str, what: str, where: set[str], recordings: Recordings, tmp_path: Path
) -> None:
    with without(module, before, line) as source, running(source=source) as stage, Commands(source) as commands:
        life = Life(stage, commands, recordings, 1, "planted")
        calls = traced(life, stage, tmp_path, FIRST_RUN)[who]
        found = judged(calls, stage)
    assert {entry.what for entry in found.unsynced} == {what}
    assert {place(_inside(entry), stage.folder) for entry in found.unsynced} >= where
    assert bool(named_unsynced(calls, stage)) == (what == "bytes")


def _inside(entry: Unsynced) -> str:
    return f"{entry.path}/x" if entry.what == "names in" else entry.path


# -- the judgement itself, on traces made by hand --------------------------------------------------------------------

OPENED = """\
1 openat(AT_FDCWD</>, "/s/journal", O_RDONLY|O_CLOEXEC|O_DIRECTORY) = 4</s/journal>
1 openat(AT_FDCWD</>, "/s/journal", O_WRONLY|O_CLOEXEC|O_TMPFILE, 0644) = 5</s/journal/#7>(deleted)
1 write(5</s/journal/#7>(deleted), ""..., 9) = 9
"""
FILE = "1 fsync(5</s/journal/#7>(deleted)) = 0\n"
LINK = """1 linkat(AT_FDCWD</>, "/proc/self/fd/5", 4</s/journal>, "1.age", AT_SYMLINK_FOLLOW) = 0\n"""
FOLDER = "1 fsync(4</s/journal>) = 0\n"
UNFINISHED = "1 fsync(4</s/journal> <unfinished ...>\n"
ANSWER = """2 sendto(8<TCP:[127.0.0.1:1->127.0.0.1:2]>, ""..., 3, 0, NULL, 0) = 3\n"""
FAILED = "1 fsync(4</s/journal>) = -1 EIO (Input/output error) (INJECTED)\n"
BYTES, NAMES = ("bytes", "/s/journal/#7"), ("names in", "/s/journal")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (OPENED + FILE + LINK + FOLDER + ANSWER, []),
        (OPENED + ANSWER, []),  # a file without a name is nobody's yet
        (OPENED + LINK + FOLDER + ANSWER, [BYTES]),
        (OPENED + LINK + FILE + FOLDER + ANSWER, []),
        (OPENED + FILE + LINK + ANSWER, [NAMES]),
        (OPENED + FILE + FOLDER + LINK + ANSWER, [NAMES]),
        (OPENED + FILE + LINK + ANSWER + FOLDER, [NAMES]),
        (OPENED + FILE + LINK + FAILED + ANSWER, [NAMES]),
        (OPENED + LINK + ANSWER, [BYTES, NAMES]),
        (OPENED + FILE + LINK + UNFINISHED + ANSWER + "1 <... fsync resumed>) = 0\n", [NAMES]),
        ("""1 unlink("/s/journal/1.age") = 0\n""" + ANSWER, [NAMES]),
        ("""1 mkdir("/s/journal", 0777) = 0\n""" + ANSWER, [("names in", "/s")]),
        ("""1 chmod("/s/journal", 0777) = 0\n""" + ANSWER, [("mode of", "/s/journal")]),
        ("""1 rename("/s/journal/a.new", "/s/journal/a") = 0\n""" + ANSWER, [NAMES]),
        ("""1 unlink("/elsewhere/a") = 0\n""" + ANSWER, []),
        (OPENED + FILE + LINK + FOLDER.replace("journal", "segments") + ANSWER, [NAMES]),
    ],
)
def test_judged_by_hand(text: str, expected: list[tuple[str, str]]) -> None:
    found = judge(parse(text), lambda path: path.startswith("/s/"))
    assert [(entry.what, entry.path) for entry in found.unsynced] == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (OPENED + FILE + LINK + FOLDER + ANSWER, []),
        (OPENED + LINK + FILE + FOLDER + ANSWER, ["/s/journal/1.age"]),
        (OPENED + FILE.replace(") = 0", ") = -1 EIO (Input/output error) (INJECTED)") + LINK, ["/s/journal/1.age"]),
        (OPENED + ANSWER, []),
        (
            """1 write(5</s/a.new>, ""..., 9) = 9\n1 rename("/s/a.new", "/s/a") = 0\n1 fsync(5</s/a>) = 0\n""",
            ["/s/a"],
        ),
    ],
)
def test_named_unsynced_by_hand(text: str, expected: list[str]) -> None:
    assert named_unsynced(parse(text)) == expected
