"""At each durable system call of import, upload and run in turn: it fails, or the process is killed at it.

Each life of an owner has one fault in each of its verbs. After every fault what died is started again, the owner
tries the verb again, and what the store holds is compared with what the owner was told. Points are found in the trace
of a clean life, and what a fault did hit is read from the trace of the life that had it.
"""

from __future__ import annotations

import os
import signal
from collections import defaultdict
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.hostile.durability.conftest import Lines
from tests.hostile.durability.points import KINDS, Held, Injection, Point, hits, injections
from tests.support import node
from tests.support.durability_life import VERBS, Amiss, Commands, Life, Recordings
from tests.support.durability_strace import attached
from tests.support.processes import Process
from tests.support.stages import Watched, kill
from tests.support.waiting import until

pytestmark = pytest.mark.root

# The user cloud runs before anything is uploaded, so that a tracer can be attached to it.
STEPS = (*VERBS[: VERBS.index("upload")], "status", *VERBS[VERBS.index("upload") :])
FAULTY = ("publish", "import", "status", "upload", "upload again", "run")
ROUNDS = 3
"""How often a point is tried that was missed, as another thread did the call."""

SHORT = (
    ("device", "import", "fsync", "outbox", "EIO"),
    ("device", "import", "rename", "outbox", "kill"),
    ("device", "upload", "rename", "heads", "kill"),
    ("device", "upload", "unlink", "outbox", "kill"),
    ("host", "publish", "link", "bundles", "kill"),
    ("host", "upload", "fsync", "segments", "EIO"),
    ("host", "upload", "fsync folder", "segments", "kill"),
    ("supervisor", "status", "fsync", "uids", "EIO"),
    ("supervisor", "status", "fsync", "uids", "kill"),
    ("cloud", "upload", "link", "journal", "kill"),
    ("cloud", "upload", "fsync folder", "journal", "EIO"),
    ("cloud", "upload again", "unlink", "segments", "kill"),
    ("cloud", "run", "fsync", "segments", "EIO"),
    ("cloud", "run", "link", "journal", "kill"),
    ("cloud", "run", "answer", "after journal", "kill"),
)
"""Process, verb, call, place and kind of the points of `make test`."""


