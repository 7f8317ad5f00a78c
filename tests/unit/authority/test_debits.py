"""Debits in the journal: each is of a grant in force, fits it, and is one of its runs. Also for who only reads it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.authority.entries import (
    BITS,
    BUNDLE,
    OTHER_HOLDER,
    OTHER_RECIPIENT,
    a_debit,
    a_grant,
    a_run,
    an_outcome,
    granting,
)
from tests.unit.builders import NOW_MS, Owner, a_line, a_record, an_approval, key, refused
from waykeep.authority import journal, journalstate
from waykeep.authority.asking import Ask
from waykeep.authority.chains import Used
from waykeep.authority.journalstate import EMPTY, JournalState
from waykeep.authority.keys import SigningKey
from waykeep.authority.permissions import Withdrawn
from waykeep.authority.records import Debited, Detail, JournalObject, SegmentEntry, SegmentsAccepted
from waykeep.authority.statements import Body, Resumed, StateKeyNamed, StateKeyRetired
from waykeep.errors import AuthorityError
from waykeep.formats.ids import Digest, sha256
from waykeep.formats.messages import Head

OWNER, GRANT = granting("granting")
"""Two runs."""


def add(state: JournalState, detail: Detail, owner: Owner = OWNER, **changes: Any) -> JournalState:
    return journal.fold(state, owner.state, [a_record(owner, state, detail, **changes)])


def debited(state: JournalState, request: str, owner: Owner = OWNER, number: int = GRANT, **changes: Any) -> Debited:
    return a_debit(number, request, **{"read_to": state.head, **changes})


def refused_debit(state: JournalState, detail: Detail, owner: Owner = OWNER, **changes: Any) -> None:
    with refused("journal-debit", AuthorityError):
        add(state, detail, owner, **changes)


def test_debits_and_their_outcomes_are_folded() -> None:
    state = EMPTY
    for request in ("one", "two"):
        state = add(state, debited(state, request))
        state = add(state, an_outcome(request))
    assert state.used == {OWNER.state.digest_at(GRANT): (2, 2 * BITS)}
    assert [len(state.debits), len(state.outcomes)] == [2, 2]
    assert state.debit("one".ljust(22, "-")) is not None and state.spent("two".ljust(22, "-"))


# -- journal-debit -----------------------------------------------------------------------------------------------------


def test_one_more_than_the_grants_runs_is_refused() -> None:
    state = EMPTY
    for request in ("one", "two"):
        state = add(state, debited(state, request))
    refused_debit(state, debited(state, "three"))
    # Also where the first two are only known from a snapshot.
    later = journalstate.begin(None, state.head, state.quoted, state.used)
    refused_debit(later, debited(later, "three"))


@pytest.mark.parametrize(
    "changes",
    [
        {"holder": OTHER_HOLDER.public},
        {"recipient": OTHER_RECIPIENT},
        {"algorithm": sha256(b"another")},
        {"from_ms": NOW_MS - 1},
        {"to_ms": NOW_MS + 1001},
        {"from_ms": NOW_MS + 5, "to_ms": NOW_MS + 5},
        {"inputs": {"location": ("ts_ms", "lat_e7")}},
        {"inputs": {"location": ()}},
        {"inputs": {"battery": ("ts_ms",)}},
        {"ask": Ask(step_ms=7)},
        {"bits": 1001},
        {"links": ("no link",)},
        {"parameters": {"stay_radius_m": 150}},
        {"parameters": {"stay_radius_m": True}},
        {"parameters": {"another": 100}},
        {"read_to": Head(0, sha256(b"another record"))},
        {"read_to": Head(7, sha256(b"to come"))},
        {"grant": GRANT - 1},  # the state key's entry
        {"grant": GRANT + 1},
        {"grant": 0},
    ],
    ids=str,
)
def test_a_debit_that_does_not_fit_its_grant_is_refused(changes: dict[str, Any]) -> None:
    add(EMPTY, debited(EMPTY, "one"))
    refused_debit(EMPTY, debited(EMPTY, "one", **changes))


@pytest.mark.parametrize("known", [None, 0])
def test_a_debit_that_does_not_read_up_to_its_own_place_is_refused(known: int | None) -> None:
    state = add(add(EMPTY, a_run("one")), a_run("two"))
    digest = state.digest_at(0)
    read_to = None if known is None or digest is None else Head(known, digest)
    add(state, debited(state, "one"))
    refused_debit(state, debited(state, "one", read_to=read_to))


def test_a_debit_of_an_approval_is_refused() -> None:
    """That is for the owner's own runs."""
    owner, number = granting("approving")
    owner.add(an_approval())
    refused_debit(EMPTY, debited(EMPTY, "one", number=number + 1), owner)


