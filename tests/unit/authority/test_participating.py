"""What a user cloud decides before it takes part in a query: by the witness's time, once for each repetition."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.builders import NOW_MS, Owner, a_record, refused
from tests.unit.studying import (
    DAY_MS,
    HOUR_MS,
    a_query,
    a_study,
    a_study_debit,
    an_intent,
    joining,
    signed,
    what_was_sent,
)
from waykeep.authority import journal, participating
from waykeep.authority.journalstate import EMPTY, JournalState
from waykeep.authority.participating import Debit
from waykeep.authority.permissions import Joined, Withdrawn, Withheld
from waykeep.authority.records import Detail
from waykeep.authority.statements import WAIVER, WitnessWaived
from waykeep.errors import AuthorityError
from waykeep.formats.ids import sha256

OWNER, STUDY, MEMBERSHIP = joining(name="participating")
QUERY = a_query(STUDY)
INPUTS = ({"location": ("ts_ms",)},)
SOON = NOW_MS + 1


def add(state: JournalState, detail: Detail, owner: Owner = OWNER) -> JournalState:
    return journal.fold(state, owner.state, [a_record(owner, state, detail)])


def debit(state: JournalState, query: Any = QUERY, time_ms: int = SOON, owner: Owner = OWNER) -> Debit:
    return participating.debit(owner.state, state, query, INPUTS, time_ms, (1,))


INTENDED = add(EMPTY, an_intent(QUERY))


def test_an_intent_is_made_once() -> None:
    assert participating.intend(OWNER.state, EMPTY, QUERY, SOON) == an_intent(QUERY)
    assert participating.intend(OWNER.state, INTENDED, QUERY, SOON) is None


def test_a_debit_is_found_again_with_the_same_data() -> None:
    first = debit(INTENDED)
    assert not first.known and first.made == a_study_debit(QUERY, MEMBERSHIP, INTENDED.head)
    state = add(INTENDED, first.made)
    again = debit(state)
    assert again.known and again.made == first.made and again.plans == first.plans
    # Also when its answer was sent before.
    assert debit(add(state, what_was_sent(QUERY))).known


def test_study_not_joined() -> None:
    with refused("study-not-joined", AuthorityError):
        participating.intend(OWNER.state, EMPTY, a_query(sha256(b"another")), SOON)
    owner, study, number = joining(name="left")
    owner.add(Withdrawn(number))
    with refused("study-not-joined", AuthorityError):
        participating.intend(owner.state, EMPTY, a_query(study), SOON)


def test_nobody_does_without_a_witness_even_who_accepted_that_for_grants() -> None:
    owner, study, _ = joining(name="without a witness")
    assert participating.intend(owner.state, EMPTY, a_query(study), SOON)
    owner.add(WitnessWaived(WAIVER))
    with refused("witness-missing", AuthorityError):
        participating.intend(owner.state, EMPTY, a_query(study), SOON)
    with refused("witness-missing", AuthorityError):
        debit(INTENDED, a_query(study), owner=owner)


@pytest.mark.parametrize("time_ms", [NOW_MS - 1, NOW_MS + 3 * DAY_MS])
def test_a_witness_time_outside_the_window_is_refused(time_ms: int) -> None:
    with refused("study-not-in-time", AuthorityError):
        participating.intend(OWNER.state, EMPTY, QUERY, time_ms)


def test_query_period() -> None:
    with refused("query-period", AuthorityError):
        participating.intend(OWNER.state, EMPTY, QUERY, NOW_MS + DAY_MS)
    with refused("query-period", AuthorityError):
        participating.intend(OWNER.state, EMPTY, a_query(STUDY, 0, 1), SOON)


def test_repetition_unknown() -> None:
    with refused("repetition-unknown", AuthorityError):
        participating.intend(OWNER.state, EMPTY, a_query(STUDY, 2), SOON)


def test_an_intent_lapses_when_the_witnessed_time_passes_its_deadline() -> None:
    participating.intend(OWNER.state, EMPTY, QUERY, NOW_MS + HOUR_MS - 1)
    with refused("intent-lapsed", AuthorityError):
        participating.intend(OWNER.state, EMPTY, QUERY, NOW_MS + HOUR_MS)


def test_a_second_query_in_a_period_is_refused() -> None:
    """An aggregator that was restarted is another query."""
    for query in (a_query(STUDY, name="restarted"), a_query(STUDY, 1)):
        with refused("period-tried", AuthorityError):
            participating.intend(OWNER.state, INTENDED, query, SOON)


def test_what_nobody_was_debited_for_is_tried_in_the_next_period() -> None:
    restarted = a_query(STUDY, 0, 1, "restarted")
    assert participating.intend(OWNER.state, INTENDED, restarted, NOW_MS + DAY_MS) == an_intent(restarted)


def test_a_second_query_of_a_repetition_in_which_the_member_debited_is_refused() -> None:
    state = add(INTENDED, debit(INTENDED).made)
    restarted = a_query(STUDY, 0, 1, "restarted")
    with refused("repetition-debited", AuthorityError):
        participating.intend(OWNER.state, state, restarted, NOW_MS + DAY_MS)
    with refused("repetition-debited", AuthorityError):
        debit(state, restarted, NOW_MS + DAY_MS)


def test_a_query_id_with_other_parameters_is_another_query() -> None:
    """The id is the digest of study, repetition, period and keys: none can be changed and the id kept."""
    other = [
        a_query(sha256(b"another")),
        a_query(STUDY, 1),
        a_query(STUDY, 0, 1),
        a_query(STUDY, name="another"),
    ]
    assert len({query.id for query in (QUERY, *other)}) == 5
    with refused("query-unintended", AuthorityError):
        debit(INTENDED, a_query(STUDY, name="another"))
    with refused("query-unintended", AuthorityError):
        debit(EMPTY)


def test_a_query_whose_time_is_over_is_not_debited_nor_answered() -> None:
    late = NOW_MS + 2 * HOUR_MS
    with refused("query-late", AuthorityError):
        debit(INTENDED, time_ms=late)
    made = debit(INTENDED, time_ms=late - 1).made
    participating.still(OWNER.state, made, late - 1)
    with refused("query-late", AuthorityError):
        participating.still(OWNER.state, made, late)


def test_whoever_left_meanwhile_answers_nothing() -> None:
    owner, study, number = joining(name="leaving meanwhile")
    state = add(EMPTY, an_intent(a_query(study)), owner)
    made = debit(state, a_query(study), owner=owner).made
    owner.add(Withdrawn(number))
    with refused("study-not-joined", AuthorityError):
        participating.still(owner.state, made, SOON)


def test_withheld_data_is_not_read_and_refuses_nothing() -> None:
    """Whether somebody withholds, nobody is told."""
    owner, study, _ = joining(name="withholding")
    query = a_query(study)
    state = add(EMPTY, an_intent(query), owner)
    before = debit(state, query, owner=owner)
    owner.add(Withheld(None, None, None, "all"))
    found = debit(state, query, owner=owner)
    assert found.plans == (None,) and found.made.reads == (None,) and found.made.withheld == (owner.state.head.number,)
    # What was debited before is not read any more either.
    again = debit(add(state, before.made, owner), query, owner=owner)
    assert again.known and again.plans == (None,)


def test_a_budget_that_was_used_up_meanwhile_refuses_the_intent() -> None:
    """Where somebody left a study and joined another: what was debited counts."""
    owner, first, number = joining(name="used up", total=2 * a_study().cost)
    state = EMPTY
    for repetition in (0, 1):
        query = a_query(first, repetition, repetition)
        state = add(state, an_intent(query), owner)
        state = add(state, a_study_debit(query, number, state.head), owner)
    owner.add(Withdrawn(number))
    owner.add(Joined(signed(a_study(title="another")).decode()))
    with refused("log-budget", AuthorityError):
        participating.intend(owner.state, state, a_query(sha256(signed(a_study(title="another")))), SOON)
