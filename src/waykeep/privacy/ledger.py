"""How much studies may learn of one person: rho of zero-concentrated differential privacy, in whole units.

Costs add up (Bun, Steinke 2016, lemma 1.7), and each is rounded up to a unit, so a sum is exact and never too small. It
is shown as epsilon at a stated delta: ``epsilon = rho + 2 * sqrt(rho * ln(1 / delta))`` (proposition 1.3 there).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

from waykeep.errors import PrivacyError
from waykeep.privacy.numbers import check_probability, is_number

UNIT = Fraction(1, 10**12)
"""One unit of rho."""
DELTA = 1e-6
MAX_EPSILON = 1000.0


class Span(NamedTuple):
    """What a study sets aside, and the time (ms, half open) in which it may be spent."""

    from_ms: int
    until_ms: int
    units: int


def cost(rho: Fraction) -> int:
    """Units of a rho, rounded up."""
    return math.ceil(rho / UNIT)


def epsilon_at(units: int, delta: float = DELTA) -> float:
    """Epsilon of so many units at ``delta``. Raises: PrivacyError: ``delta-malformed``."""
    check_probability("delta-malformed", delta)
    rho = float(units * UNIT)
    return rho + 2 * math.sqrt(rho * math.log(1 / delta))


def rho_for(epsilon: float, delta: float = DELTA) -> int:
    """The most units whose epsilon at ``delta`` is no larger, as far as floats tell; never more.

    Raises: PrivacyError: ``epsilon-malformed``, ``delta-malformed``.
    """
    check_epsilon(epsilon)
    check_probability("delta-malformed", delta)
    half = math.sqrt(math.log(1 / delta))
    units = math.floor(Fraction(epsilon / (math.sqrt(half**2 + epsilon) + half)) ** 2 / UNIT)
    while units > 0 and epsilon_at(units, delta) > epsilon:
        units -= 1 + units // 10**15
    return units


def check_epsilon(epsilon: float) -> None:
    """Raises: PrivacyError: ``epsilon-malformed``."""
    if not is_number(epsilon) or not 0 < epsilon <= MAX_EPSILON:
        raise PrivacyError("epsilon-malformed", f"found an epsilon that is not from 0 to {MAX_EPSILON:.0f}")


def fits(spans: Sequence[Span], total: int, period_ms: int, since_ms: int) -> bool:
    """Whether no period holds more than ``total`` units.

    Periods are ``[since_ms + k * period_ms, since_ms + (k + 1) * period_ms)`` for every integer k. A span counts whole
    in each that it touches, so the fullest periods are those in which one begins.
    """
    return all(held(spans, period_of(span.from_ms, period_ms, since_ms)) <= total for span in spans)


def period_of(time_ms: int, period_ms: int, since_ms: int) -> tuple[int, int]:
    """Beginning and end of the period that holds a time."""
    begin = time_ms - (time_ms - since_ms) % period_ms
    return begin, begin + period_ms


def held(spans: Iterable[Span], period: tuple[int, int]) -> int:
    """Units that count in a period."""
    begin, end = period
    return sum(span.units for span in spans if span.from_ms < end and span.until_ms > begin)
