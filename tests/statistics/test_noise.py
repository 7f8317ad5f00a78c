"""Noise against its exact distribution, by chi-square. False alarms: about one in 10**9.

The verdict is also asked about planted faults, and has to find them: a scale that is a tenth too small, noise that was
left out.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter
from itertools import accumulate, pairwise

import pytest

from tests.support import exact
from tests.support.draws import ALARM, Draw, drawn, none_at_all, too_small
from waykeep.privacy import distribution
from waykeep.privacy.mechanisms import Mechanism

DRAWS = 60_000
"""With a scale a tenth too small the statistic is, in each case below, 9 of its deviations or more above the critical
value (about 650 to 1,150 where 60 to 160 is critical): it is missed less often than once in a million."""
LEAST = 250
"""So many are expected in each cell: enough for the chi-square distribution to hold as far out as that."""
CELLS = 60


def pooled(mechanism: Mechanism) -> list[int]:
    """The last number of each cell but the upper tail."""
    edge = 0
    while DRAWS * distribution.beyond(mechanism.kind, mechanism.scale, edge + 1) / 2 > LEAST:
        edge += 1
    width = max(1, (2 * edge + 1) // CELLS)
    ends, expected = [-edge - 1], 0.0
    for x in range(-edge, edge + 1):
        expected += DRAWS * distribution.probability(mechanism.kind, mechanism.scale, x)
        if expected > LEAST and x - ends[-1] >= width:
            ends.append(x)
            expected = 0.0
    # What is left over belongs to the upper tail.
    return ends


def close(mechanism: Mechanism, draw: Draw) -> bool:
    """Whether draws are of the declared distribution, as far as a chi-square tells."""
    ends = pooled(mechanism)
    found = Counter(bisect_left(ends, x) for x in draw(mechanism, DRAWS))
    inner = [
        math.fsum(distribution.probability(mechanism.kind, mechanism.scale, x) for x in range(low + 1, high + 1))
        for low, high in pairwise(ends)
    ]
    below = distribution.beyond(mechanism.kind, mechanism.scale, -ends[0] - 1) / 2
    expected = [DRAWS * share for share in (below, *inner, 1 - below - math.fsum(inner))]
    return exact.chi_square([found[cell] for cell in range(len(expected))], expected) > ALARM


NOISES = [Mechanism(kind, scale) for kind in ("laplace", "gaussian") for scale in (1.0, 7.5, 120.0)]


@pytest.mark.parametrize("mechanism", NOISES, ids=repr)
def test_noise_is_of_the_exact_distribution(mechanism: Mechanism) -> None:
    assert close(mechanism, drawn)


@pytest.mark.parametrize("fault", [too_small, none_at_all])
@pytest.mark.parametrize("mechanism", NOISES, ids=repr)
def test_a_scale_a_tenth_too_small_and_no_noise_are_found(mechanism: Mechanism, fault: Draw) -> None:
    assert not close(mechanism, fault)


@pytest.mark.parametrize("mechanism", NOISES, ids=repr)
def test_a_scale_a_tenth_too_small_is_missed_less_often_than_once_in_a_million(mechanism: Mechanism) -> None:
    """By the mean and deviation of the statistic under the fault (exact for its linear part)."""
    ends = pooled(mechanism)
    smaller = mechanism.scale * 0.9

    def shares(scale: float) -> list[float]:
        below = distribution.beyond(mechanism.kind, scale, -ends[0] - 1) / 2
        each = [distribution.probability(mechanism.kind, scale, x) for x in range(ends[0] + 1, ends[-1] + 1)]
        sums = [0.0, *accumulate(each)]
        inner = [sums[high - ends[0]] - sums[low - ends[0]] for low, high in pairwise(ends)]
        return [below, *inner, 1 - below - math.fsum(inner)]

    right, wrong = shares(mechanism.scale), shares(smaller)
    pairs = list(zip(right, wrong, strict=True))
    mean = math.fsum(q * (1 - q) / p + DRAWS * (q - p) ** 2 / p for p, q in pairs)
    linear = math.fsum(q * (q / p) ** 2 for p, q in pairs) - math.fsum(q * q / p for p, q in pairs) ** 2
    deviation = math.sqrt(4 * DRAWS * linear + 2 * len(pairs))
    # 4.75 deviations of a normal distribution are one in a million, on one side.
    assert exact.chi_square_tail(mean - 6 * deviation, len(pairs) - 1) < ALARM
