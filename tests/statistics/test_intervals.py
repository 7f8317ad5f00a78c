"""Intervals hold the truth as often as they say, within binomial error, over a thousand simulated studies.

A study here is the real path: contributions are clamped, added up and released with noise, and the interval is of the
mechanism alone. The truth is the sum of what each person may say at most. The verdict is also asked about planted
faults, and has to find them.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tests.support import exact
from tests.support.draws import ALARM, Clamp, unclamped
from waykeep.privacy import bounds, distribution, mechanisms, noise
from waykeep.privacy.bounds import Bounds
from waykeep.privacy.distribution import Kind
from waykeep.privacy.mechanisms import Mechanism

STUDIES, PEOPLE, ALPHA = 1000, 10, 0.05
BOUND = Bounds(40, 0, 10, 40, 400)
"""Each study asks for 40 numbers, so there are 40,000 intervals. With a scale a tenth too small, at most 3.6 % miss
instead of 5: 570 fewer, where 6 binomial deviations (262) are an alarm; missed less often than once in a million."""
Release = Callable[[list[int], Mechanism, Bounds], list[int]]


def covered(kind: Kind, release: Release = noise.release, clamp: Clamp = bounds.clamp) -> bool:
    """Whether intervals hold the truth as often as they say. One person says ten times what is allowed."""
    mechanism = mechanisms.from_epsilon(kind, 40.0, BOUND, 1e-6)  # about 1 for each number
    reach, chance, hits = distribution.interval(mechanism, ALPHA), random.Random(4), 0
    for _ in range(STUDIES):
        said = [[chance.randint(0, BOUND.maximum) for _ in range(BOUND.cells)] for _ in range(PEOPLE)]
        said.append([10 * BOUND.maximum] * BOUND.cells)
        truth = [sum(min(value, BOUND.maximum) for value in cells) for cells in zip(*said, strict=True)]
        added = [sum(cells) for cells in zip(*(clamp(vector, BOUND) for vector in said), strict=True)]
        released = release(added, mechanism, BOUND)
        hits += sum(abs(found - right) <= reach for found, right in zip(released, truth, strict=True))
    right = 1 - distribution.beyond(kind, mechanism.scale, reach)
    intervals = STUDIES * BOUND.cells
    few, many = 1 - exact.binomial_tail(intervals, right, hits + 1), exact.binomial_tail(intervals, right, hits)
    return min(few, many) > ALARM / 2


def smaller(sums: list[int], mechanism: Mechanism, bound: Bounds) -> list[int]:
    """Fault: the scale is a tenth too small."""
    return noise.release(sums, Mechanism(mechanism.kind, mechanism.scale * 0.9), bound)


def as_they_are(sums: list[int], mechanism: Mechanism, bound: Bounds) -> list[int]:
    """Fault: the noise is off."""
    return sums


@pytest.mark.parametrize("kind", ["laplace", "gaussian"])
def test_intervals_hold_the_truth_as_often_as_they_say(kind: Kind) -> None:
    assert covered(kind)


@pytest.mark.parametrize("fault", [smaller, as_they_are])
@pytest.mark.parametrize("kind", ["laplace", "gaussian"])
def test_a_scale_a_tenth_too_small_and_no_noise_are_found(kind: Kind, fault: Release) -> None:
    assert not covered(kind, fault)


@pytest.mark.parametrize("kind", ["laplace", "gaussian"])
def test_a_clamp_that_was_left_out_is_found(kind: Kind) -> None:
    assert not covered(kind, clamp=unclamped)
