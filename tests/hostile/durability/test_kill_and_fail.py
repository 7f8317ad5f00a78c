"""At each durable system call of an owner's life in turn: it fails, or the process is killed at it.

Each life of an owner has one fault in each of its verbs. After every fault what died is started again, the owner
tries the verb again, and what the store holds is compared with what the owner was told. Points are found in the trace
of a clean life, and what a fault did hit is read from the trace of the life that had it.
"""

from __future__ import annotations

import os
import signal
from collections import defaultdict
from collections.abc import Iterable
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.hostile.durability.points import KINDS, Held, Injection, Lines, Point, hits, injections, place
from tests.support import node
from tests.support.durability_life import VERBS, Amiss, Commands, Life, Recordings
from tests.support.durability_strace import HELD, Call, Fault, attached, dies, words
from tests.support.processes import Process
from tests.support.stages import Watched, kill, running
from tests.support.waiting import until

pytestmark = pytest.mark.root

# The user cloud runs before anything is uploaded, so that a tracer can be attached to it.
STEPS = (*VERBS[: VERBS.index("upload")], "status", *VERBS[VERBS.index("upload") :])
PATIENCE = 10
"""How many lives may fail before no more are tried."""
ROUNDS = 3
"""How often a point is tried that was missed, as another thread did the call."""

