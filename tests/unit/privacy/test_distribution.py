"""The exact distributions: they add up to one, and intervals are the smallest that hold."""

from __future__ import annotations

import math
from decimal import Decimal, localcontext
from typing import Any

import pytest

from tests.unit.builders import refused
from waykeep.errors import PrivacyError
from waykeep.privacy import distribution
from waykeep.privacy.distribution import Kind
from waykeep.privacy.mechanisms import Mechanism


@pytest.mark.parametrize("kind", ["laplace", "gaussian"])
@pytest.mark.parametrize("scale", [0.0625, 0.3, 1.0, 7.5, 90.0])
def test_probabilities_add_up_to_one_and_tails_are_their_sums(kind: Kind, scale: float) -> None:
    far = math.ceil(60 * scale) + 2
    every = {x: distribution.probability(kind, scale, x) for x in range(-far, far + 1)}
    assert math.fsum(every.values()) == pytest.approx(1, abs=1e-12)
    for k in (0, 1, math.ceil(scale), math.ceil(3 * scale)):
        tail = math.fsum(p for x, p in every.items() if abs(x) > k)
        assert distribution.beyond(kind, scale, k) == pytest.approx(tail, rel=1e-9, abs=1e-300)


@pytest.mark.parametrize("scale", [300.0, 5000.0])
@pytest.mark.parametrize("sigmas", [0.0, 1.0, 3.0, 6.0])
def test_above_which_sigma_the_continuous_tail_is_close_and_never_smaller(scale: float, sigmas: float) -> None:
    k = round(sigmas * scale)
    exact = 2 * math.fsum(distribution.probability("gaussian", scale, x) for x in range(k + 1, k + 12 * round(scale)))
    assert exact <= distribution.beyond("gaussian", scale, k) <= exact * 1.002


@pytest.mark.parametrize("kind", ["laplace", "gaussian"])
@pytest.mark.parametrize("scale", [0.0625, 1.0, 12.5, 1e6])
@pytest.mark.parametrize("alpha", [0.5, 0.05, 1e-6])
def test_an_interval_is_the_smallest_that_holds(kind: Kind, scale: float, alpha: float) -> None:
    k = distribution.interval(Mechanism(kind, scale), alpha)
    assert distribution.beyond(kind, scale, k) <= alpha
    assert k == 0 or distribution.beyond(kind, scale, k - 1) > alpha


@pytest.mark.parametrize("scale", [0.0625, 1.0, 7.3, 12.5, 12345.6])
@pytest.mark.parametrize("k", [0, 1, 3, 20])
def test_a_tail_is_never_smaller_than_it_is(scale: float, k: int) -> None:
    """Against decimals of 60 digits."""
    with localcontext(prec=60):
        p = (-1 / Decimal(scale)).exp()
        exact = {"laplace": 2 * p ** (k + 1) / (1 + p)}
        if scale < 100:
            far = range(1, 40 * math.ceil(scale) + k)
            each = {x: (-(x**2) / (2 * Decimal(scale) ** 2)).exp() for x in far}
            exact["gaussian"] = 2 * sum(each[x] for x in far if x > k) / (1 + 2 * sum(each.values()))
        for kind, tail in exact.items():
            found = Decimal(distribution.beyond(kind, scale, k))
            # Below 1e-300 floats end: what is given there is nothing, and nobody asks for such an alpha.
            assert tail <= found <= tail * (1 + Decimal("1e-11")) or found <= tail < Decimal("1e-300")


@pytest.mark.parametrize("alpha", [0, 0.0, -0.05, 1, 1.0, 1.5, math.nan, math.inf, -math.inf, True])
def test_alpha_malformed(alpha: Any) -> None:
    with refused("alpha-malformed", PrivacyError):
        distribution.interval(Mechanism("laplace", 5.0), alpha)
