"""Noise against its exact distribution, coverage of intervals, and an audit of privacy. False alarms: one in 10**9.

Each verdict is a function that is also asked about a planted fault, and has to find it: a scale that is a tenth too
small, a clamp that was left out, noise that was left out.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence

import pytest

from tests.support import exact
from waykeep.privacy import bounds, distribution, mechanisms, noise
from waykeep.privacy.bounds import MAX_CELLS, Bounds
from waykeep.privacy.distribution import Kind
from waykeep.privacy.mechanisms import Mechanism

ALARM = 1e-9
DRAWS = 200_000
"""With so many, a scale a tenth too small is found but for once in a million (a chi-square of over 900 where 60 would
be usual)."""
Draw = Callable[[Mechanism, int], Sequence[int]]


def drawn(mechanism: Mechanism, count: int) -> list[int]:
    """Noise as an aggregator draws it, many cells at a time."""
    found: list[int] = []
    while len(found) < count:
        cells = min(MAX_CELLS, count - len(found))
        bound = Bounds(1, 0, 1) if cells == 1 else Bounds(cells, 0, 1, 1, 1)
        found += noise.release([0] * cells, mechanism, bound)
    return found


def too_small(mechanism: Mechanism, count: int) -> list[int]:
    return drawn(Mechanism(mechanism.kind, mechanism.scale * 0.9), count)


def none_at_all(mechanism: Mechanism, count: int) -> list[int]:
    return [0] * count


def close(mechanism: Mechanism, draw: Draw) -> bool:
    """Whether draws are of the declared distribution, as far as a chi-square tells."""
    found = Counter(draw(mechanism, DRAWS))
    edge = 0
    while DRAWS * distribution.beyond(mechanism.kind, mechanism.scale, edge) / 2 > 50:
        edge += 1
    width = max(1, (2 * edge + 1) // 60)
    cells = [range(low, min(low + width, edge + 1)) for low in range(-edge, edge + 1, width)]
    expected = [
        DRAWS * math.fsum(distribution.probability(mechanism.kind, mechanism.scale, x) for x in cell) for cell in cells
    ]
    tail = DRAWS * distribution.beyond(mechanism.kind, mechanism.scale, edge) / 2
    observed = [sum(found[x] for x in cell) for cell in cells]
    beyond = [sum(n for x, n in found.items() if x < -edge), sum(n for x, n in found.items() if x > edge)]
    return exact.chi_square([beyond[0], *observed, beyond[1]], [tail, *expected, tail]) > ALARM


NOISES = [Mechanism(kind, scale) for kind in ("laplace", "gaussian") for scale in (1.0, 7.5, 120.0)]


@pytest.mark.parametrize("mechanism", NOISES, ids=repr)
def test_noise_is_of_the_exact_distribution(mechanism: Mechanism) -> None:
    assert close(mechanism, drawn)


@pytest.mark.parametrize("fault", [too_small, none_at_all])
@pytest.mark.parametrize("mechanism", NOISES, ids=repr)
def test_a_scale_a_tenth_too_small_and_no_noise_are_found(mechanism: Mechanism, fault: Draw) -> None:
    assert not close(mechanism, fault)


# -- coverage of intervals ---------------------------------------------------------------------------------------------

STUDIES, PEOPLE, ALPHA = 1000, 20, 0.05
BOUND = Bounds(1, 0, 10)
TRUTH = [n % 11 for n in range(PEOPLE)]
Clamp = Callable[[Sequence[int], Bounds], list[int]]


def covered(kind: Kind, draw: Draw, clamp: Clamp = bounds.clamp, people: Sequence[int] = TRUTH) -> bool:
    """Whether the intervals of a thousand studies hold the truth as often as they say, within binomial error."""
    mechanism = mechanisms.from_epsilon(kind, 1.0, BOUND, 1e-6)
    truth = sum(bounds.clamp([value], BOUND)[0] for value in people)
    summed = sum(clamp([value], BOUND)[0] for value in people)
    reach = distribution.interval(mechanism, ALPHA)
    hits = sum(abs(summed + x - truth) <= reach for x in draw(mechanism, STUDIES))
    right = 1 - distribution.beyond(kind, mechanism.scale, reach)
    return min(exact.binomial_tail(STUDIES, right, hits), 1 - exact.binomial_tail(STUDIES, right, hits + 1)) > ALARM


@pytest.mark.parametrize("kind", ["laplace", "gaussian"])
def test_intervals_hold_the_truth_as_often_as_they_say(kind: Kind) -> None:
    assert covered(kind, drawn)


@pytest.mark.parametrize("kind", ["laplace", "gaussian"])
def test_coverage_finds_planted_faults(kind: Kind) -> None:
    def unclamped(vector: Sequence[int], _: Bounds) -> list[int]:
        return list(vector)

    assert not covered(kind, none_at_all)
    # One person says ten times what is allowed.
    assert not covered(kind, drawn, unclamped, [*TRUTH[:-1], 10 * BOUND.maximum])
    assert covered(kind, drawn, bounds.clamp, [*TRUTH[:-1], 10 * BOUND.maximum])
    # Half as much noise is within twice as often; a tenth less is too little for a thousand studies to show.
    assert not covered(kind, lambda made, count: drawn(Mechanism(made.kind, made.scale / 2), count))


# -- audit -------------------------------------------------------------------------------------------------------------

RELEASES = 400_000
DELTA = 1e-6


def learned(mechanism: Mechanism, draw: Draw, clamp: Clamp = bounds.clamp, extreme: int = BOUND.maximum) -> float:
    """A lower bound on epsilon from outputs alone, wrong once in 10**9.

    Two sets of people that differ in one, who says the least and the most. An output tells which it was if it lies
    beyond a threshold, chosen before: the event of the largest likelihood ratio that is not too rare. Then epsilon is
    at least ``ln((P(event) - delta) / P'(event))``.
    """
    least, most = (sum(clamp([value], BOUND)[0] for value in (*TRUTH, last)) for last in (BOUND.minimum, extreme))
    threshold = sum(TRUTH) + BOUND.maximum
    first = sum(most + x >= threshold for x in draw(mechanism, RELEASES))
    second = sum(least + x >= threshold for x in draw(mechanism, RELEASES))
    high, low = exact.at_least(RELEASES, first, ALARM / 2), exact.at_most(RELEASES, second, ALARM / 2)
    return math.log(max(high - DELTA, 1e-300) / low)


def test_outputs_tell_no_more_than_a_pure_epsilon() -> None:
    mechanism = mechanisms.from_epsilon("laplace", 2.0, BOUND, DELTA)
    found = learned(mechanism, drawn)
    # Nor much less: the event is the one that tells most.
    assert 1.9 < found <= 2.0


def test_outputs_tell_no_more_than_a_gaussian_at_delta() -> None:
    mechanism = mechanisms.from_epsilon("gaussian", 2.0, BOUND, DELTA)
    assert 0 < learned(mechanism, drawn) <= 2.0


def test_the_audit_finds_planted_faults() -> None:
    mechanism = mechanisms.from_epsilon("laplace", 2.0, BOUND, DELTA)

    def unclamped(vector: Sequence[int], _: Bounds) -> list[int]:
        return list(vector)

    assert learned(mechanism, too_small) > 2.0
    assert learned(mechanism, none_at_all) > 2.0
    assert learned(mechanism, drawn, unclamped, 10 * BOUND.maximum) > 2.0
    assert learned(mechanism, drawn, bounds.clamp, 10 * BOUND.maximum) <= 2.0


def test_the_tails_are_the_known_ones() -> None:
    """From tables: chi-square at 95 and 99.9 %, and a binomial by hand."""
    assert exact.chi_square_tail(3.841458820694124, 1) == pytest.approx(0.05, rel=1e-9)
    assert exact.chi_square_tail(18.307038053275146, 10) == pytest.approx(0.05, rel=1e-9)
    assert exact.chi_square_tail(149.4492513, 100) == pytest.approx(0.001, rel=1e-6)
    for k in range(12):
        by_hand = sum(math.comb(11, j) * 0.3**j * 0.7 ** (11 - j) for j in range(k, 12))
        assert exact.binomial_tail(11, 0.3, k) == pytest.approx(by_hand, rel=1e-9)
    assert exact.at_least(10, 10, 0.025) == pytest.approx(0.025 ** (1 / 10))
    assert exact.at_most(10, 0, 0.025) == pytest.approx(1 - 0.025 ** (1 / 10))
