"""The ledger: sums are exact, and no period ever holds more than its total."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import refused
from waykeep.errors import PrivacyError
from waykeep.privacy import ledger
from waykeep.privacy.ledger import Span

PERIOD = 100


def test_a_cost_is_rounded_up() -> None:
    assert ledger.cost(Fraction(1, 3)) == 333_333_333_334
    assert ledger.cost(ledger.UNIT * 7) == 7
    assert ledger.cost(Fraction(1, 10**30)) == 1


@given(st.floats(1e-4, 50), st.sampled_from([1e-9, 1e-6, 1e-3]))
def test_an_epsilon_and_back_is_never_more(epsilon: float, delta: float) -> None:
    units = ledger.rho_for(epsilon, delta)
    # A unit is a hundredth of the smallest of these.
    assert epsilon * (1 - 1e-2) <= ledger.epsilon_at(units, delta) <= epsilon


@pytest.mark.parametrize("epsilon", [0, 0.0, -1, -0.5, math.nan, math.inf, -math.inf, True, 1e9, 10**400])
def test_epsilon_malformed(epsilon: Any) -> None:
    with refused("epsilon-malformed", PrivacyError):
        ledger.rho_for(epsilon)


@pytest.mark.parametrize("delta", [0, 0.0, -1e-6, 1, 1.0, 2, math.nan, math.inf, -math.inf, True])
def test_delta_malformed(delta: Any) -> None:
    with refused("delta-malformed", PrivacyError):
        ledger.rho_for(1.0, delta)
    with refused("delta-malformed", PrivacyError):
        ledger.epsilon_at(10**12, delta)


def test_epsilon_is_bun_and_steinkes() -> None:
    # rho + 2 * sqrt(rho * ln(1 / delta)) for rho = 1/2 and delta = 1e-6
    assert ledger.epsilon_at(ledger.cost(Fraction(1, 2)), 1e-6) == pytest.approx(0.5 + 2 * (0.5 * 13.815510558) ** 0.5)


spans = st.builds(
    lambda start, length, units: Span(start, start + length, units),
    st.integers(-500, 500),
    st.integers(1, 350),
    st.integers(0, 10),
)


@given(st.lists(spans, max_size=12), st.integers(0, 30), st.integers(-300, 300))
def test_what_is_let_in_one_by_one_never_exceeds_a_total(asked: list[Span], total: int, since: int) -> None:
    taken: list[Span] = []
    for span in asked:
        if ledger.fits([*taken, span], total, PERIOD, since):
            taken.append(span)
    for begin in range(since - 12 * PERIOD, since + 12 * PERIOD, PERIOD):
        in_it = sum(s.units for s in taken if any(begin <= t < begin + PERIOD for t in range(s.from_ms, s.until_ms)))
        assert in_it <= total
    # And who was sent away did not fit somewhere.
    for span in asked:
        if span not in taken:
            assert not ledger.fits([*taken, span], total, PERIOD, since)


def test_a_study_counts_whole_in_each_period_that_it_touches() -> None:
    over_two = Span(50, 150, 6)
    assert ledger.fits([over_two], 6, PERIOD, 0)
    assert not ledger.fits([over_two, Span(0, 10, 1)], 6, PERIOD, 0)
    assert not ledger.fits([over_two, Span(190, 195, 1)], 6, PERIOD, 0)
    assert ledger.fits([over_two, Span(200, 210, 6), Span(-10, 0, 6)], 6, PERIOD, 0)
    # It ends before the instant at which the next begins.
    assert ledger.fits([Span(50, 100, 6), Span(100, 101, 6)], 6, PERIOD, 0)