SHORT = (
    ("device", "init", "create", "keystore", "kill"),
    ("host", "init", "fsync folder", "access", "fail"),
    ("host", "approve", "answer", "after owner-log", "kill"),
    ("device", "import", "fsync", "outbox", "fail"),
    ("device", "import", "rename", "outbox", "kill"),
    ("device", "upload", "rename", "heads", "kill"),
    ("device", "upload", "unlink", "outbox", "kill"),
    ("host", "publish", "link", "bundles", "kill"),
    ("host", "upload", "fsync", "segments", "fail"),
    ("host", "upload", "fsync folder", "segments", "kill"),
    ("supervisor", "status", "fsync", "uids", "fail"),
    ("supervisor", "status", "fsync", "uids", "kill"),
    ("cloud", "upload", "link", "journal", "kill"),
    ("cloud", "upload", "fsync folder", "journal", "fail"),
    ("cloud", "upload again", "unlink", "segments", "kill"),
    ("cloud", "run", "fsync", "segments", "fail"),
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
        assert self._end(life) == (Amiss(), 0)
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
            struck = self.suffer(life, step, injection)
            found.append((injection, struck))
            self._count(injection, struck, life.check())
            if step not in life.acknowledged:
                life.do(step)
            self._count(injection, struck, life.check())
        amiss, left = self._end(life)
        # Rests and processes are looked for when all is done; every fault of this life could have left them.
        for injection, struck in found:
            self._count(injection, struck, amiss, left)
        assert (amiss, left) == (Amiss(), 0)
        return found

    def suffer(self, life: Life, step: str, injection: Injection) -> list[Point]:
        """A step with a fault, and what died started again; the points that the fault hit."""
        pid = life.start(step, held=True)
        target = self._pids(life, pid)[injection.point.process]
        output, device = self.folder / "fault.trace", Path(f"/proc/{pid}")
        with attached(target, output, injection.fault) as trace:
            life.go()
            if isinstance(injection.fault, Held):
                until(lambda: HELD in output.read_text() or not device.exists(), "the call is held")
                if HELD in output.read_text():
                    os.kill(target, signal.SIGKILL)
            life.end(step)
            if injection.kind == "kill":
                with suppress(AssertionError):  # it was missed
                    until(lambda: dies(target), "what was killed dies", 1)
            if killed := dies(target):
                # A tracer that is told to end before that waits for ever.
                until(lambda: f"{target} +++" in words(output), "the tracer saw all of it end")
        if killed:
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

    def _count(self, injection: Injection, struck: Iterable[Point], amiss: Amiss, left: int = 0) -> None:
        for point in struck or [injection.point]:
            self.lines[point.process, point.call, point.place].most(amiss, left)

    def _end(self, life: Life) -> tuple[Amiss, int]:
        """End a life, and its user cloud; what is amiss, and how many processes are left."""
        amiss = life.finish()
        cloud = self._cloud(life)
        assert cloud is not None
        kill(cloud)
        with suppress(AssertionError):
            until(lambda: not self.stage.forked(), "no process is left", 5)
        owners = (self.stage.state / "uids").read_text().split()
        assert len(owners) == len(set(owners)), "an owner has two uids"
        return amiss, len(self.stage.forked())

    # -- step by step --------------------------------------------------------------------------------------------------

    def until(self, step: str) -> Life:
        """A life in which all went well before this step."""
        life = self.new()
        for before in STEPS[: STEPS.index(step)]:
            life.do(before)
        return life

    def relaunched(self, life: Life, step: str, fault: Fault | None = None) -> list[Call]:
        """A step for which the user cloud is launched anew, and traced from its fork; what it called.

        With a fault the step is then done once more.
        """
        life.start(step, held=True)
        with attached(self.stage.parent().pid, self.folder / "forked.trace", fault) as trace:
            life.go()
            assert life.end(step) or fault is not None, life.said
        calls = trace.calls()
        if fault is not None:
            self._restart(life, "cloud" if trace.killed else "")
            life.do(step)
        return calls

    def finish(self, life: Life, step: str) -> None:
        """The rest of a life, from this step on."""
        for after in STEPS[STEPS.index(step) :]:
            life.do(after)
        amiss, left = self._end(life)
        assert (amiss, left) == (Amiss(), 0)

    # -- all of them ---------------------------------------------------------------------------------------------------

    def all(self, wanted: list[Injection], rounds: int = ROUNDS) -> None:
        """Live until each of these points was hit by each of its kinds of faults."""
        missed, failures = wanted, list[str]()
        for _ in range(rounds):
            waiting = defaultdict[str, list[Injection]](list)
            for injection in missed:
                waiting[injection.point.verb].append(injection)
            missed = []
            while any(waiting.values()):
                faults = {verb: rest.pop(0) for verb, rest in waiting.items() if rest}
                try:
                    outcome = self.live(faults)
                except AssertionError as error:
                    # The others are tried all the same: one fault that is found must not hide the next.
                    failures.append(f"{[_named(fault) for fault in faults.values()]}: {error}")
                    assert len(failures) < PATIENCE, "\n\n".join(failures)
                    continue
                for injection, struck in outcome:
                    for point in struck:
                        self.lines[point.process, point.call, point.place].hit[injection.kind] += 1
                    if injection.point not in struck:
                        missed.append(injection)
        assert not failures, "\n\n".join(failures)
        assert not missed, f"never hit: {missed}"


@pytest.fixture(scope="module")
def lives(
    stage: Watched,
    commands: Commands,
    recordings: Recordings,
    tmp_path_factory: pytest.TempPathFactory,
    lines: Lines,
) -> Lives:
    return Lives(stage, commands, recordings, tmp_path_factory.mktemp("traces"), lines)


@pytest.fixture(scope="module")
def found(lives: Lives) -> list[Injection]:
    """The points of a clean life. It is not the first on its host, whose store would lack a folder."""
    lives.until("publish")
    return lives.points()


def test_at_points_that_stand_for_all(lives: Lives, found: list[Injection]) -> None:
    wanted = [_point(found, *name) for name in SHORT]
    lives.all(wanted)
    _assert_nothing_amiss(lives.lines, wanted)


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_at_every_point(lives: Lives, found: list[Injection]) -> None:
    processes, places = {i.point.process for i in found}, {i.point.place for i in found}
    assert processes == {"device", "host", "cloud", "supervisor"}
    assert places >= {"key file", "profile", "keystore", "outbox", "log", "heads", "uids"}
    assert places >= {"access", "owner-log", "keys", "epochs", "bundles", "segments", "journal"}
    lives.all(found)
    _assert_nothing_amiss(lives.lines, found)


@pytest.mark.soak
@pytest.mark.usefixtures("tracing")
def test_while_a_host_takes_its_first_owner(
    commands: Commands, recordings: Recordings, tmp_path: Path, lines: Lines
) -> None:
    """The store's folder of owners is made then, and only then."""

    def lives(stage: Watched) -> Lives:
        return Lives(stage, commands, recordings, tmp_path, lines)

    with running() as stage:
        first = [i for i in lives(stage).points() if i.point.verb == "init" and i.point.call in ("mkdir", "chmod")]
    wanted = [i for i in first if i.point.place == "owners" and i.fault.nth == 1]
    assert {(i.point.call, i.kind) for i in wanted} == {(c, kind) for c in ("mkdir", "chmod") for kind in KINDS}
    for injection in wanted:
        with running() as stage:
            lives(stage).all([injection], rounds=1)


def test_a_record_whose_name_nobody_synced_is_synced_before_it_counts(lives: Lives, found: list[Injection]) -> None:
    """Its user cloud died between giving it a name and syncing that; the next one finds it, and tells the device."""
    life = lives.until("upload")
    assert lives.suffer(life, "upload", _point(found, "cloud", "upload", "fsync folder", "journal", "kill"))
    calls = lives.relaunched(life, "upload")
    synced = [c.ended for c in calls if c.verb == "fsync folder" and place(c.path, lives.stage.folder) == "journal"]
    assert synced and not [c for c in calls if c.verb == "link" and place(c.path, lives.stage.folder) == "journal"]
    lives.finish(life, "upload")


@pytest.mark.soak
def test_while_rests_of_a_run_are_swept(lives: Lives, found: list[Injection], lines: Lines) -> None:
    """Two faults in a row: a derived segment was put and not recorded, and the next instance fails as it deletes it."""
    orphaned = _point(found, "cloud", "run", "link", "journal", "kill")

    def swept(fault: Fault | None = None) -> list[Call]:
        life = lives.until("run")
        assert lives.suffer(life, "run", orphaned)
        calls = lives.relaunched(life, "status", fault)
        lives.finish(life, "run")
        return calls

    points = injections(swept(), "cloud", "status", lives.stage.folder)
    wanted = [i for i in points if (i.point.call, i.point.place) == ("unlink", "segments")]
    assert {i.kind for i in wanted} == set(KINDS)
    for injection in wanted:
        assert injection.point in hits(swept(injection.fault), injection, lives.stage.folder)
        lines["cloud", "unlink", "segments"].hit[injection.kind] += 1


def _point(found: list[Injection], *name: str) -> Injection:
    return next(i for i in found if _named(i) == name)


def _named(injection: Injection) -> tuple[str, str, str, str, str]:
    point = injection.point
    return point.process, point.verb, point.call, point.place, injection.kind


def _assert_nothing_amiss(lines: Lines, wanted: list[Injection]) -> None:
    for injection in wanted:
        line = lines[injection.point.process, injection.point.call, injection.point.place]
        assert injection.kind in KINDS and line.hit[injection.kind] >= 1
        assert not any(line.wrong)