@pytest.mark.parametrize("ending", [Withdrawn(GRANT), Resumed(None, None)], ids=["withdrawn", "used up"])
def test_a_debit_counts_by_the_head_that_its_record_quotes(ending: Body) -> None:
    """Before the end it is in order, and stays so for who reads it long after."""
    owner = OWNER.again()
    before = owner.state.head
    end = owner.add(ending).head
    owner.add(an_approval())
    state = add(EMPTY, debited(EMPTY, "one"), owner, owner_head=before)
    assert state.used == {owner.state.digest_at(GRANT): (1, BITS)}
    for quoted in (end, owner.state.head):
        refused_debit(state, debited(state, "two"), owner, owner_head=quoted)


def test_a_debit_of_a_void_grant_is_refused() -> None:
    owner = OWNER.again()
    owner.rotate(GRANT)
    owner.add(StateKeyNamed(key("after").public))
    with refused("journal-debit"):
        journal.fold(EMPTY, owner.state, [a_record(owner, EMPTY, debited(EMPTY, "one"), key("after"))])


def test_a_debit_that_quotes_a_head_before_its_grant_is_refused() -> None:
    before = Head(GRANT - 1, OWNER.state.digest_at(GRANT - 1))
    refused_debit(EMPTY, debited(EMPTY, "one"), owner_head=before)


def test_an_outcome_without_its_debit_is_refused() -> None:
    state = add(EMPTY, debited(EMPTY, "one"))
    refused_debit(state, an_outcome("two"))
    refused_debit(EMPTY, an_outcome("one"))


# -- journal-repeat ----------------------------------------------------------------------------------------------------


def test_a_request_is_debited_once_whatever_grant_it_names() -> None:
    owner = OWNER.again()
    other = owner.add(a_grant(), owner.device).head.number
    state = add(EMPTY, debited(EMPTY, "one"), owner)
    for number in (GRANT, other):
        with refused("journal-repeat", AuthorityError):
            add(state, debited(state, "one", number=number), owner)


def test_an_outcome_is_recorded_once() -> None:
    state = add(EMPTY, debited(EMPTY, "one"))
    state = add(state, an_outcome("one"))
    with refused("journal-repeat", AuthorityError):
        add(state, an_outcome("one"))


class Snapshot:
    """A base that knows one of each."""

    def digest(self, number: int) -> Digest | None:
        return sha256(b"record 3") if number == 3 else None

    def segment(self, name: str) -> SegmentEntry | None:
        return a_line(name) if name == "a.age" else None

    def ran(self, run_id: str) -> bool:
        return run_id == a_run().run_id

    def debit(self, request_id: str) -> Debited | None:
        return a_debit(GRANT, "one") if request_id == a_debit(GRANT, "one").request_id else None

    def spent(self, request_id: str) -> bool:
        return request_id == an_outcome("spent").request_id


def test_what_a_snapshot_knows_counts_as_much_as_what_was_folded() -> None:
    state = journalstate.begin(
        Snapshot(), Head(3, sha256(b"record 3")), 2, {OWNER.state.digest_at(GRANT): Used(1, BITS)}
    )
    repeated: list[Detail] = [
        SegmentsAccepted((a_line("a.age"),)),
        a_run(),
        debited(state, "one"),
        an_outcome("spent"),
    ]
    for detail in repeated:
        with refused("journal-repeat", AuthorityError):
            add(state, detail)
    after = add(state, an_outcome("one"))
    assert (after.digest_at(3), after.digest_at(4)) == (sha256(b"record 3"), after.head and after.head.digest)
    assert after.digest_at(2) is None
    after = add(after, debited(after, "two"))
    refused_debit(after, debited(after, "three"))