@dataclass
class Lives:
    """Lives on one stage, numbered."""

    stage: Watched
    commands: Commands
    recordings: Recordings
    folder: Path
    lines: Lines
    count: int = 0

    def new(self) -> Life:
        self.count += 1
        # An algorithm of its own, so that publishing it writes.
        return Life(self.stage, self.commands, self.recordings, self.count, f"slow-{self.count}")

    # -- a clean life ------------------------------------------------------------------------------------------------

    def points(self) -> list[Injection]:
        """The points of a life without faults, the whole of it traced."""
        life, found = self.new(), list[Injection]()
        for step in STEPS:
            if step not in FAULTY:
                life.do(step)
                continue
            pid = life.start(step, held=True)
            with ExitStack() as tracers:
                traces = {
                    name: tracers.enter_context(attached(number, self.folder / f"{name}.trace"))
                    for name, number in self._pids(life, pid).items()
                }
                life.go()
                assert life.end(step), life.said
            for name, trace in traces.items():
                found += injections(trace.calls(), name, step, self.stage.folder)
        assert self._end(life) == Amiss()
        return found

    def _pids(self, life: Life, device: int) -> dict[str, int]:
        found = {"device": device, "host": self.stage.host_pid, "supervisor": self.stage.supervisor_pid}
        if "init" in life.acknowledged and (cloud := self._cloud(life)) is not None:
            found["cloud"] = cloud.pid
        return found

    def _cloud(self, life: Life) -> Process | None:
        if life.owner not in node.running(self.stage.socket).owners:
            return None
        return self.stage.cloud(life.owner)

    # -- a life with faults --------------------------------------------------------------------------------------------

    def live(self, faults: dict[str, Injection]) -> list[tuple[Injection, list[Point]]]:
        """A life with these faults, at most one a verb; what each of them hit. Its lines are filled in."""
        life, found = self.new(), list[tuple[Injection, list[Point]]]()
        for step in STEPS:
            if step not in faults:
                life.do(step)
                continue
            injection = faults[step]
            struck = self._suffer(life, step, injection)
            found.append((injection, struck))
            self._count(injection, struck, life.check())
            if step not in life.acknowledged and not (step == "status" and "status" in life.acknowledged):
                life.do(step)
            self._count(injection, struck, life.check())
        amiss = self._end(life)
        # Rests and processes are looked for when all is done; every fault of this life could have left them.
        for injection, struck in found:
            self._count(injection, struck, amiss)
        assert amiss == Amiss(), (amiss, [injection for injection, _ in found])
        return found

    def _suffer(self, life: Life, step: str, injection: Injection) -> list[Point]:
        pid = life.start(step, held=True)
        target = self._pids(life, pid)[injection.point.process]
        output = self.folder / "fault.trace"
        with attached(target, output, injection.fault) as trace:
            life.go()
            if isinstance(injection.fault, Held):
                until(lambda: "(DELAYED)" in output.read_text() or not Path(f"/proc/{pid}").exists(), "the call is held")
                if "(DELAYED)" in output.read_text():
                    os.kill(target, signal.SIGKILL)
            life.end(step)
        if trace.killed:
            self._restart(life, injection.point.process)
        return hits(trace.calls(), injection, self.stage.folder)

    def _restart(self, life: Life, process: str) -> None:
        stage = self.stage
        if process == "host":
            stage.start_host(stage.kill_host())
        elif process == "supervisor":
            stage.kill_supervisor()
            until(lambda: not stage.supervised(), "all that the supervisor forked is gone", 5)
            stage.start_supervisor()
        elif process == "cloud":
            until(lambda: life.owner not in node.running(stage.socket).owners, "the supervisor knows that it is gone")

    def _count(self, injection: Injection, struck: Iterable[Point], amiss: Amiss) -> None:
        for point in struck or [injection.point]:
            line = self.lines[point.process, point.call, point.place]
            line.lost, line.doubled = max(line.lost, amiss.lost), max(line.doubled, amiss.doubled)
            line.staging = max(line.staging, len(amiss.staging))

    def _end(self, life: Life) -> Amiss:
        """End a life, and its user cloud; what is amiss."""
        amiss = life.finish()
        cloud = self._cloud(life)
        assert cloud is not None
        kill(cloud)
        until(lambda: not self.stage.services(), "no process of a run is left", 5)
        until(lambda: not self.stage.forked(), f"no process is left, found {self.stage.forked()}", 5)
        assert len(owners := (self.stage.state / "uids").read_text().split()) == len(set(owners))
        return amiss

    # -- all of them ---------------------------------------------------------------------------------------------------

    def all(self, wanted: list[Injection]) -> None:
        """Live until each of these points was hit by each of its kinds of faults."""
        missed = wanted
        for _ in range(ROUNDS):
            waiting = defaultdict[str, list[Injection]](list)
            for injection in missed:
                waiting[injection.point.verb].append(injection)
            missed = []
            while any(waiting.values()):
                for injection, struck in self.live({verb: rest.pop(0) for verb, rest in waiting.items() if rest}):
                    for point in struck:
                        self.lines[point.process, point.call, point.place].hit[injection.kind] += 1
                    if injection.point not in struck:
                        missed.append(injection)
        assert not missed, f"never hit: {missed}"


@pytest.fixture
def lives(stage: Watched, commands: Commands, recordings: Recordings, tmp_path: Path, lines: Lines) -> Lives:
    return Lives(stage, commands, recordings, tmp_path, lines, count=len(list(stage.devices.glob("*.key"))))


def test_at_points_that_stand_for_all(lives: Lives) -> None:
    found = lives.points()
    wanted = [next(i for i in found if _named(i) == name) for name in SHORT]
    lives.all(wanted)
    _assert_nothing_amiss(lives.lines, wanted)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_at_every_point(lives: Lives) -> None:
    found = lives.points()
    processes, places = {i.point.process for i in found}, {i.point.place for i in found}
    assert processes == {"device", "host", "cloud", "supervisor"}
    assert places >= {"segments", "journal", "owner-log", "bundles", "outbox", "log", "heads", "uids"}
    lives.all(found)
    _assert_nothing_amiss(lives.lines, found)


def _named(injection: Injection) -> tuple[str, str, str, str, str]:
    point = injection.point
    return point.process, point.verb, point.call, point.place, injection.kind


def _assert_nothing_amiss(lines: Lines, wanted: list[Injection]) -> None:
    for injection in wanted:
        line = lines[injection.point.process, injection.point.call, injection.point.place]
        assert injection.kind in KINDS and line.hit[injection.kind] >= 1
        assert (line.lost, line.doubled, line.staging, line.processes) == (0, 0, 0, 0)
