"""Lives of owners with a witness, in which each step may have one fault: found in a clean life, put in, and checked."""

from __future__ import annotations

import os
import signal
from collections import defaultdict
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.hostile.durability.points import Held, Injection, Lines, Point, hits, injections
from tests.support import node
from tests.support.durability_keeper import Keeper
from tests.support.durability_life import Amiss, Commands, Recordings
from tests.support.durability_strace import HELD, Trace, attached, dies, words
from tests.support.processes import Process
from tests.support.stages import Watched, kill
from tests.support.waiting import until
from tests.support.witness import Witness

PATIENCE = 10
"""How many lives may fail before no more are tried."""
ROUNDS = 3
"""How often a point is tried that was missed, as another thread did the call."""
HARMLESS = frozenset({"make unnamed"})
"""A file without a name is nobody's, and gone with its process: a kill there is the kill after the call before."""


NOT_YET = ("paper-mismatch", "log-rotation", "paper-used", "paper-unconfirmed", "opening-secret-mismatch")
"""How a paper is refused that does not count yet, or not any more."""
NAMING = frozenset({("device", "rename"), ("device", "unlink"), ("witness", "fsync")})
NAMING |= {(process, call) for process in ("host", "cloud") for call in ("link", "unlink")}
"""What divides one state that can be left from the next; all else that is written has no name yet that is read."""
DONE = {"resume": "resume-not-needed", "revoke": "key-unknown", "recover": "folder-in-use"}
"""How a step is refused that was cut off when it was done, or when the next command does the rest of it."""
CACHES = ("log", "heads")
"""Places on a device that only hold what it has seen elsewhere."""


@dataclass(frozen=True)
class Story:
    """A life's steps: ``before`` no fault is put in, then one may be in each of ``steps``.

    Attributes:
        rewound: The host shows a copy from before the last two steps of ``before`` when these are done.
        elsewhere: A recovery that was cut off is repeated on another empty machine.
    """

    name: str
    before: tuple[str, ...]
    steps: tuple[str, ...]
    rewound: bool = False
    elsewhere: bool = False

    @property
    def must(self) -> set[str]:
        """Processes that its points must be of."""
        return {"device"} if self.elsewhere else {"device", "host", "witness", "cloud", "supervisor"}


_BEGUN = ("init", "publish", "import")
_SPENT = (*_BEGUN, "witness", "grant", "upload", "spend")
STORIES = (
    Story("sleep", _BEGUN, ("witness", "grant", "upload", "spend", "suspend", "spend, asleep", "forget", "status")),
    Story("resume", (*_SPENT, "spend, lost", "suspend"), ("resume", "grant", "spend, asleep"), rewound=True),
    Story("revoke", (*_SPENT, "enroll", "add", "enroll, finish"), ("revoke", "status", "grant", "spend")),
    Story("recover", _SPENT, ("recover", "status", "grant", "spend")),
    Story("recover elsewhere", _SPENT, ("recover", "status"), elsewhere=True),
)