# -- state keys --------------------------------------------------------------------------------------------------------


def test_a_retired_state_keys_record_is_refused_when_it_quotes_a_later_head_and_taken_when_earlier() -> None:
    owner = OWNER.again()
    heads = [owner.state.head]
    heads.append(owner.add(StateKeyRetired(owner.state_key.public)).head)
    heads.append(owner.add(an_approval()).head)
    assert add(EMPTY, a_run(), owner, owner_head=heads[0]).runs
    for quoted in heads[1:]:
        with refused("journal-signer", AuthorityError):
            add(EMPTY, a_run(), owner, owner_head=quoted)
    assert not owner.state.signs_now(owner.state_key.public)


def test_a_retired_state_key_cannot_follow_a_record_of_its_successor() -> None:
    """The successor quotes the head that retired it, and quotes never go back."""
    owner = OWNER.again()
    before = owner.state.head
    owner.add(StateKeyRetired(owner.state_key.public))
    new: SigningKey = key("successor")
    owner.add(StateKeyNamed(new.public))
    state = journal.fold(EMPTY, owner.state, [a_record(owner, EMPTY, a_run("one"), new)])
    with refused("journal-head", AuthorityError):
        add(state, a_run("two"), owner, owner_head=before)


# -- any order ---------------------------------------------------------------------------------------------------------


def runs_of(owner: Owner, state: JournalState, number: int) -> int:
    return state.used.get(owner.state.digest_at(number), Used(0, 0)).runs


STEPS = st.lists(st.sampled_from(["debit", "outcome", "run", "segments", "withdraw", "grant", "resume"]), max_size=14)


@settings(max_examples=60, deadline=None)
@given(STEPS, st.integers(1, 3), st.data())
def test_no_journal_holds_more_debits_than_a_grants_runs(steps: list[str], runs: int, data: st.DataObject) -> None:
    """And it is folded to the same however it is cut, and long after the grants ended."""
    owner, number = granting("any", runs=runs)
    state, items, grants = EMPTY, list[JournalObject](), {number: runs}
    chosen = number
    for at, step in enumerate(steps):
        detail: Detail
        match step:
            case "debit":
                chosen = data.draw(st.sampled_from(sorted(grants)))
                detail = debited(state, str(at), number=chosen)
            case "outcome":
                detail = an_outcome(str(data.draw(st.integers(0, at))))
            case "run":
                detail = a_run(str(at))
            case "segments":
                detail = SegmentsAccepted((a_line(f"{at}.age"),))
            case _:
                if step == "grant":
                    grants[owner.add(a_grant(runs=runs)).head.number] = runs
                elif step == "resume" or not owner.state.grants:
                    owner.add(Resumed(None, None))
                else:
                    owner.add(Withdrawn(min(owner.state.grants)))
                continue
        item = a_record(owner, state, detail)
        may = isinstance(detail, Debited) and detail.grant in owner.state.grants
        try:
            after = journal.fold(state, owner.state, [item])
        except AuthorityError as error:
            assert error.rule in ("journal-debit", "journal-repeat")
            assert not may or runs_of(owner, state, chosen) == runs
            continue
        assert may or not isinstance(detail, Debited)
        state = after
        items.append(item)
    counts: dict[int, int] = {}
    for one in state.debits.values():
        counts[one.grant] = counts.get(one.grant, 0) + 1
    assert counts == {number: spent for number in grants if (spent := runs_of(owner, state, number))}
    assert all(count <= grants[grant] for grant, count in counts.items())
    assert len(state.outcomes) <= len(state.debits)
    cut = data.draw(st.integers(0, len(items)))
    parts = journal.fold(journal.fold(EMPTY, owner.state, items[:cut]), owner.state, items[cut:])
    assert parts == state == journal.fold(EMPTY, owner.state, items)


def test_the_bundle_of_a_debit_is_the_grants() -> None:
    assert debited(EMPTY, "one").algorithm == a_grant().algorithm == BUNDLE
