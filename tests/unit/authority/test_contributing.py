"""Intents and debits of studies in the journal: once each, of a study joined, within the budget."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.builders import NOW_MS, Owner, a_record, key, refused
from tests.unit.studying import (
    DAY_MS,
    a_budget,
    a_query,
    a_study,
    a_study_debit,
    an_intent,
    joining,
    signed,
    what_was_sent,
)
from waykeep.authority import journal
from waykeep.authority.journalstate import EMPTY, JournalState
from waykeep.authority.participation import Intended, Reading
from waykeep.authority.permissions import Joined, Withdrawn
from waykeep.authority.records import Detail
from waykeep.authority.statements import StateKeyNamed
from waykeep.errors import AuthorityError
from waykeep.formats.ids import sha256
from waykeep.formats.messages import Head
from waykeep.privacy.ledger import Span

OWNER, STUDY, MEMBERSHIP = joining()
QUERY = a_query(STUDY)
COST = a_study().cost


def add(state: JournalState, detail: Detail, owner: Owner = OWNER, **changes: Any) -> JournalState:
    return journal.fold(state, owner.state, [a_record(owner, state, detail, **changes)])


def no_study(state: JournalState, detail: Detail, owner: Owner = OWNER) -> None:
    with refused("journal-study", AuthorityError):
        add(state, detail, owner)


def intended(query: Any = QUERY, state: JournalState = EMPTY, owner: Owner = OWNER) -> JournalState:
    return add(state, an_intent(query), owner)


def debited(state: JournalState, query: Any = QUERY, owner: Owner = OWNER, **changes: Any) -> JournalState:
    return add(state, a_study_debit(query, MEMBERSHIP, state.head, **changes), owner)


def test_an_intent_a_debit_and_what_was_sent() -> None:
    state = intended()
    assert state.intended(STUDY, 0) == QUERY.id and state.learned == {}
    state = debited(state)
    assert state.learned == {STUDY: COST} and state.contributed(QUERY.id) is None
    state = add(state, what_was_sent(QUERY))
    found = state.contributed(QUERY.id)
    assert found is not None and found.answers == (((0, 3),),)
    # The next repetition, in the next period.
    again = a_query(STUDY, 1, 1)
    state = debited(intended(again, state), again)
    assert state.learned == {STUDY: 2 * COST}


def test_a_second_intent_in_a_period_is_refused() -> None:
    state = intended()
    for query in (QUERY, a_query(STUDY, name="another"), a_query(STUDY, 1)):
        with refused("journal-repeat", AuthorityError):
            intended(query, state)


def test_a_second_debit_of_a_repetition_is_refused() -> None:
    state = debited(intended())
    again = a_query(STUDY, 0, 1, "another")
    state = intended(again, state)
    with refused("journal-repeat", AuthorityError):
        debited(state, again)


def test_a_second_answer_is_refused() -> None:
    state = add(debited(intended()), what_was_sent(QUERY))
    with refused("journal-repeat", AuthorityError):
        add(state, what_was_sent(QUERY, answers=(((0, 4),),)))


def test_an_intent_to_a_study_that_was_not_joined_or_a_period_that_is_none_is_refused() -> None:
    no_study(EMPTY, Intended(sha256(b"another"), 0, QUERY.id))
    no_study(EMPTY, Intended(STUDY, 3, QUERY.id))


def test_an_answer_without_its_debit_is_refused() -> None:
    no_study(intended(), what_was_sent(QUERY))
    no_study(debited(intended()), what_was_sent(a_query(STUDY, name="another")))


@pytest.mark.parametrize(
    "changes",
    [
        {"membership": MEMBERSHIP - 1},
        {"cost": COST - 1},
        {"cost": 0},
        {"reads": ()},
        {"reads": (Reading({"location": ("lat_e7", "ts_ms")}, NOW_MS, NOW_MS + DAY_MS),)},
        {"reads": (Reading({"battery": ("ts_ms",)}, NOW_MS, NOW_MS + DAY_MS),)},
        {"reads": (Reading({"location": ("ts_ms",)}, NOW_MS, NOW_MS + DAY_MS + 1),)},
        {"reads": (Reading({"location": ("ts_ms",)}, NOW_MS - 1, NOW_MS),)},
        {"reads": (Reading({"location": ("ts_ms",)}, NOW_MS, NOW_MS),)},
        {"read_to": None},
        {"read_to": Head(0, sha256(b"another"))},
    ],
)
def test_a_debit_of_something_else_than_the_study_says_is_refused(changes: dict[str, Any]) -> None:
    state = intended()
    given = {"membership": MEMBERSHIP, "read_to": state.head, **changes}
    no_study(state, a_study_debit(QUERY, **given))


@pytest.mark.parametrize("query", [a_query(STUDY, name="another"), a_query(STUDY, 2), a_query(STUDY, 0, 1)])
def test_a_debit_of_a_query_that_was_not_intended_is_refused(query: Any) -> None:
    no_study(intended(), a_study_debit(query, MEMBERSHIP, intended().head))


def test_all_data_withheld_is_still_a_debit() -> None:
    assert debited(intended(), reads=(None,)).learned == {STUDY: COST}


def test_whoever_left_is_debited_no_more_and_what_was_debited_stays() -> None:
    owner, study, number = joining(name="leaving")
    state = debited(intended(owner=owner), owner=owner)
    owner.add(Withdrawn(number))
    again = a_query(study, 1, 1)
    no_study(state, an_intent(again), owner)
    assert state.learned == {STUDY: COST}
    # Quoting the head of before, nobody's record goes back to it: the journal's own rule.
    assert journal.fold(EMPTY, owner.state, []) == EMPTY


def test_debits_never_exceed_the_budget_that_counted_then() -> None:
    """Also where the study before was left: it counts with what was debited."""
    owner, first, number = joining(name="spender", total=2 * COST)
    state = debited(intended(owner=owner), owner=owner)
    owner.add(Withdrawn(number))
    owner.add(Joined(signed(a_study(title="another")).decode()))
    other = sha256(signed(a_study(title="another")))
    head = owner.state.head.number
    for repetition, right in ((0, True), (1, False)):
        query = a_query(other, repetition, repetition)
        state = intended(query, state, owner)
        if right:
            state = add(state, a_study_debit(query, head, state.head), owner)
        else:
            no_study(state, a_study_debit(query, head, state.head), owner)
    assert state.learned == {first: COST, other: COST}
    owner.add(a_budget(3 * COST))
    state = add(state, a_study_debit(a_query(other, 1, 1), head, state.head), owner)
    assert sum(state.learned.values()) == 3 * COST


def test_records_of_a_void_state_key_have_no_effect_and_do_not_break_the_chain() -> None:
    owner, study, number = joining(name="robbed")
    thief = key("a thief's state key")
    owner.add(StateKeyNamed(thief.public))
    named = owner.state.head.number
    state = EMPTY
    query = a_query(study)
    items = []
    for detail in (an_intent(query), a_study_debit(query, number, None), what_was_sent(query)):
        if items:
            state = journal.fold(EMPTY, owner.state, items)
        if not isinstance(detail, Intended) and hasattr(detail, "read_to"):
            detail = a_study_debit(query, number, state.head)
        items.append(a_record(owner, state, detail, thief))
    owner.rotate(void_from=named)
    folded = journal.fold(EMPTY, owner.state, items)
    assert folded.learned == {} and folded.contributed(query.id) is None and folded.head is not None


def test_a_span_is_a_studys_time() -> None:
    assert a_study().span == Span(NOW_MS, NOW_MS + 3 * DAY_MS, 2 * COST)
