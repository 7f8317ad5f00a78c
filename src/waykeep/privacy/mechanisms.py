"""Mechanisms: integer noise of a declared scale in each cell, and what it costs a person.

The discrete Laplace (geometric) mechanism is pure, ``epsilon = L1 / scale``; the discrete Gaussian is concentrated,
``rho = L2**2 / (2 * scale**2)`` (Canonne, Kamath, Steinke 2020, theorem 4). A pure epsilon is a rho of ``epsilon**2 /
2`` (Bun, Steinke 2016, proposition 1.4). Scales are binary fractions as a float holds them; what they cost is exact.
"""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Literal

import msgspec

from waykeep.errors import PrivacyError
from waykeep.privacy import bounds as bounds_
from waykeep.privacy import distribution, ledger
from waykeep.privacy.bounds import Bounds
from waykeep.privacy.distribution import Kind

MIN_SCALE, MAX_SCALE = 2.0**-4, 2.0**45
MAX_EPSILON = 1000.0


class Mechanism(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``scale`` is that of the discrete Laplace distribution, or sigma of the discrete Gaussian."""

    kind: Literal["laplace", "gaussian"]
    scale: float


def check(mechanism: Mechanism) -> None:
    """Raises: PrivacyError: ``scale-malformed``."""
    if not _positive(mechanism.scale) or not MIN_SCALE <= mechanism.scale <= MAX_SCALE:
        raise PrivacyError("scale-malformed", f"found a scale of noise that is not from {MIN_SCALE} to {MAX_SCALE:.0f}")


def rho(mechanism: Mechanism, bounds: Bounds) -> Fraction:
    """What one release costs in zCDP. Raises: PrivacyError: ``scale-malformed``, ``bounds-malformed``."""
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

    Raises: PrivacyError: ``epsilon-malformed``, ``bounds-malformed``, ``scale-malformed``.
    """
    bounds_.check(bounds)
    if not _positive(given) or given > MAX_EPSILON:
        raise PrivacyError("epsilon-malformed", f"found an epsilon that is not from 0 to {MAX_EPSILON:.0f}")
    if kind == "laplace":
        return _made(kind, bounds_.l1(bounds) / given)
    units = ledger.rho_for(given, delta)
    if units <= 0:
        raise PrivacyError("epsilon-malformed", "found an epsilon too small to be counted")
    return _made(kind, math.sqrt(bounds_.l2_squared(bounds) / (2 * units * float(ledger.UNIT))) * (1 + 1e-12))


def from_accuracy(kind: Kind, offset: float, alpha: float, bounds: Bounds, *, together: bool = False) -> Mechanism:
    """The mechanism whose noise is within ``offset`` with probability ``1 - alpha``, with as much noise as that allows.

    For Laplace ``epsilon = -ln(alpha) * sensitivity / offset``, so ``scale = offset / -ln(alpha)``; the discrete one is
    within it a little more often. For the Gaussian the largest sigma is looked for on the exact distribution.

    Args:
        together: For all cells at once, by the union bound, rather than for each alone.

    Raises: PrivacyError: ``offset-malformed``, ``alpha-malformed``, ``bounds-malformed``, ``scale-malformed``.
    """
    bounds_.check(bounds)
    if not _positive(offset) or offset > bounds_.MAX_VALUE:
        raise PrivacyError("offset-malformed", f"found an offset that is not from 0 to {bounds_.MAX_VALUE}")
    if not _positive(alpha) or alpha >= 1:
        raise PrivacyError("alpha-malformed", "found an alpha that does not lie between 0 and 1")
    share = alpha / bounds.cells if together else alpha
    if kind == "laplace":
        return _made(kind, offset / -math.log(share))
    low, high = MIN_SCALE, MAX_SCALE
    for _ in range(80):
        middle = math.sqrt(low * high)
        inside = distribution.beyond(kind, middle, math.floor(offset)) <= share
        low, high = (middle, high) if inside else (low, middle)
    return _made(kind, low)


def _made(kind: Kind, scale: float) -> Mechanism:
    found = Mechanism(kind, float(scale))
    check(found)
    return found


def _positive(value: float) -> bool:
    """bool is a number to Python, and NaN compares as nothing."""
    return type(value) in (int, float) and math.isfinite(value) and value > 0
