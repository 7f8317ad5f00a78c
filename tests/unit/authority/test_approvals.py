"""The one place that decides whether a run may happen."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import NOW_MS, an_approval, an_owner, refused
from waykeep.authority.approvals import ReadPlan, authorize
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.statements import Approved
from waykeep.errors import AuthorityError
from waykeep.formats.ids import Digest, sha256
from waykeep.formats.messages import Run, Value

LOG = an_owner().state
PARAMETERS: dict[str, Value] = {"stay_radius_m": 100, "exact": True, "mode": "fast"}


def state(*approvals: Approved) -> OwnerState:
    """A log whose entries 7, 8, ... are these approvals."""
    return msgspec.structs.replace(LOG, approvals=dict(enumerate(approvals, 7)))


def a_run(**changes: Any) -> Run:
    run = Run("r" * 22, sha256(b"bundle"), {}, NOW_MS, NOW_MS + 1000, NOW_MS)
    return msgspec.structs.replace(run, **changes)


def decide(*approvals: Approved, parameters: dict[str, Value] = PARAMETERS, **changes: Any) -> ReadPlan:
    return authorize(state(*approvals), a_run(**changes), parameters)


def test_what_is_approved_is_planned() -> None:
    approval = an_approval()
    plan = decide(approval)
    assert plan == ReadPlan(7, {"location": ("ts_ms", "lat_e7")}, NOW_MS, NOW_MS + 1000, "derived/trips")


def test_a_narrower_window_is_planned_as_asked() -> None:
    plan = decide(an_approval(), from_ms=NOW_MS + 10, to_ms=NOW_MS + 20)
    assert (plan.from_ms, plan.to_ms) == (NOW_MS + 10, NOW_MS + 20)


# -- refused -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("approvals", [(), (an_approval(algorithm=sha256(b"other")),)])
def test_algorithm_not_approved(approvals: tuple[Approved, ...]) -> None:
    with refused("algorithm-not-approved", AuthorityError):
        decide(*approvals)


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
def test_parameter_not_approved(name: str, value: Value) -> None:
    with refused("parameter-not-approved", AuthorityError):
        decide(an_approval(), parameters=PARAMETERS | {name: value})


def test_parameter_not_approved_where_no_value_is() -> None:
    with refused("parameter-not-approved", AuthorityError):
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
def test_time_not_approved(from_ms: int, to_ms: int) -> None:
    with refused("time-not-approved", AuthorityError):
        decide(an_approval(), from_ms=from_ms, to_ms=to_ms)


@pytest.mark.parametrize(
    "changes",
    [
        {"inputs": {"location": ()}},
        {"inputs": {"location": ("ts_ms",), "battery": ()}},
        {"store_as": "location"},
        {"store_as": "json/stats"},
        {"store_as": " "},
    ],
    ids=["no columns", "no columns of one", "into a recorded stream", "into a json stream", "into no stream"],
)
def test_approval_malformed(changes: dict[str, Any]) -> None:
    """To a read no columns are all columns; and what is kept in a recorded stream would spoil it for every read."""
    with refused("approval-malformed", AuthorityError):
        decide(an_approval(**changes))


# -- several approvals -------------------------------------------------------------------------------------------------


def test_the_newest_that_allows_it_counts() -> None:
    wide, narrow = an_approval(), an_approval(inputs={"location": ("ts_ms",)})
    assert decide(wide, narrow).approval == 8
    assert decide(narrow, wide).approval == 8
    assert decide(wide, narrow).inputs == {"location": ("ts_ms",)}


def test_an_older_one_counts_where_the_newest_does_not_allow_it() -> None:
    """There are no revocations yet: an approval is withdrawn by none that comes after it."""
    assert decide(an_approval(), an_approval(to_ms=NOW_MS + 1)).approval == 7


def test_two_approvals_do_not_add_up() -> None:
    """One allows the parameter, the other the window: neither allows both."""
    one, other = an_approval(to_ms=NOW_MS + 1), an_approval(parameters={})
    with refused("time-not-approved", AuthorityError):
        decide(one, other)
    halves = an_approval(to_ms=NOW_MS + 500), an_approval(from_ms=NOW_MS + 500)
    with refused("time-not-approved", AuthorityError):
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
        authorize(state(approval), a_run(from_ms=first, to_ms=end), {"p": asked})
    except AuthorityError as error:
        assert not expected
        assert error.status == 403
    else:
        assert expected
