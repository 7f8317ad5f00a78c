"""``kill -9`` of a witness, and a disk that fails: what it answered is there when it is started again.

A clean life of a pseudonym is traced for its durable calls; then at each of them in turn the process is killed, or the
call fails, and the life goes on after a restart. So is the first start, which makes the key.
"""

from __future__ import annotations

import os
import re
import signal
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.durability_strace import CALLS, Call, Fault, attached, parse, require_strace
from tests.support.durability_sync import judge
from tests.support.waiting import until
from tests.support.witness import Party, Witness, running_witness
from waykeep.authority.witnessing import Action, AdvanceOwner, Answer, Close, NameStateKey, RetireStateKeys
from waykeep.errors import ChannelError, WitnessError
from waykeep.witness.keyfile import LOCK

KINDS = ("kill", "fail")


@pytest.fixture(scope="module", autouse=True)
def tracing() -> None:
    require_strace()


# -- at each durable call ----------------------------------------------------------------------------------------------


@dataclass
class Life:
    """What an owner asks, step by step, and how far the witness answered."""

    party: Party
    answers: list[Answer] = field(default_factory=list)

    def steps(self, token: str) -> list[Action]:
        head = self.party.head
        second = self.party.key("second").public
        return [
            self.party.registration(token),
            NameStateKey(self.party.state.public),
            self.party.journal(None, 1),
            self.party.journal(1, 2),
            AdvanceOwner(head(1), head(2)),
            NameStateKey(second),
            RetireStateKeys((second,)),
            Close(self.party.key("successor").public),
            self.party.rotation(),
        ]

    def go_on(self, steps: list[Action]) -> str:
        """Ask what is not answered yet; the rule of what ended it, empty if nothing did."""
        try:
            for step in steps[len(self.answers) :]:
                self.answers.append(self.party.ask(step))
        except (ChannelError, WitnessError) as error:
            return error.rule
        return ""


def durable(calls: list[Call], state: Path) -> list[Call]:
    """Those of a trace that change or sync the witness's folder. Its lock is held, never read."""
    within = str(state)
    kept = [call for call in calls if call.path.startswith(within) and not call.path.endswith((LOCK, "-shm"))]
    return [call for call in kept if call.verb != "exit" and not call.error]


def clean_life(folder: Path) -> list[Call]:
    """The calls of a life without faults, to the end of the process."""
    with running_witness(folder, tokens=1) as witness, Party(witness) as party:
        steps = Life(party).steps(witness.tokens.pop())
        with attached(witness.process.pid, folder / "trace") as trace:
            assert Life(party).go_on(steps) == ""
            assert witness.stop() == 0
        return trace.calls()


def points(calls: list[Call], state: Path) -> list[Fault]:
    """A kill and a failure at each durable call."""
    found = []
    for call in durable(calls, state):
        error = "ENOSPC" if call.verb in ("write", "create") else "EIO"
        found += [Fault(call.name, call.nth), Fault(call.name, call.nth, error)]
    return list(dict.fromkeys(found))


def suffer(folder: Path, fault: Fault) -> str:
    """A life with a fault. Whatever was answered is there afterwards, and the life can be led to its end.

    Returns:
        The rule by which the fault ended it, empty where the witness could bear it.
    """
    with running_witness(folder, tokens=1) as witness, Party(witness) as party:
        life, pid = Life(party), witness.process.pid
        steps = life.steps(witness.tokens.pop())
        with attached(pid, folder / "trace", fault) as trace:
            ended = life.go_on(steps)
            if not ended or fault.error:
                assert ended in ("", "witness-store")
                assert life.go_on(steps) == "", "after a failed call the same request is taken"
                witness.stop()
            # A tracer that is told to end before that may not have written it.
            until(lambda: re.search(rf"^{pid} +\+\+\+", (folder / "trace").read_text(), re.M), "the tracer saw it end")
        assert trace.killed or any(call.injected for call in trace.calls()), "the fault hit nothing"
        witness.ended()
        witness.start()
        if life.answers:
            check(life, party)
        assert life.go_on(steps) == ""
        check(life, party)
        assert witness.counts() == {"pseudonyms": 1, "closed": 0, "tokens_left": 0}
    return ended


def check(life: Life, party: Party) -> None:
    """The witness holds what it answered last, or what was asked next and not answered."""
    held, last = party.client.read().held, life.answers[-1].held
    if held == last:
        return
    assert life.go_on(life.steps("")[: len(life.answers) + 1]) == ""
    assert life.answers[-1].held == held, "found neither what was answered nor what was asked"


