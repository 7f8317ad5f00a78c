"""Mechanisms: integer noise of a declared scale in each cell, and what it costs a person.

The discrete Laplace (geometric) mechanism is pure, ``epsilon = L1 / scale``; the discrete Gaussian is concentrated,
``rho = L2**2 / (2 * scale**2)`` (Canonne, Kamath, Steinke 2020, theorem 4). A pure epsilon is a rho of ``epsilon**2 /
2`` (Bun, Steinke 2016, proposition 1.4). Scales are binary fractions as a float holds them; what they cost is exact.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Literal, get_args

import msgspec

from waykeep.errors import PrivacyError
from waykeep.privacy import bounds as bounds_
from waykeep.privacy import distribution, ledger
from waykeep.privacy.bounds import Bounds
from waykeep.privacy.distribution import Kind
from waykeep.privacy.numbers import check_probability, is_number

MIN_SCALE, MAX_SCALE = 2.0**-4, 2.0**45


class Mechanism(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``scale`` is that of the discrete Laplace distribution, or sigma of the discrete Gaussian."""

    kind: Literal["laplace", "gaussian"]
    scale: float


def check(mechanism: Mechanism) -> None:
    """Raises: PrivacyError: ``scale-malformed``, ``mechanism-malformed``."""
    if mechanism.kind not in get_args(Kind):
        raise PrivacyError("mechanism-malformed", f"found a mechanism that is none of {', '.join(get_args(Kind))}")
    if not is_number(mechanism.scale) or not MIN_SCALE <= mechanism.scale <= MAX_SCALE:
        raise _refused_scale()


def rho(mechanism: Mechanism, bounds: Bounds) -> Fraction:
    """What one release costs in zCDP. Raises: PrivacyError: as `check` and `bounds.check`."""
    check(mechanism)
    bounds_.check(bounds)
    scale = Fraction(mechanism.scale)
    if mechanism.kind == "laplace":
        return (bounds_.l1(bounds) / scale) ** 2 / 2
    return bounds_.l2_squared(bounds) / (2 * scale**2)


def epsilon(mechanism: Mechanism, bounds: Bounds, delta: float) -> float:
    """What one release costs: a pure epsilon of the Laplace mechanism, for the Gaussian one at ``delta``."""
    cost = rho(mechanism, bounds)
    if mechanism.kind == "laplace":
        return float(bounds_.l1(bounds) / Fraction(mechanism.scale))
    return ledger.epsilon_at(ledger.cost(cost), delta)


def from_epsilon(kind: Kind, given: float, bounds: Bounds, delta: float) -> Mechanism:
    """The mechanism of a declared epsilon, pure for Laplace, at ``delta`` for the Gaussian.

    Raises: PrivacyError: ``epsilon-malformed``, ``delta-malformed``, ``bounds-malformed``, ``scale-malformed``.
    """
    bounds_.check(bounds)
    ledger.check_epsilon(given)
    if kind == "laplace":
        return _made(kind, bounds_.l1(bounds) / given)
    units = ledger.rho_for(given, delta)
    if units <= 0:
        raise PrivacyError("epsilon-malformed", "found an epsilon too small to be counted")
    return _made(kind, math.sqrt(bounds_.l2_squared(bounds) / (2 * units * float(ledger.UNIT))) * (1 + 1e-12))


def from_accuracy(kind: Kind, offset: float, alpha: float, bounds: Bounds, *, together: bool = False) -> Mechanism:
    """The mechanism whose noise is within ``offset`` with probability ``1 - alpha``, with as much noise as that allows.

    For Laplace ``epsilon = -ln(alpha) * sensitivity / offset``, so ``scale = offset / -ln(alpha)``. Noise is whole, so
    within 2.9 is within 2: of an offset its whole part counts and one half at most. With ``p = exp(-1 / scale)`` the
    discrete noise is then beyond it with ``2 * sqrt(p) / (1 + p) * alpha`` at most, which is no more than alpha; with
    more than the half it would not be. For the Gaussian the largest sigma is looked for on the exact distribution.

    Args:
        together: For all cells at once, by the union bound, rather than for each alone.

    Raises: PrivacyError: ``offset-malformed``, ``alpha-malformed``, ``bounds-malformed``, ``scale-malformed``.
    """
    bounds_.check(bounds)
    if not is_number(offset) or not 0 < offset <= bounds_.MAX_VALUE:
        raise PrivacyError("offset-malformed", f"found an offset that is not from 0 to {bounds_.MAX_VALUE}")
    check_probability("alpha-malformed", alpha)
    whole, shares = math.floor(offset), bounds.cells if together else 1
    if kind == "laplace":
        return _made(kind, min(offset, whole + 0.5) / (math.log(shares) - math.log(alpha)))
    return _made(kind, _largest(kind, whole, alpha / shares))


def _largest(kind: Kind, whole: int, share: float) -> float:
    """The largest scale whose noise is beyond ``whole`` with probability ``share`` at most."""
    low, high = MIN_SCALE, MAX_SCALE
    if not distribution.beyond(kind, low, whole) <= share < distribution.beyond(kind, high, whole):
        raise _refused_scale()
    for _ in range(80):
        middle = math.sqrt(low * high)
        low, high = (middle, high) if distribution.beyond(kind, middle, whole) <= share else (low, middle)
    return low


def _made(kind: Kind, scale: float) -> Mechanism:
    found = Mechanism(kind, float(scale))
    check(found)
    return found


def _refused_scale() -> PrivacyError:
    return PrivacyError("scale-malformed", f"found a scale of noise that is not from {MIN_SCALE} to {MAX_SCALE:.0f}")
