"""An audit of privacy from outputs alone: what they tell of one person is no more than was declared.

Two sets of people differ in what one person says. Events that tell the two apart are chosen before, by the likelihood
ratio; how often they happen in many releases of each bounds their probabilities (Clopper and Pearson 1934), and these
bound epsilon from below (Ding et al. 2018, Jagielski et al. 2020), wrongly once in 10**9. Each audit is also asked
about planted faults, and has to find them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest

from tests.support import exact
from tests.support.draws import ALARM, Clamp, Draw, drawn, none_at_all, too_small, unclamped
from waykeep.privacy import bounds, distribution, mechanisms
from waykeep.privacy.bounds import Bounds
from waykeep.privacy.mechanisms import Mechanism

RELEASES = 100_000
"""Of each set of people. 11 deviations (6.4 for the alarm, 4.8 for one miss in a million) of what is found of an
epsilon of 2 are 0.17, and a scale a tenth too small makes it 2.22. For the Gaussian below they are a delta of 0.033,
and the fault adds 0.044."""
DELTA = 1e-6
BOUND = Bounds(1, 0, 10)
OTHERS = [n % 11 for n in range(20)]


def sums(clamp: Clamp, most: int) -> tuple[int, int]:
    """What is added up if the one person says the least, and if the most."""
    least, other = (sum(clamp([value], BOUND)[0] for value in (*OTHERS, last)) for last in (BOUND.minimum, most))
    return least, other


def chances(
    mechanism: Mechanism, draw: Draw, thresholds: Sequence[int], least: int, most: int
) -> list[tuple[float, float]]:
    """Of a release of at least each threshold: a lower bound if the person says the most, an upper if the least."""
    likely = [most + x for x in draw(mechanism, RELEASES)]
    unlikely = [least + x for x in draw(mechanism, RELEASES)]
    alarm = ALARM / (2 * len(thresholds))
    return [
        (
            exact.at_least(RELEASES, sum(found >= threshold for found in likely), alarm),
            exact.at_most(RELEASES, sum(found >= threshold for found in unlikely), alarm),
        )
        for threshold in thresholds
    ]


def learned(
    mechanism: Mechanism, draw: Draw, delta: float, clamp: Clamp = bounds.clamp, most: int = BOUND.maximum
) -> float:
    """A lower bound on epsilon at ``delta``: ``ln((P(event) - delta) / P'(event))``.

    Events are releases of at least what is added up if the person says the most, and of so many scales more. Of
    discrete Laplace noise, all have the largest likelihood ratio; of the Gaussian, it grows, and they are rarer.
    """
    thresholds = [sum(OTHERS) + BOUND.maximum + round(n * mechanism.scale) for n in range(6)]
    bounded = chances(mechanism, draw, thresholds, *sums(clamp, most))
    return max(math.log(max(high - delta, 1e-300) / low) for high, low in bounded)


def test_outputs_tell_no_more_than_a_pure_epsilon() -> None:
    found = learned(mechanisms.from_epsilon("laplace", 2.0, BOUND, DELTA), drawn, 0.0)
    # Nor much less: the event is the one that tells most.
    assert 1.8 < found <= 2.0


def test_outputs_tell_no_more_than_a_gaussian_at_delta() -> None:
    assert 0 < learned(mechanisms.from_epsilon("gaussian", 2.0, BOUND, DELTA), drawn, DELTA) <= 2.0


@pytest.mark.parametrize(("kind", "delta"), [("laplace", 0.0), ("gaussian", DELTA)])
def test_no_noise_and_a_clamp_that_was_left_out_are_found(kind: distribution.Kind, delta: float) -> None:
    mechanism, tenfold = mechanisms.from_epsilon(kind, 2.0, BOUND, DELTA), 10 * BOUND.maximum
    assert learned(mechanism, none_at_all, delta) > 2.0
    assert learned(mechanism, drawn, delta, unclamped, tenfold) > 2.0
    assert learned(mechanism, drawn, delta, bounds.clamp, tenfold) <= 2.0


def test_a_laplace_scale_a_tenth_too_small_is_found() -> None:
    assert learned(mechanisms.from_epsilon("laplace", 2.0, BOUND, DELTA), too_small, 0.0) > 2.0


# -- the Gaussian, along its exact curve -------------------------------------------------------------------------------
# Epsilon at a delta of 1e-6 is an upper bound that no event in 100,000 releases comes near, so a scale a tenth too
# small does not show there. It shows against the exact delta of an epsilon at which events are not rare.

GAUSSIAN = Mechanism("gaussian", 10.0)  # a rho of 1/2
EPSILON = 0.5


def told(draw: Draw, clamp: Clamp = bounds.clamp, most: int = BOUND.maximum) -> float:
    """A lower bound on delta at `EPSILON`: ``P(event) - exp(epsilon) * P'(event)``.

    The event is all that is at least ``exp(epsilon)`` times as likely under the one as under the other.
    """
    threshold = sum(OTHERS) + BOUND.minimum + event()[0]
    [(high, low)] = chances(GAUSSIAN, draw, [threshold], *sums(clamp, most))
    return high - math.exp(EPSILON) * low


def event() -> range:
    """From where ``exp((2 * x * d - d**2) / (2 * sigma**2))`` is ``exp(epsilon)`` to where nothing is left."""
    difference = bounds.l1(BOUND)
    first = math.ceil(EPSILON * GAUSSIAN.scale**2 / difference + difference / 2)
    return range(first, first + math.ceil(40 * GAUSSIAN.scale))


def declared() -> float:
    """The exact delta of the discrete Gaussian (Canonne, Kamath, Steinke 2020, theorem 7)."""

    def chance(x: int) -> float:
        return distribution.probability(GAUSSIAN.kind, GAUSSIAN.scale, x)

    likely = math.fsum(chance(x - bounds.l1(BOUND)) for x in event())
    return likely - math.exp(EPSILON) * math.fsum(map(chance, event()))


def test_outputs_tell_no_more_than_the_exact_delta_of_a_gaussian() -> None:
    found = told(drawn)
    assert declared() - 0.04 < found <= declared()


def test_a_gaussian_scale_a_tenth_too_small_no_noise_and_no_clamp_are_found() -> None:
    assert told(too_small) > declared()
    assert told(none_at_all) > declared()
    assert told(drawn, unclamped, 10 * BOUND.maximum) > declared()
    assert told(drawn, bounds.clamp, 10 * BOUND.maximum) <= declared()


# -- several cells -----------------------------------------------------------------------------------------------------

MANY = Bounds(4, 0, 10, 2, 15)
VECTORS = 50_000


def learned_of_cells(clamp: Clamp, one: Sequence[int], other: Sequence[int]) -> float:
    """A lower bound on the epsilon of vectors; the event: each cell lies on the far side of what one of them says."""
    mechanism = mechanisms.from_epsilon("laplace", 2.0, MANY, DELTA)
    allowed, against = bounds.clamp(one, MANY), bounds.clamp(other, MANY)
    signs = [1 if a > b else -1 for a, b in zip(allowed, against, strict=True)]
    counts = []
    for said in (clamp(one, MANY), clamp(other, MANY)):
        noise = drawn(mechanism, VECTORS * MANY.cells)
        released = ([v + x for v, x in zip(said, noise[n : n + 4], strict=True)] for n in range(0, len(noise), 4))
        counts.append(
            sum(
                all(sign * (found - a) >= 0 for found, a, sign in zip(vector, allowed, signs, strict=True))
                for vector in released
            )
        )
    return math.log(exact.at_least(VECTORS, counts[0], ALARM / 2) / exact.at_most(VECTORS, counts[1], ALARM / 2))


def test_outputs_of_several_cells_tell_no_more_than_a_pure_epsilon() -> None:
    """Somebody is in other cells altogether: the two differ by twice the total."""
    assert 1.2 < learned_of_cells(bounds.clamp, [10, 9, 0, 0], [0, 0, 10, 9]) <= 2.0


def test_a_total_that_was_left_out_is_found() -> None:
    def each_cell_alone(vector: Sequence[int], bound: Bounds) -> list[int]:
        return [min(max(value, bound.minimum), bound.maximum) for value in vector]

    assert learned_of_cells(each_cell_alone, [10, 10, 0, 0], [0, 0, 10, 10]) > 2.0