@dataclass
class Lives:
    """Lives on one stage with one witness, numbered."""

    stage: Watched
    witness: Witness
    commands: Commands
    recordings: Recordings
    folder: Path
    lines: Lines
    count: int = 0
    failures: list[str] = field(default_factory=list)

    def new(self) -> Keeper:
        self.count += 1
        if not self.witness.tokens:
            self.witness.admit(50)
        return Keeper(self.stage, self.witness, self.commands, self.recordings, self.count)

    def begun(self, story: Story) -> Keeper:
        """A life up to where faults may be put in."""
        life = self.new()
        lost = len(story.before) - 2
        copy: Path | None = None
        for number, verb in enumerate(story.before):
            if story.rewound and number == lost:
                copy = life.copied()
            life.do(verb)
            self.settle(life, verb)
        if copy is not None:
            life.rewind(copy)
        return life

    # -- its processes -------------------------------------------------------------------------------------------------

    def pids(self, life: Keeper, device: int) -> dict[str, int]:
        """What may be killed; in place of a user cloud that sleeps the preloaded parent, whose forks are traced."""
        cloud = self.cloud(life)
        return {
            "device": device,
            "host": self.stage.host_pid,
            "supervisor": self.stage.supervisor_pid,
            "witness": self.witness.process.pid,
            "cloud": self.stage.parent().pid if cloud is None else cloud.pid,
        }

    def cloud(self, life: Keeper) -> Process | None:
        if "init" not in life.acknowledged or life.owner not in node.running(self.stage.socket).owners:
            return None
        try:
            return self.stage.cloud(life.owner)
        except StopIteration:  # dead, and its supervisor was not told yet
            return None

    def restart(self, life: Keeper, process: str) -> None:
        """Start what was killed."""
        stage = self.stage
        if process == "host":
            stage.start_host(stage.kill_host())
        elif process == "witness":
            self.witness.restart()
        elif process == "supervisor":
            stage.kill_supervisor()
            until(lambda: not stage.supervised(), "all that the supervisor forked is gone", 5)
            stage.start_supervisor()
        elif process == "cloud":

            def known() -> bool:
                """Another one may run by now: the command did not give up."""
                return life.owner not in node.running(stage.socket).owners or self.cloud(life) is not None

            until(known, "the supervisor knows that a user cloud ended")

    def folder_of(self, process: str) -> Path:
        return self.witness.state.parent if process == "witness" else self.stage.folder

    # -- a clean life ------------------------------------------------------------------------------------------------

    def points(self, story: Story) -> list[Injection]:
        """The points of a life without faults."""
        life, found = self.begun(story), list[Injection]()
        for step in story.steps:
            pid = life.start(step, held=True)
            with ExitStack() as tracers:
                traces = {
                    name: tracers.enter_context(attached(number, self.folder / f"{name}.trace"))
                    for name, number in self.pids(life, pid).items()
                }
                life.go()
                assert life.end(step), f"{step}: {life.said}"
            self.settle(life, step)
            for name, trace in traces.items():
                found += injections(trace.calls(), name, step, self.folder_of(name))
        assert self.end(life) == (Amiss(), 0)
        chosen = standing_for_all(found)
        # Who goes on elsewhere lost the machine: all else is in the story of a recovery that is repeated where it was.
        machine = ("device", "recover")
        return [i for i in chosen if not story.elsewhere or (i.point.process, i.point.verb) == machine]

    # -- a life with faults --------------------------------------------------------------------------------------------

    def live(self, story: Story, faults: dict[str, Injection]) -> list[tuple[Injection, list[Point]]]:
        """A life with these faults, at most one a step; what each of them hit. Its lines are filled in."""
        life, found = self.begun(story), list[tuple[Injection, list[Point]]]()
        for step in story.steps:
            if step not in faults:
                life.do(step)
                self.settle(life, step)
                continue
            injection = faults[step]
            done, struck = self.suffer(life, step, injection)
            found.append((injection, struck))
            self._count(injection, struck, life.check())
            if not done:
                self.repeat(life, step, elsewhere=story.elsewhere and injection.point.process == "device")
            self.settle(life, step)
            if done and injection.point.process == "witness":
                self.tell(life, story.steps[story.steps.index(step) + 1 :])
            self._count(injection, struck, life.check())
        amiss, left = self.end(life)
        # Rests and processes are looked for when all is done; every fault of this life could have left them.
        for injection, struck in found:
            self._count(injection, struck, amiss, left)
        assert (amiss, left) == (Amiss(), 0), (amiss, left, life.said)
        return found

    def repeat(self, life: Keeper, step: str, *, elsewhere: bool = False) -> None:
        """What a user does after a step that was cut off: the same again."""
        if elsewhere:
            life.another_machine()
            # The paper that it was begun with; for who takes the newest one first there is a test of papers.
            life.use_paper(life.papers[min(1, len(life.papers) - 1)])
        life.start(step)
        if life.end(step):
            return
        if DONE.get(step, "-") in life.said:
            life.made_up_for(step)
        elif step == "recover":
            self._try_papers(life, elsewhere=elsewhere)
        else:
            raise AssertionError(f"{step} was refused: {life.said}")

    def _try_papers(self, life: Keeper, *, elsewhere: bool) -> None:
        """The paper that was shown last does not count yet: one before does, or says that it was used; then it does."""
        for paper in life.papers * 2:
            assert any(rule in life.said for rule in NOT_YET), life.said
            if elsewhere:
                life.another_machine()
            life.use_paper(paper)
            life.start("recover")
            if life.end("recover"):
                return
        raise AssertionError(f"no paper takes the id back: {life.said}")

    def tell(self, life: Keeper, after: tuple[str, ...] = ()) -> None:
        """A witness that was down knows of what was decided meanwhile with the owner's next request to the user cloud.

        Args:
            after: The steps that follow, for which it may have to sleep.
        """
        life.do("status")
        if after and "asleep" in after[0]:
            life.do("suspend")
            self.settle(life, "suspend")

    def settle(self, life: Keeper, step: str) -> None:
        """Wait until a user cloud that was put to sleep is gone."""
        if step in ("suspend", "forget"):
            self.stage.forgets(life.owner)

    def suffer(self, life: Keeper, step: str, injection: Injection) -> tuple[bool, list[Point]]:
        """A step with a fault, and what died started again; whether it ended well, and the points that were hit."""
        process = injection.point.process
        pid = life.start(step, held=True)
        target = self.pids(life, pid)[process]
        forked = process == "cloud" and target == self.stage.parent().pid
        output = self.folder / "fault.trace"
        with attached(target, output, injection.fault) as trace:
            life.go()
            if isinstance(injection.fault, Held):
                self._kill_held(life, injection, trace, Path(f"/proc/{pid}"), 0 if forked else target)
            done = life.end(step)
            patience = 1.0 if injection.kind == "kill" else 0.0
            with suppress(AssertionError):  # it was missed
                killed = f"{'' if forked else target} +++ killed"
                until(lambda: killed in words(output) or (not forked and dies(target)), "it dies", patience)
            if died := "+++ killed" in words(output) or (not forked and dies(target)):
                # A tracer that is told to end before that waits for ever.
                until(lambda: forked or f"{target} +++" in words(output), "the tracer saw all of it end")
        if died and process != "device":
            self.restart(life, process)
        return done, hits(trace.calls(), injection, self.folder_of(process))

    def _kill_held(self, life: Keeper, injection: Injection, trace: Trace, device: Path, target: int) -> None:
        """Kill a process while its call is held. Args: target: 0 for the user cloud that the step started."""

        def held() -> bool:
            return HELD in trace.text and bool(hits(trace.calls(), injection, self.folder_of(injection.point.process)))

        until(lambda: held() or not device.exists(), "the call is held", 30)
        if held():
            os.kill(target or self.stage.cloud(life.owner).pid, signal.SIGKILL)

    def _count(self, injection: Injection, struck: list[Point], amiss: Amiss, left: int = 0) -> None:
        for point in struck or [injection.point]:
            self.lines[point.process, point.call, point.place].most(amiss, left)

    def end(self, life: Keeper, *, services: bool = True) -> tuple[Amiss, int]:
        """End a life, and its user cloud; what is amiss, and how many processes are left.

        Args:
            services: Count algorithm services too. One that a host asked for just before it was killed is nobody's, and
                ended by the supervisor after its time.
        """
        amiss = life.finish()
        cloud = self.cloud(life)
        if cloud is not None:
            kill(cloud)

        def left() -> int:
            return sum(services or process.is_cloud for process in self.stage.forked())

        with suppress(AssertionError):
            until(lambda: not left(), "no process is left", 5)
        return amiss, left()

    def clear(self) -> None:
        """End what a life left that failed."""
        for process in self.stage.forked():
            with suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGKILL)
        until(lambda: not self.stage.forked(), "no process is left", 10)

    # -- all of them ---------------------------------------------------------------------------------------------------

    def all(self, story: Story, wanted: list[Injection], rounds: int = ROUNDS) -> list[Injection]:
        """Live until each of these points was hit; those that never were."""
        missed = wanted
        self.failures.clear()
        for _ in range(rounds):
            waiting = defaultdict[str, list[Injection]](list)
            for injection in missed:
                waiting[injection.point.verb].append(injection)
            missed = []
            while any(waiting.values()):
                faults = {verb: rest.pop(0) for verb, rest in waiting.items() if rest}
                try:
                    outcome = self.live(story, faults)
                except AssertionError as error:
                    # The others are tried all the same: one fault that is found must not hide the next.
                    named = [(f.point.process, f.point.verb, f.point.call, f.point.place) for f in faults.values()]
                    self.failures.append(f"{story.name} {named}: {error}")
                    assert len(self.failures) < PATIENCE, "\n\n".join(self.failures)
                    self.clear()
                    continue
                for injection, struck in outcome:
                    for point in struck:
                        self.lines[point.process, point.call, point.place].hit[injection.kind] += 1
                    if injection.point not in struck:
                        missed.append(injection)
        return missed


def standing_for_all(found: list[Injection]) -> list[Injection]:
    """Every kill just before something gets or loses its name, and of the others one at each point.

    Of failures one at each point of user cloud and witness, which go on.
    """
    chosen, points, failing = list[Injection](), set[Point](), set[Point]()
    for injection in found:
        point = injection.point
        if point.call in HARMLESS:
            continue
        if injection.kind == "fail":
            if point.process in ("cloud", "witness") and point not in failing:
                chosen.append(injection)
            failing.add(point)
        else:
            dividing = (point.process, point.call) in NAMING and point.place not in CACHES
            if dividing or point not in points:
                chosen.append(injection)
            points.add(point)
    return chosen
