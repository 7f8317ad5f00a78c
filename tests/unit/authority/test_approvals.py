"""The one place that decides whether a run may happen."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import NOW_MS, an_approval, an_owner, key, refused
from waykeep.authority.approvals import Allowed, authorize, require
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.permissions import Approved
from waykeep.authority.plans import ReadPlan
from waykeep.authority.reviews import Review, vouch
from waykeep.errors import AuthorityError
from waykeep.formats.ids import Digest, sha256
from waykeep.formats.messages import Run, Value

LOG = an_owner().state
PARAMETERS: dict[str, Value] = {"stay_radius_m": 100, "exact": True, "mode": "fast"}
INPUTS = {"location": ("ts_ms", "lat_e7")}


def state(*approvals: Approved) -> OwnerState:
    """A log whose entries 7, 8, ... are these approvals."""
    return msgspec.structs.replace(LOG, approvals=dict(enumerate(approvals, 7)))


def a_run(**changes: Any) -> Run:
    run = Run("r" * 22, sha256(b"bundle"), {}, NOW_MS, NOW_MS + 1000, NOW_MS)
    return msgspec.structs.replace(run, **changes)


def decide(*approvals: Approved, parameters: dict[str, Value] = PARAMETERS, **changes: Any) -> Allowed:
    return authorize(state(*approvals), a_run(**changes), INPUTS, parameters)


def test_what_is_approved_is_planned() -> None:
    assert decide(an_approval()) == (7, ReadPlan(INPUTS, NOW_MS, NOW_MS + 1000), "derived/trips")
    assert decide(an_approval(), from_ms=None, to_ms=None).plan == decide(an_approval()).plan


def test_a_narrower_window_is_planned_as_asked() -> None:
    plan = decide(an_approval(), from_ms=NOW_MS + 10, to_ms=NOW_MS + 20).plan
    assert (plan.from_ms, plan.to_ms) == (NOW_MS + 10, NOW_MS + 20)


def test_nothing_is_kept_where_the_scope_says_so() -> None:
    assert decide(an_approval(stores=False)).store_as == decide(an_approval(store_as="")).store_as == ""


# -- refused -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("approvals", [(), (an_approval(algorithm=sha256(b"other")),)])
def test_algorithm_not_approved(approvals: tuple[Approved, ...]) -> None:
    with refused("algorithm-not-approved", AuthorityError):
        decide(*approvals)
    with refused("algorithm-not-approved", AuthorityError):
        require(state(*approvals), a_run())
    require(state(an_approval()), a_run())


def test_approval_expired() -> None:
    """By the device's clock: the owner's own."""
    limited = an_approval(not_before_ms=NOW_MS, until_ms=NOW_MS + 10)
    assert decide(limited).number == 7
    for time_ms in (NOW_MS - 1, NOW_MS + 10):
        with refused("approval-expired", AuthorityError):
            decide(limited, time_ms=time_ms)


def test_review_missing_for_an_own_run() -> None:
    reviewer = key("reviewer")
    vetted = an_approval(vetted=((reviewer.public,),))
    with refused("review-missing", AuthorityError):
        decide(vetted)
    review = vouch(Review(vetted.algorithm, NOW_MS + 1, "read it"), reviewer).decode()
    assert decide(vetted, reviews=(review,)).number == 7
    with refused("review-missing", AuthorityError):
        decide(vetted, reviews=(review,), time_ms=NOW_MS + 1)


@pytest.mark.parametrize("digest", ["", sha256(b"bundle").upper(), sha256(b"bundle")[:-1], sha256(b"bundle") + " "])
def test_algorithm_not_approved_by_a_digest_that_is_nearly_it(digest: Digest) -> None:
    with refused("algorithm-not-approved", AuthorityError):
        decide(an_approval(), digest=digest)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("stay_radius_m", 150),  # between two that are allowed
        ("stay_radius_m", True),
        ("stay_radius_m", "100"),
        ("exact", 1),  # equal to True
        ("exact", False),
        ("mode", "slow"),
        ("mode", ""),
        ("unknown", 100),
    ],
)
def test_parameter_not_allowed(name: str, value: Value) -> None:
    with refused("parameter-not-allowed", AuthorityError):
        decide(an_approval(), parameters=PARAMETERS | {name: value})


def test_parameter_not_allowed_where_no_value_is() -> None:
    with refused("parameter-not-allowed", AuthorityError):
        decide(an_approval(parameters={"stay_radius_m": ()}), parameters={"stay_radius_m": 100})


@pytest.mark.parametrize(
    ("from_ms", "to_ms"),
    [
        (NOW_MS - 1, NOW_MS + 1000),
        (NOW_MS, NOW_MS + 1001),
        (NOW_MS + 10, NOW_MS + 10),  # empty
        (NOW_MS + 20, NOW_MS + 10),  # backwards
        (0, NOW_MS),
        (NOW_MS + 1000, NOW_MS + 2000),
    ],
)
def test_time_not_allowed(from_ms: int, to_ms: int) -> None:
    with refused("time-not-allowed", AuthorityError):
        decide(an_approval(), from_ms=from_ms, to_ms=to_ms)


# -- several approvals -------------------------------------------------------------------------------------------------


def test_the_newest_that_allows_it_counts() -> None:
    wide, narrow = an_approval(), an_approval(streams={"location": ("ts_ms",)})
    assert decide(wide, an_approval(level=3)).number == 8
    assert decide(narrow, wide).number == 8
    assert decide(wide, narrow).number == 7, "it lacks a column"


def test_an_older_one_counts_where_the_newest_does_not_allow_it() -> None:
    """An approval is withdrawn by none that comes after it."""
    assert decide(an_approval(), an_approval(to_ms=NOW_MS + 1)).number == 7


def test_two_approvals_do_not_add_up() -> None:
    """One allows the parameter, the other the window: neither allows both."""
    one, other = an_approval(to_ms=NOW_MS + 1), an_approval(parameters={})
    with refused("time-not-allowed", AuthorityError):
        decide(one, other)
    halves = an_approval(to_ms=NOW_MS + 500), an_approval(from_ms=NOW_MS + 500)
    with refused("time-not-allowed", AuthorityError):
        decide(*halves)


VALUES = st.one_of(st.integers(0, 2), st.booleans(), st.sampled_from(["", "a", "1", "True"]))
SETS = st.lists(VALUES, max_size=4).map(tuple)


@given(
    allowed=SETS,
    asked=VALUES,
    low=st.integers(0, 5),
    high=st.integers(0, 5),
    first=st.integers(0, 5),
    end=st.integers(0, 5),
)
def test_a_decision_equals_a_model(
    allowed: tuple[Value, ...], asked: Value, low: int, high: int, first: int, end: int
) -> None:
    approval = an_approval(parameters={"p": allowed}, from_ms=low, to_ms=high)
    expected = (type(asked), asked) in {(type(v), v) for v in allowed} and first < end and low <= first and end <= high
    try:
        authorize(state(approval), a_run(from_ms=first, to_ms=end), INPUTS, {"p": asked})
    except AuthorityError as error:
        assert not expected
        assert error.status == 403
    else:
        assert expected
