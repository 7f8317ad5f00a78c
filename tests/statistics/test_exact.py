"""The tails on which verdicts rest: against tables, sums by hand, and each other."""

from __future__ import annotations

import math

import pytest

from tests.support import exact


@pytest.mark.parametrize(
    ("value", "freedom", "tail"),
    [
        (3.841458820694124, 1, 0.05),
        (18.307038053275146, 10, 0.05),
        (10.827566170662733, 1, 0.001),
        (149.4492513, 100, 0.001),
    ],
)
def test_the_tail_of_chi_square_is_that_of_the_tables(value: float, freedom: int, tail: float) -> None:
    assert exact.chi_square_tail(value, freedom) == pytest.approx(tail, rel=1e-6)


@pytest.mark.parametrize("value", [1.0, 20.0, 41.446531673892822, 80.0, 200.0])
def test_the_far_tail_of_chi_square_is_that_of_its_closed_forms(value: float) -> None:
    """Of 1 degree of freedom it is erfc, of an even number a sum of Poisson's; down to where alarms are."""
    assert exact.chi_square_tail(value, 1) == pytest.approx(math.erfc(math.sqrt(value / 2)), rel=1e-9)
    for freedom in (2, 14, 60):
        poisson = math.fsum(math.exp(-value / 2) * (value / 2) ** k / math.factorial(k) for k in range(freedom // 2))
        assert exact.chi_square_tail(value, freedom) == pytest.approx(poisson, rel=1e-9)


@pytest.mark.parametrize(("n", "p"), [(11, 0.3), (60, 0.95), (400, 0.05)])
def test_the_tail_of_a_binomial_is_its_sum(n: int, p: float) -> None:
    for k in range(n + 2):
        by_hand = math.fsum(math.comb(n, j) * p**j * (1 - p) ** (n - j) for j in range(k, n + 1))
        assert exact.binomial_tail(n, p, k) == pytest.approx(by_hand, rel=1e-8, abs=1e-15)


def test_bounds_of_a_probability_are_clopper_and_pearsons() -> None:
    assert exact.at_least(10, 10, 0.025) == pytest.approx(0.025 ** (1 / 10))
    assert exact.at_most(10, 0, 0.025) == pytest.approx(1 - 0.025 ** (1 / 10))
    # Of 3 in 10, from tables.
    assert exact.at_least(10, 3, 0.025) == pytest.approx(0.0667395, abs=1e-7)
    assert exact.at_most(10, 3, 0.025) == pytest.approx(0.6524529, abs=1e-7)
