"""Joining studies in the owner log: once, whole, and never beyond the budget; and what ends it."""

from __future__ import annotations

import msgspec
import pytest

from tests.unit.builders import NOW_MS, Owner, an_owner, refused
from tests.unit.studying import BUNDLE, DAY_MS, RESEARCHER, a_budget, a_question, a_study, joining, signed
from waykeep.authority import memberships
from waykeep.authority.permissions import (
    AlgorithmRevoked,
    EverythingRevoked,
    HolderRevoked,
    Joined,
    Withdrawn,
)
from waykeep.authority.statements import Body, KeyRevoked, Resumed
from waykeep.errors import AuthorityError, FormatError
from waykeep.formats.ids import sha256

COST = a_study().span.units


def with_budget(total: int, name: str = "member") -> Owner:
    owner = an_owner(name)
    owner.add(a_budget(total))
    return owner


def join(owner: Owner, title: str, **changes: object) -> None:
    owner.add(Joined(signed(a_study(title=title, **changes)).decode()), owner.device)


def test_a_member_is_one_from_the_entry_on() -> None:
    owner, digest, number = joining()
    state = owner.state
    found = state.member(digest)
    assert found is not None and found[0] == number
    assert found[1].study == a_study() and found[1].researcher == RESEARCHER.public
    assert state.member(digest, number - 1) is None
    assert state.member(sha256(b"another")) is None


def test_a_study_is_joined_once_also_after_it_was_left() -> None:
    owner, _, number = joining()
    for _ in range(2):
        with refused("log-study", AuthorityError):
            owner.add(Joined(signed(a_study()).decode()))
        if number in owner.state.memberships:
            owner.add(Withdrawn(number))


def test_what_is_no_study_is_not_joined() -> None:
    owner = with_budget(10**18)
    with refused("malformed", FormatError):
        owner.add(Joined("{}"))
    with refused("study-cohort", AuthorityError):
        owner.add(Joined(signed(a_study(minimum=1)).decode()))


# -- budget ------------------------------------------------------------------------------------------------------------


def test_without_a_budget_nothing_is_joined() -> None:
    owner = an_owner("without")
    with refused("log-budget", AuthorityError):
        join(owner, "one")


def test_a_budget_that_does_not_suffice_refuses_joining() -> None:
    owner = with_budget(2 * COST)
    join(owner, "one")
    join(owner, "two")
    with refused("log-budget", AuthorityError):
        join(owner, "three")
    owner = with_budget(2 * COST - 1)
    join(owner, "one")
    with refused("log-budget", AuthorityError):
        join(owner, "two")


def test_a_study_of_another_period_has_a_budget_of_its_own() -> None:
    owner = with_budget(COST)
    join(owner, "one")
    join(owner, "next year", starts_ms=NOW_MS + 365 * DAY_MS)
    with refused("log-budget", AuthorityError):
        join(owner, "over new year", starts_ms=NOW_MS + 364 * DAY_MS)


def test_whoever_leaves_has_room_again() -> None:
    owner = with_budget(COST)
    join(owner, "one")
    owner.add(Withdrawn(owner.state.head.number))
    join(owner, "two")


def test_a_budget_is_not_lowered_below_what_was_joined() -> None:
    owner = with_budget(2 * COST)
    join(owner, "one")
    owner.add(a_budget(COST))
    with refused("log-budget", AuthorityError):
        owner.add(a_budget(COST - 1))
    assert owner.state.budget() == a_budget(COST)
    assert owner.state.budget(owner.state.head.number - 1) == a_budget(2 * COST)
    assert owner.state.budget(1) is None


def test_too_many_studies_at_once_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memberships, "MAX_MEMBERSHIPS", 3)
    owner = with_budget(10**18)
    for number in range(3):
        join(owner, f"study {number}")
    with refused("log-limit", AuthorityError):
        join(owner, "one more")


# -- what ends it ------------------------------------------------------------------------------------------------------


def ended(body: Body, *, authority: bool = False) -> str:
    """The rule by which a membership ends with an entry; it counts until that."""
    owner, digest, number = joining()
    before = owner.state.head.number
    state = owner.add(body, owner.authority if authority else owner.device)
    assert state.member(digest) is None
    assert state.member(digest, before) is not None
    assert number in state.joined and number not in state.memberships
    return state.ended[number].rule


def test_leaving() -> None:
    _, _, number = joining()
    assert ended(Withdrawn(number)) == "grant-withdrawn"


def test_revoking_its_algorithm_its_researcher_or_everything() -> None:
    for body in (AlgorithmRevoked(BUNDLE), HolderRevoked(RESEARCHER.public), EverythingRevoked()):
        assert ended(body) == "grant-withdrawn"


def test_a_resume_or_a_revoked_device_use_it_up() -> None:
    assert ended(Resumed(None, None)) == "grant-used-up"
    owner, _, _ = joining()
    assert ended(KeyRevoked(owner.device.public), authority=True) == "grant-used-up"


def test_a_rotation_leaves_no_membership_and_knows_that_there_was_one() -> None:
    owner, digest, number = joining()
    state = owner.rotate()
    assert state.member(digest) is None and number in state.joined
    assert state.ended[number].rule == "grant-used-up"
    owner, digest, number = joining()
    state = owner.rotate(void_from=number)
    assert state.member(digest) is None and state.ended[number].rule == "grant-void"


def test_other_revocations_leave_it_in_force() -> None:
    owner, digest, _ = joining()
    for body in (AlgorithmRevoked(sha256(b"other")), HolderRevoked(owner.writer.public)):
        assert owner.add(body).member(digest) is not None


def test_a_question_more_is_another_study() -> None:
    more = a_study(questions=(a_question(), msgspec.structs.replace(a_question(), name="more")))
    assert more.cost == 2 * a_study().cost
    owner = with_budget(2 * COST)
    owner.add(Joined(signed(more).decode()))
    with refused("log-budget", AuthorityError):
        join(owner, "another")
