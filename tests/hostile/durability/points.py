"""Points of a life at which something can fail: process, verb, call and place, found in the trace of a clean life.

A place is a kind of path, such as ``journal`` or ``outbox``, as names differ from life to life.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path, PurePath

from tests.support.durability_life import Amiss
from tests.support.durability_strace import ANSWERS, Call, Fault

KINDS = ("fail", "kill")
TAKING_SPACE = frozenset({"make unnamed", "create", "write", "link", "mkdir"})
"""Calls that fail for want of space; the others by an error of the disk."""
SERVERS = ("host", "cloud")
HELD_US = 2_000_000
_PASSING = ("host.log", "supervisor.log", "witness.log", "temporary", "supervisor.sock")
_OF_DEVICE = {"heads.json": "heads", "profile.json": "profile", "keystore.age": "keystore"}


@dataclass(frozen=True, order=True)
class Point:
    """Which ``process`` makes which ``call`` during which ``verb`` of a life, at which ``place``."""

    process: str
    verb: str
    call: str
    place: str


@dataclass(frozen=True)
class Held(Fault):
    """A call that returns so late that its process can be killed meanwhile: all was done, and nobody was told.

    The n-th answer itself is no point that can be found again, as a process says more than answers.
    """

    @property
    def option(self) -> str:
        return f"inject={self.name}:delay_exit={HELD_US}:when={self.nth}"


@dataclass(frozen=True)
class Injection:
    """A fault of a kind (of `KINDS`) that is to hit a point."""

    point: Point
    kind: str
    fault: Fault


@dataclass
class Line:
    """What came of the faults at points that differ by their verb only."""

    hit: Counter[str] = field(default_factory=Counter)
    lost: int = 0
    doubled: int = 0
    staging: int = 0
    processes: int = 0
    beyond: int = 0
    stuck: int = 0

    def most(self, amiss: Amiss, processes: int = 0) -> None:
        """Take in what was found after one fault; of what several faults could have caused, each line has it all."""
        self.lost, self.doubled = max(self.lost, amiss.lost), max(self.doubled, amiss.doubled)
        self.beyond, self.stuck = max(self.beyond, amiss.beyond), max(self.stuck, amiss.stuck)
        self.staging, self.processes = max(self.staging, len(amiss.staging)), max(self.processes, processes)

    @property
    def wrong(self) -> tuple[int, ...]:
        """All that must be 0."""
        return self.lost, self.doubled, self.beyond, self.stuck, self.staging, self.processes


Lines = dict[tuple[str, str, str], Line]
"""By process, call and place."""


def place(path: str, folder: Path) -> str:
    """The kind of a path below a stage's folder; empty for one whose changes need not last, or outside."""
    if not PurePath(path).is_relative_to(folder):
        return ""
    parts = PurePath(path).relative_to(folder).parts
    match parts:
        case ("store", "owners", _, room, *_):
            return room
        case ("store", "owners", *_):
            return "owners"
        case ("store", room, *_):
            return room
        case ("devices", _, "lock") | ("state", "lock"):
            return ""  # held, never read
        case ("devices", _, "outbox" | "log" | "pending" as room, *_):
            return room
        case ("devices", _, name):
            return _OF_DEVICE.get(name.removesuffix(".new"), name.removesuffix(".new"))
        case ("devices", name):
            return "key file" if ".key" in name else "holder" if ".holder" in name else "device folder"
        case ("witness", name):
            return name.removesuffix(".new")
        case ("state", "insecure-root.pub"):
            return ""  # made anew at each start
        case ("state", name):
            return name.removesuffix(".new")
        case (first, *_) if first not in _PASSING:
            return first
    return ""


def injections(calls: Iterable[Call], process: str, verb: str, folder: Path) -> list[Injection]:
    """A failure and a kill at each durable call, and a kill at the first answer after each of them."""
    found: list[Injection] = []
    last: Call | None = None
    for call in calls:
        if call.verb in ANSWERS:
            if last is not None:
                point = Point(process, verb, call.verb, f"after {place(last.path, folder)}")
                found.append(Injection(point, "kill", Held(last.name, last.nth)))
            last = None
        elif (where := place(call.path, folder)) and not call.error:
            point, kill = Point(process, verb, call.verb, where), Fault(call.name, call.nth)
            if process in SERVERS and call.verb == "write" and last is not None and place(last.path, folder) == where:
                # Another thread writes a log, and would be killed at that. The same kill, told by the call before:
                kill = Held(last.name, last.nth)
            error = "ENOSPC" if call.verb in TAKING_SPACE else "EIO"
            found.append(Injection(point, "fail", Fault(call.name, call.nth, error)))
            found.append(Injection(point, "kill", kill))
            last = call
    return list(dict.fromkeys(found))


def hits(calls: Iterable[Call], injection: Injection, folder: Path) -> list[Point]:
    """The points that a fault did hit, by the trace of the life that had it."""
    found = []
    wanted, fault = injection.point, injection.fault
    for call in calls:
        where = place(call.path, folder)
        if (call.name, call.nth) != (fault.name, fault.nth) or not where:
            continue
        if isinstance(fault, Held):
            found += [wanted] if not call.error and where == wanted.place.removeprefix("after ") else []
        elif call.injected if injection.kind == "fail" else call.error == "killed":
            found.append(Point(wanted.process, wanted.verb, call.verb, where))
    return found


def table(lines: Lines) -> list[str]:
    """The lines as text, with a sum."""
    numbers = (
        f"{'failed':>7}{'killed':>7}{'lost':>6}{'doubled':>8}{'beyond':>7}{'stuck':>6}{'staging':>8}{'processes':>10}"
    )
    found = [f"{'process':<11}{'call':<14}{'path':<26}{numbers}"]
    total = Line()
    for (process, call, where), line in sorted(lines.items()):
        found.append(_row(process, call, where, line))
        total.hit += line.hit
        total.lost, total.doubled = total.lost + line.lost, total.doubled + line.doubled
        total.beyond, total.stuck = total.beyond + line.beyond, total.stuck + line.stuck
        total.staging, total.processes = total.staging + line.staging, total.processes + line.processes
    return [*found, _row("all", "", f"{len(lines)} points", total)]


def _row(process: str, call: str, where: str, line: Line) -> str:
    counts = f"{line.hit['fail']:>7}{line.hit['kill']:>7}{line.lost:>6}{line.doubled:>8}{line.beyond:>7}{line.stuck:>6}"
    return f"{process:<11}{call:<14}{where:<26}{counts}{line.staging:>8}{line.processes:>10}"
