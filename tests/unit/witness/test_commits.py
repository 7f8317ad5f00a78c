"""Group commit: who arrives together is committed together, and nobody is answered before."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.builders import key
from tests.unit.witness.asking import asked, head
from waykeep.authority import keys
from waykeep.authority.witnessing import Held, Register, Request
from waykeep.errors import WitnessError
from waykeep.formats.ids import Digest
from waykeep.witness.commits import GroupCommit, Outcome
from waykeep.witness.register import NAME, SqliteRegister

COUNT = 20


@pytest.fixture
def register(tmp_path: Path) -> Iterator[SqliteRegister]:
    found = SqliteRegister(tmp_path)
    found.admit([str(number) for number in range(COUNT)])
    yield found
    found.close()


def registration(number: int) -> Callable[[SqliteRegister], Held]:
    control = key(f"control {number}").public
    action = Register(str(number), control, Digest(f"sha256:{number:064x}"), Held(head(1), None, None, 0, ()))
    whole = asked(action)
    mine = Request(whole.witness, keys.key_digest(control), whole.nonce, action)
    return lambda register: register.apply(mine, control)


async def commit(
    register: SqliteRegister, works: list[Callable[[SqliteRegister], Held]], failures: list[str]
) -> list[Outcome]:
    """What comes of each of these: the first, and then the others, which arrive while it is committed."""
    loop, outcomes, arrived = asyncio.get_running_loop(), dict[int, Outcome](), asyncio.Event()
    commits = GroupCommit(register, loop, failures.append)

    def submit(number: int, work: Callable[[SqliteRegister], Held]) -> None:
        def now() -> Held:
            arrived.set()
            return work(register)

        commits.submit(now, lambda outcome: outcomes.update({number: outcome}))

    submit(0, works[0])
    await arrived.wait()
    for number, work in enumerate(works[1:], 1):
        submit(number, work)
    await commits.close()
    return [outcomes[number] for number in range(len(works))]


def test_what_arrives_during_a_commit_is_committed_together(register: SqliteRegister) -> None:
    statements: list[str] = []
    register._db.set_trace_callback(statements.append)
    outcomes = asyncio.run(commit(register, [registration(number) for number in range(COUNT)], []))
    assert [type(outcome) for outcome in outcomes] == [Held] * COUNT
    assert statements.count("COMMIT") == 2
    assert register.counts().pseudonyms == COUNT


def test_a_refusal_is_told_to_whom_it_concerns(register: SqliteRegister) -> None:
    works = [registration(0), registration(1), registration(COUNT + 1), registration(2)]
    outcomes = asyncio.run(commit(register, works, []))
    rules = [outcome.rule if isinstance(outcome, WitnessError) else "" for outcome in outcomes]
    assert rules == ["", "", "witness-token", ""]
    assert register.counts().pseudonyms == 3


def test_witness_store_for_all_of_a_batch_that_cannot_begin(register: SqliteRegister, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / NAME, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    failures: list[str] = []
    outcomes = asyncio.run(commit_blocked(register, failures))
    assert [outcome.rule for outcome in outcomes if isinstance(outcome, WitnessError)] == ["witness-store"] * 3
    assert failures == ["SQLITE_BUSY"]
    other.close()
    assert register.counts().pseudonyms == 0
    asyncio.run(commit(register, [registration(0)], failures))
    assert register.counts().pseudonyms == 1


async def commit_blocked(register: SqliteRegister, failures: list[str]) -> list[Outcome]:
    outcomes: list[Outcome] = []
    commits = GroupCommit(register, asyncio.get_running_loop(), failures.append, busy_s=0.05)
    for number in range(3):
        work = registration(number)
        commits.submit(lambda work=work: work(register), outcomes.append)
    await commits.close()
    return outcomes


def test_the_loop_goes_on_while_another_process_holds_the_database(register: SqliteRegister, tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / NAME, isolation_level=None)
    outcomes = asyncio.run(commit_held(register, other))
    assert [type(outcome) for outcome in outcomes] == [Held] * 2
    other.close()


async def commit_held(register: SqliteRegister, other: sqlite3.Connection) -> list[Outcome]:
    """What comes of two that arrive while it is held, by somebody who lets go in the same loop."""
    outcomes, failures, tried = list[Outcome](), list[str](), asyncio.Event()
    commits = GroupCommit(register, asyncio.get_running_loop(), failures.append)
    begin = register.begin

    def begins(*, writing: bool = True) -> None:
        tried.set()
        begin(writing=writing)

    register.begin = begins  # only to see that it was tried
    other.execute("BEGIN IMMEDIATE")
    commits.submit(lambda: registration(0)(register), outcomes.append)
    await tried.wait()
    commits.submit(lambda: registration(1)(register), outcomes.append)
    await asyncio.sleep(0)
    assert not outcomes
    other.execute("ROLLBACK")
    await commits.close()
    assert not failures
    return outcomes


def test_witness_store_for_all_of_a_batch_in_which_something_breaks(register: SqliteRegister) -> None:
    def breaks(register: SqliteRegister) -> Held:
        raise ZeroDivisionError

    failures: list[str] = []
    outcomes = asyncio.run(commit(register, [registration(0), registration(1), breaks, registration(2)], failures))
    rules = [outcome.rule if isinstance(outcome, WitnessError) else "" for outcome in outcomes]
    assert rules == ["", *["witness-store"] * 3]
    assert failures == ["ZeroDivisionError"]
    assert register.counts().pseudonyms == 1
