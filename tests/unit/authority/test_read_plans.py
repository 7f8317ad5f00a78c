"""A read plan holds what its approval allows and what the run asked for, and no more than either."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.builders import NOW_MS, an_approval, an_owner, refused
from waykeep.authority.approvals import ReadPlan, authorize
from waykeep.authority.statements import Approved
from waykeep.errors import AuthorityError
from waykeep.formats.ids import sha256
from waykeep.formats.messages import Run

LOG = an_owner().state


def decide(approval: Approved, from_ms: int = NOW_MS, to_ms: int = NOW_MS + 1000) -> ReadPlan:
    run = Run("r" * 22, approval.algorithm, {}, from_ms, to_ms, 0)
    return authorize(msgspec.structs.replace(LOG, approvals={7: approval}), run, {})


def test_an_approval_that_keeps_nothing_is_planned() -> None:
    assert decide(an_approval(store_as="")).store_as == ""


def test_an_approval_that_reads_nothing_is_planned_with_nothing_to_read() -> None:
    assert decide(an_approval(inputs={}, store_as="")).inputs == {}


@pytest.mark.parametrize("store_as", ["", "derived/trips"])
def test_no_columns_are_refused_whether_or_not_something_is_kept(store_as: str) -> None:
    with refused("approval-malformed", AuthorityError):
        decide(an_approval(inputs={"location": ()}, store_as=store_as))


COLUMNS = st.lists(st.sampled_from(["ts_ms", "lat_e7", "lon_e7"]), min_size=1, max_size=3, unique=True).map(tuple)


@settings(max_examples=50)
@given(
    inputs=st.dictionaries(st.sampled_from(["location", "battery", "derived/trips"]), COLUMNS, max_size=3),
    window=st.lists(st.integers(0, 20), min_size=4, max_size=4, unique=True).map(sorted),
    store_as=st.sampled_from(["", "derived/trips", "derived/stays"]),
)
def test_a_plan_is_the_approvals_and_the_requests(inputs: dict[str, Any], window: list[int], store_as: str) -> None:
    low, first, end, high = window
    approval = an_approval(algorithm=sha256(b"any"), inputs=inputs, from_ms=low, to_ms=high, store_as=store_as)
    assert decide(approval, first, end) == ReadPlan(7, inputs, first, end, store_as)
    for from_ms, to_ms in ((low - 1, end), (first, high + 1), (end, first)):
        with refused("time-not-approved", AuthorityError):
            decide(approval, from_ms, to_ms)
