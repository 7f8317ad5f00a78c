"""A bound from a noisy histogram, and what it would take away."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.unit.builders import refused
from tests.unit.studying import a_query, a_question, a_study, opened
from waykeep.authority import queries
from waykeep.authority.queries import Answer, Checked, Release
from waykeep.authority.scopes import Scope
from waykeep.authority.studies import Axis, Question
from waykeep.device import bounding
from waykeep.errors import DeviceError, PrivacyError
from waykeep.privacy import distribution
from waykeep.privacy.bounds import Bounds
from waykeep.privacy.mechanisms import Mechanism


def released(*answers: tuple[Question, tuple[int | None, ...]]) -> Checked:
    asked = tuple(question for question, _ in answers)
    signed = opened(a_study(questions=asked))
    said = tuple(Answer(values, queries.interval(question)) for question, values in answers)
    return Checked(signed, Release(a_query(signed.digest), said, 100, signed.study.cost, {}))


def a_histogram(cells: int, **changes: Any) -> Question:
    made = {"name": "bins", "keys": (Axis("bin", cells, 5),), "bounds": Bounds(cells, 0, 1, 1, 1)}
    return a_question(**made | {"mechanism": Mechanism("laplace", 1.0)} | changes)


def distances() -> Question:
    scope = a_question().scope
    asked = Scope(
        streams=scope.streams,
        parameters={"measure": ("total-distance",)},
        from_ms=scope.from_ms,
        to_ms=scope.to_ms,
        stores=False,
    )
    return a_histogram(48, keys=(Axis("bin", 48),), bundle="trip-statistics 1.0.0", scope=asked)


@pytest.mark.parametrize(
    ("quantile", "named", "above"), [(0.5, "6", 0.5), (0.51, "8", 0.1), (0.9, "8", 0.1), (0.91, "9", 0.0)]
)
def test_it_is_the_smallest_bin_that_holds_the_quantile(quantile: float, named: str, above: float) -> None:
    """20, 30, none, 40, 10: what is negative or was left out counts as 0."""
    checked = released((a_histogram(7, threshold=-50), (20, 30, -7, 40, 10, None, -1)))
    found = bounding.suggest(checked, "bins", quantile)
    assert (found.bin, found.metres) == (named, None)
    assert found.above == pytest.approx(above)


def test_distances_are_told_in_metres() -> None:
    values = (0, 0, 0, 60, 38, 2, *(0,) * 42)
    found = bounding.suggest(released((distances(), values)), "bins", 0.95)
    assert (found.bin, found.metres) == ("4", 1600)
    assert found.above == pytest.approx(0.02)


def test_the_last_distance_has_no_end_and_noise_in_bins_that_are_never_used_is_left_out() -> None:
    values = (*(0,) * 16, 10, *(100,) * 31)
    found = bounding.suggest(released((distances(), values)), "bins", 0.5)
    assert (found.bin, found.metres, found.above) == ("16", None, 0)


def test_another_measure_of_the_same_bundle_has_no_metres() -> None:
    question = distances()
    parameters = {"measure": ("trips",)}
    other = a_histogram(48, bundle=question.bundle, scope=Scope(**_fields(question.scope) | {"parameters": parameters}))
    assert bounding.suggest(released((other, (1,) * 48)), "bins", 0.5).metres is None


@pytest.mark.parametrize("kind", ["laplace", "gaussian"])
def test_how_much_noise_alone_counts_is_told(kind: Any) -> None:
    mechanism = Mechanism(kind, 4.0)
    checked = released((a_histogram(10, mechanism=mechanism), (100, *(0,) * 9)))
    found = bounding.suggest(checked, "bins", 0.95)
    mean = math.fsum(x * distribution.probability(kind, 4.0, x) for x in range(1, 400))
    assert found.noise_only == pytest.approx(10 * mean / 100, rel=0.01)
    assert not found.reliable
    assert bounding.suggest(released((a_histogram(10), (10_000, *(0,) * 9))), "bins", 0.95).reliable


@pytest.mark.parametrize("name", ["other", "rows", "table"])
def test_what_is_no_histogram_is_refused(name: str) -> None:
    table = a_histogram(4, name="table", keys=(Axis("a", 2), Axis("b", 2)))
    checked = released((a_question(), (5,)), (table, (1, 2, 3, 4)), (a_histogram(2), (1, 2)))
    with refused("bounds-question", DeviceError):
        bounding.suggest(checked, name, 0.95)


def test_a_histogram_with_nobody_in_it_is_refused() -> None:
    with refused("bounds-empty", DeviceError):
        bounding.suggest(released((a_histogram(3), (0, -4, -1))), "bins", 0.95)


@pytest.mark.parametrize("quantile", [0.0, 1.0, -1.0, 2.0, math.nan, math.inf])
def test_a_quantile_that_is_none_is_refused(quantile: float) -> None:
    with refused("quantile-malformed", PrivacyError):
        bounding.suggest(released((a_histogram(3), (1, 2, 3))), "bins", quantile)


def _fields(scope: Scope) -> dict[str, Any]:
    return {name: getattr(scope, name) for name in scope.__struct_fields__}
