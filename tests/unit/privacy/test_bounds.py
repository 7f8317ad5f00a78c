"""Bounds of a contribution: what clamping gives is allowed, and no two allowed ones differ by more than is said."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import refused
from waykeep.errors import PrivacyError
from waykeep.privacy import bounds
from waykeep.privacy.bounds import MAX_CELLS, MAX_VALUE, Bounds


@st.composite
def some_bounds(draw: st.DrawFn) -> Bounds:
    cells = draw(st.integers(1, 6))
    if cells == 1:
        minimum = draw(st.integers(-20, 20))
        maximum = draw(st.integers(minimum + 1, 30))
        return Bounds(1, minimum, maximum, default=draw(st.integers(minimum, maximum)))
    maximum = draw(st.integers(1, 12))
    return Bounds(cells, 0, maximum, draw(st.integers(1, cells)), draw(st.integers(maximum, 40)))


def allowed(bound: Bounds, vector: list[int]) -> bool:
    """What bounds say, word by word."""
    in_range = all(bound.minimum <= value <= bound.maximum for value in vector)
    if bound.cells == 1:
        return in_range
    return in_range and sum(map(bool, vector)) <= bound.most_cells and sum(vector) <= bound.total


@given(some_bounds(), st.data())
def test_what_was_clamped_is_allowed_and_stays_as_it_is(bound: Bounds, data: st.DataObject) -> None:
    bounds.check(bound)
    given_ = data.draw(st.lists(st.integers(-100, 100), min_size=bound.cells, max_size=bound.cells))
    clamped = bounds.clamp(given_, bound)
    assert allowed(bound, clamped)
    assert bounds.clamp(clamped, bound) == clamped
    if allowed(bound, given_):
        assert clamped == given_


@given(some_bounds())
def test_what_is_contributed_without_data_is_allowed(bound: Bounds) -> None:
    assert allowed(bound, bounds.default(bound))


@pytest.mark.parametrize(
    "bound",
    [
        Bounds(1, -3, 4),
        Bounds(1, 0, 1),
        Bounds(2, 0, 3, 1, 3),
        Bounds(2, 0, 3, 2, 4),
        Bounds(3, 0, 2, 2, 3),
        Bounds(3, 0, 2, 3, 6),
        Bounds(4, 0, 1, 2, 2),
        Bounds(4, 0, 1, 4, 3),
    ],
)
def test_no_two_differ_by_more_than_is_said(bound: Bounds) -> None:
    """All there are, against each other. Where cells are few, the bound is met."""
    values = range(bound.minimum, bound.maximum + 1)
    every = [v for v in itertools.product(values, repeat=bound.cells) if allowed(bound, list(v))]
    pairs = list(itertools.product(every, repeat=2))
    furthest = max(sum(abs(a - b) for a, b in zip(one, other, strict=True)) for one, other in pairs)
    farthest = max(sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) for one, other in pairs)
    assert furthest <= bounds.l1(bound) <= furthest + bound.maximum
    assert farthest <= bounds.l2_squared(bound)
    if bound.cells == 1:
        assert (bounds.l1(bound), bounds.l2_squared(bound)) == (furthest, farthest)


def test_the_largest_cells_stay() -> None:
    assert bounds.clamp([5, 9, 1, 9], Bounds(4, 0, 8, 2, 12)) == [0, 8, 0, 4]
    assert bounds.clamp([-5], Bounds(1, 0, 8)) == [0]
    assert bounds.clamp([3, 3, 3], Bounds(3, 0, 8, 2, 100)) == [3, 3, 0]


@pytest.mark.parametrize(
    "bound",
    [
        Bounds(0, 0, 1),
        Bounds(MAX_CELLS + 1, 0, 1),
        Bounds(1, 1, 1),
        Bounds(1, 2, 1),
        Bounds(1, 0, MAX_VALUE + 1),
        Bounds(1, -MAX_VALUE - 1, 0),
        Bounds(1, 0, 1, default=2),
        Bounds(1, 0, 1, most_cells=2),
        Bounds(1, 0, 1, total=5),
        Bounds(2, 1, 2, 1, 2, 1),
        Bounds(2, 0, 2, 0, 2),
        Bounds(2, 0, 2, 3, 2),
        Bounds(2, 0, 2, 1, 1),
        Bounds(2, 0, 2, 1, 0),
        Bounds(2, 0, 2, 1, -1),
        Bounds(2, 0, 2, 1, 2, 1),
        Bounds(2, 0, 2, 1, MAX_VALUE + 1),
    ],
)
def test_bounds_malformed(bound: Bounds) -> None:
    with refused("bounds-malformed", PrivacyError):
        bounds.check(bound)


@pytest.mark.parametrize("number", [True, 2.0, math.nan, math.inf, -math.inf, None, "2"])
@pytest.mark.parametrize("field", ["cells", "minimum", "maximum", "most_cells", "total", "default"])
def test_bounds_of_anything_but_integers_are_refused(field: str, number: Any) -> None:
    """As code may build them: bytes from outside are refused before."""
    whole = {"cells": 2, "minimum": 0, "maximum": 2, "most_cells": 2, "total": 2, "default": 0}
    bounds.check(Bounds(**whole))
    with refused("bounds-malformed", PrivacyError):
        bounds.check(Bounds(**{**whole, field: number}))


@pytest.mark.parametrize(
    ("vector", "bound"),
    [
        ([], Bounds(1, 0, 5)),
        ([1, 2], Bounds(1, 0, 5)),
        ([1], Bounds(2, 0, 5, 1, 5)),
        ([1, 2, 3], Bounds(2, 0, 5, 1, 5)),
        ([1.0], Bounds(1, 0, 5)),
        ([math.nan], Bounds(1, 0, 5)),
        ([True], Bounds(1, 0, 5)),
    ],
)
def test_vector_malformed(vector: Any, bound: Bounds) -> None:
    """A cell more would be one that nobody accounts for, and NaN is neither below nor above a bound."""
    with refused("vector-malformed", PrivacyError):
        bounds.clamp(vector, bound)
