"""The points of durability: each durable call of each process, found in a clean trace, then made to fail or to kill."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from tests.support import node
from tests.support.durability_life import VERBS, Amiss, Commands, Life, Recordings
from tests.support.durability_strace import ANSWERS, Call, Fault, Trace, attached
from tests.support.processes import Process
from tests.support.stages import Watched, kill
from tests.support.waiting import until

HOST, CLOUD, SUPERVISOR, DEVICE = "host", "user cloud", "supervisor", "device"
PROCESSES = (HOST, CLOUD, SUPERVISOR, DEVICE)
WAKE = "wake"
"""Of a user cloud: a launch after one before it died between a derived segment and the record that names it."""
_FULL = {"make unnamed", "create", "write", "link", "mkdir"}
TRIES = 3


@dataclass(frozen=True)
class Point:
    """One durable call, or the answer after some.

    Attributes:
        step: The verb of the owner during which it is made, or `WAKE`.
        place: Class of the path, such as ``segments``; of an answer, of what was done before it.
        call: What it does, such as ``fsync folder``.
        fault: How it is reached, without an error: a kill.
        before: Durable calls before it, as (place, call): where it stands.
    """

    process: str
    step: str
    place: str
    call: str
    fault: Fault
    before: tuple[tuple[str, str], ...]

    def modes(self) -> list[Fault]:
        """The faults to try here: an answer cannot fail durably."""
        kill = self.fault
        if self.call in ANSWERS:
            return [kill]
        return [Fault(kill.name, kill.nth, "ENOSPC" if self.call in _FULL else "EIO"), kill]


@dataclass
class Line:
    """A line of the table: how often the points of a kind were hit, and what was amiss afterwards."""

    points: int = 0
    failed: int = 0
    killed: int = 0
    lost: int = 0
    doubled: int = 0
    staging: int = 0
    processes: int = 0


@dataclass
class Table:
    """What came of all trials, by process, place and call."""

    lines: dict[tuple[str, str, str], Line] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def expect(self, points: Iterable[Point]) -> None:
        """Points that have to be hit."""
        for point in points:
            self._line(point).points += 1

    def add(self, point: Point, fault: Fault, amiss: Amiss, left: Sequence[object]) -> None:
        line = self._line(point)
        line.failed += bool(fault.error)
        line.killed += not fault.error
        line.lost += amiss.lost
        line.doubled += amiss.doubled
        line.staging += len(amiss.staging)
        line.processes += len(left)
        self.notes += [f"{point.process}, {point.place}, {point.call}: {name} is left" for name in amiss.staging]

    def _line(self, point: Point) -> Line:
        return self.lines.setdefault((point.process, point.place, point.call), Line())

    def text(self) -> str:
        head = ("process", "place", "call", "points", "failed", "killed", "lost", "doubled", "staging", "processes")
        rows = [head, *((*key, *map(str, vars(line).values())) for key, line in sorted(self.lines.items()))]
        total = [sum(vars(line)[name] for line in self.lines.values()) for name in vars(Line())]
        rows.append(("all", "", "", *map(str, total)))
        width = [max(len(row[n]) for row in rows) for n in range(len(head))]
        shown = ("  ".join(t.ljust(w) if n < 3 else t.rjust(w) for n, (t, w) in enumerate(zip(row, width))) for row in rows)
        return "\n".join([*shown, *self.notes])

    def assert_zeros(self) -> None:
        """Every point was hit, and nothing was amiss afterwards."""
        assert self.lines
        for key, line in self.lines.items():
            assert line.failed + line.killed > 0, f"never hit: {key}"
            assert (line.lost, line.doubled, line.staging, line.processes) == (0, 0, 0, 0), (key, line, self.notes)


class Places:
    """Classes of the paths whose changes must last on a stage: store, state and devices."""

    def __init__(self, stage: Watched) -> None:
        self._roots = {"store": stage.store, "state": stage.state, "devices": stage.devices}

    def of(self, path: str) -> str:
        """Such as ``owner-log``; empty for a path that is not watched."""
        for kind, root in self._roots.items():
            if PurePath(path).is_relative_to(root):
                parts = PurePath(path).relative_to(root).parts
                return getattr(self, f"_{kind}")(parts) if parts else kind  # type: ignore[no-any-return]
        return ""

    def watched(self, path: str) -> bool:
        return bool(self.of(path))

    @staticmethod
    def _store(parts: tuple[str, ...]) -> str:
        if parts[0] != "owners":
            return parts[0]
        return ("owners", "home")[len(parts) - 1] if len(parts) < 3 else parts[2]

    @staticmethod
    def _state(parts: tuple[str, ...]) -> str:
        return parts[0].removesuffix(".new")

    @staticmethod
    def _devices(parts: tuple[str, ...]) -> str:
        if len(parts) == 1:
            return "key file" if ".key" in parts[0] else "device"
        return parts[1].removesuffix(".new")


class Rig:
    """A stage, its owners one after another, and faults in its processes."""

    def __init__(self, stage: Watched, commands: Commands, folder: Path) -> None:
        self.stage, self._commands, self._folder = stage, commands, folder
        self._recordings, self._places = Recordings(folder), Places(stage)
        self._numbers = itertools.count()

    def life(self, process: str) -> Life:
        """A new owner. To the host their algorithm is new as well."""
        number = next(self._numbers)
        return Life(
            self.stage, self._commands, self._recordings, number, f"slow-{number}" if process == HOST else "slow"
        )

    # -- a verb under a tracer -----------------------------------------------------------------------------------------

    def traced(self, life: Life, process: str, verb: str, fault: Fault | None = None) -> tuple[bool, Trace]:
        """Do a verb while a process is traced; whether it ended well, and the trace."""
        output = self._folder / "trace"
        if process == DEVICE:
            with attached(life.start(verb, held=True), output, fault) as trace:
                life.go()
                well = life.end(verb)
            return well, trace
        if process == CLOUD:
            node.launch_cloud(self.stage.socket, life.owner, self.stage.host_url)
            pid = self.stage.cloud(life.owner).pid
        else:
            pid = self.stage.host_pid if process == HOST else self.stage.supervisor_pid
        with attached(pid, output, fault) as trace:
            life.start(verb)
            well = life.end(verb)
        return well, trace

    def prepare(self, life: Life, step: str) -> None:
        """Do all verbs before a step."""
        for earlier in VERBS[: VERBS.index(_verb(step))]:
            life.do(earlier)
        if step == WAKE:
            # The first name that it gives in a run is that of the derived segment, the second that of the record.
            well, trace = self.traced(life, CLOUD, "run", Fault("linkat", 2))
            assert not well and trace.killed
            self._heal(life, CLOUD, trace)

    # -- points --------------------------------------------------------------------------------------------------------

    def enumerate(self, process: str) -> list[Point]:
        """All points of a process, from the clean life of one owner, and of another who wakes a user cloud."""
        found, life = list[Point](), self.life(process)
        for verb in VERBS:
            if process == CLOUD and VERBS.index(verb) < VERBS.index("upload"):
                life.do(verb)  # there is none yet
                continue
            well, trace = self.traced(life, process, verb)
            assert well, f"{verb} was refused without a fault: {life.said}"
            found += self._points(process, verb, trace.calls())
        life.finish()
        self._end(life)
        if process == CLOUD:
            life = self.life(process)
            self.prepare(life, WAKE)
            well, trace = self.traced(life, process, "status")
            assert well, f"status was refused without a fault: {life.said}"
            found += self._points(process, WAKE, trace.calls())
            self._end(life)
        return found

    def _points(self, process: str, step: str, calls: list[Call]) -> list[Point]:
        """The points in a trace: durable calls, and each answer after some."""
        found, durable, told = list[Point](), list[tuple[str, str]](), 0
        for call in calls:
            fault = Fault(call.name, call.nth)
            if call.verb in ANSWERS:
                if len(durable) > told:
                    found.append(Point(process, step, durable[-1][0], call.verb, fault, tuple(durable)))
                    told = len(durable)
            elif place := self._places.of(call.path):
                found.append(Point(process, step, place, call.verb, fault, tuple(durable)))
                durable.append((place, call.verb))
        return found

    # -- trials --------------------------------------------------------------------------------------------------------

    def trial(self, point: Point, fault: Fault, table: Table) -> None:
        """One fault at one point in the life of an owner, who tries again and goes on."""
        for _ in range(TRIES):
            life = self.life(point.process)
            try:
                self.prepare(life, point.step)
                hit, amiss = self._faulted(life, point, fault)
                left = self._end(life)
            except Exception as error:
                error.add_note(f"{fault} at {point}")
                raise
            table.add(point, fault, amiss, left)
            if hit:
                return
        raise AssertionError(f"not hit in {TRIES} lives: {fault} at {point}")

    def _faulted(self, life: Life, point: Point, fault: Fault) -> tuple[bool, Amiss]:
        """Whether the fault struck where it should, and what was amiss afterwards."""
        verb = "status" if point.step == WAKE else point.step
        well, trace = self.traced(life, point.process, verb, fault)
        hit = self._struck(point, fault, trace)
        self._heal(life, point.process, trace)
        before = life.check()
        if not well:
            life.do(verb)
        for later in VERBS:
            if later not in life.acknowledged:
                life.do(later)
        after = life.finish()
        return hit, Amiss(before.lost + after.lost, before.doubled + after.doubled, after.staging + self._unnamed())

    def _struck(self, point: Point, fault: Fault, trace: Trace) -> bool:
        calls = trace.calls()
        struck = [call for call in calls if (call.injected if fault.error else call.error == "killed")]
        if trace.killed == bool(fault.error) or all((c.name, c.nth) != (fault.name, fault.nth) for c in struck):
            return False
        before = [
            (place, call.verb)
            for call in itertools.takewhile(lambda call: call not in struck, calls)
            if call.verb not in ANSWERS and (place := self._places.of(call.path))
        ]
        return tuple(before) == point.before

    def _heal(self, life: Life, process: str, trace: Trace) -> None:
        """Start again what died, as an operator does; user clouds and commands are started by the next verb."""
        stage = self.stage
        if not trace.killed or process == DEVICE:
            return
        if process == CLOUD:
            self._gone(life)
        elif process == HOST:
            assert stage.host is not None
            stage.host.wait()
            stage.start_host(int(stage.host_url.rpartition(":")[2]))
        else:
            assert stage.supervisor is not None
            stage.supervisor.wait()
            until(lambda: not stage.supervised(), "what the supervisor forked is gone", 5)
            stage.start_supervisor()

    def _unnamed(self) -> list[str]:
        """Files without a name that host or user cloud still hold open."""
        watching = [p for p in self.stage.processes() if p.pid == self.stage.host_pid or p.is_cloud]
        return [name for p in watching for name in p.descriptors().values() if "/#" in name]

    def _end(self, life: Life) -> list[Process]:
        """End an owner's user cloud; what else runs after a while that should not."""
        cloud, left = self.stage.cloud(life.owner), list[Process]()
        for _ in range(100):
            left = [p for p in self.stage.forked() if p.pid != cloud.pid]
            if not left:
                break
            time.sleep(0.05)
        kill(cloud)
        self._gone(life)
        return left

    def _gone(self, life: Life) -> None:
        until(lambda: life.owner not in node.running(self.stage.socket).owners, "the supervisor knows what died")


def _verb(step: str) -> str:
    return "run" if step == WAKE else step