def test_a_life_is_synced_before_it_is_answered(tmp_path: Path) -> None:
    calls = clean_life(tmp_path)
    state = str(tmp_path / "witness")
    # Not at its end: SQLite removes a log that was taken over, and would take it over again.
    found = judge(calls, lambda path: path.startswith(state) and not path.endswith(("-shm", LOCK)), told)
    assert found.unsynced == ()
    assert len([call for call in calls if told(call)]) == 9
    assert len([call for call in durable(calls, tmp_path / "witness") if call.verb.startswith("fsync")]) >= 9


def told(call: Call) -> bool:
    return call.verb == "answer" and call.path == "TCP"


@pytest.mark.parametrize("kind", KINDS)
def test_a_fault_in_the_first_and_in_a_late_commit(tmp_path: Path, kind: str) -> None:
    """The short form of the next one."""
    (tmp_path / "clean").mkdir()
    calls = clean_life(tmp_path / "clean")
    synced = [call for call in durable(calls, tmp_path / "clean" / "witness") if call.verb == "fsync"]
    written = [call for call in durable(calls, tmp_path / "clean" / "witness") if call.verb == "write"]
    rules = set()
    for number, call in enumerate((synced[0], written[0], synced[5])):
        folder = tmp_path / str(number)
        folder.mkdir()
        rules.add(suffer(folder, Fault(call.name, call.nth, "" if kind == "kill" else "EIO")))
    assert rules == {"witness-unreachable" if kind == "kill" else "witness-store"}


@pytest.mark.soak
def test_a_fault_at_each_durable_call(tmp_path: Path) -> None:
    (tmp_path / "clean").mkdir()
    faults = points(clean_life(tmp_path / "clean"), tmp_path / "clean" / "witness")
    assert len(faults) > 30
    for number, fault in enumerate(faults):
        folder = tmp_path / str(number)
        folder.mkdir()
        suffer(folder, fault)
    print(f"{len(faults)} faults, answered and lost: 0")


# -- the first start ---------------------------------------------------------------------------------------------------


def first_start(folder: Path, fault: Fault | None = None) -> tuple[list[Call], Witness]:
    """Start a witness under a tracer, from its first instruction; its calls. It has ended when this returns."""
    witness, output = Witness(folder / "witness"), folder / "trace"
    inject = ("-e", fault.option) if fault else ()
    traced = ("strace", "-f", "-yy", "-s", "0", "-o", str(output), "-e", f"trace={','.join(CALLS)}", *inject)
    witness.start(*traced, fails=fault is not None)
    if witness.process.poll() is None and witness.key:
        tracer = witness.process.pid
        traced_pid = int(Path(f"/proc/{tracer}/task/{tracer}/children").read_text())
        os.kill(traced_pid, signal.SIGTERM)
        witness.ended()
    return parse(output.read_text()), witness


def ready(call: Call) -> bool:
    """The line that tells the witness's key to whoever trusts it from then on."""
    return call.verb == "write" and call.path.startswith("pipe:")


def test_a_first_start_is_synced_before_the_key_is_told(tmp_path: Path) -> None:
    calls, witness = first_start(tmp_path)
    state = str(witness.state)
    kept = judge(calls, lambda path: path.startswith(state) and not path.endswith(("-shm", LOCK)), ready)
    assert kept.unsynced == ()
    assert {Path(name).name for name in kept.names} >= {"witness", "witness-key", "register.sqlite"}


def first_start_faults(folder: Path) -> list[Fault]:
    folder.mkdir()
    calls, witness = first_start(folder)
    return points(calls, witness.state)


def start_after(folder: Path, fault: Fault) -> None:
    """A first start with a fault, and the next: a key that was told is the key from then on."""
    folder.mkdir()
    _, witness = first_start(folder, fault)
    told_key = witness.key
    with running_witness(folder, tokens=1) as again, Party(again) as party:
        assert told_key in ("", again.key), "a key that somebody may trust is another now"
        party.register()
        left = {path.name for path in again.state.iterdir()}
    assert left <= {LOCK, "witness-key", "register.sqlite", "register.sqlite-wal", "register.sqlite-shm"}


def test_a_first_start_that_is_killed_as_its_key_is_made(tmp_path: Path) -> None:
    """The short form of the next one."""
    calls, witness = first_start(tmp_path)
    renamed = next(call for call in durable(calls, witness.state) if call.verb == "rename")
    start_after(tmp_path / "killed", Fault(renamed.name, renamed.nth))


@pytest.mark.soak
def test_a_first_start_that_is_killed_or_fails_at_each_durable_call(tmp_path: Path) -> None:
    faults = first_start_faults(tmp_path / "clean")
    assert len(faults) > 10
    for number, fault in enumerate(faults):
        start_after(tmp_path / str(number), fault)
