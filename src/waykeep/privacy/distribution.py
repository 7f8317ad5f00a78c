"""The exact distributions of the noise on the integers, and intervals from them.

Discrete Laplace: ``P(x) = (1 - p) / (1 + p) * p**|x|`` with ``p = exp(-1 / scale)``. Discrete Gaussian: ``P(x)``
proportional to ``exp(-x**2 / (2 * sigma**2))`` (Canonne, Kamath, Steinke 2020, definition 1).
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Literal, Protocol

from waykeep.privacy.numbers import check_probability

Kind = Literal["laplace", "gaussian"]
_EXACT = 256
"""Sigmas up to which tails are summed. Above it the continuous distribution with a correction of half a step is used,
which is off by less than `_MARGIN` of itself up to 12 sigmas, and rounded up by that."""
_MARGIN = 1e-3
_ROUNDING = 1 + 1e-12
"""More than what rounding of floats takes from a tail, so that an interval is never too short by it."""


class Noise(Protocol):
    @property
    def kind(self) -> Kind: ...
    @property
    def scale(self) -> float: ...


def probability(kind: Kind, scale: float, x: int) -> float:
    """P(noise = x)."""
    if kind == "laplace":
        p = math.exp(-1 / scale)
        return -math.expm1(-1 / scale) / (1 + p) * math.exp(-abs(x) / scale)
    return math.exp(-(x**2) / (2 * scale**2)) / _mass(scale)


def beyond(kind: Kind, scale: float, k: int) -> float:
    """P(|noise| > k), for k of at least 0; rounded up."""
    if kind == "laplace":
        return _ROUNDING * 2 * math.exp(-(k + 1) / scale) / (1 + math.exp(-1 / scale))
    if scale > _EXACT:
        return min(1.0, math.erfc((k + 0.5) / (scale * math.sqrt(2))) * (1 + _MARGIN))
    # What follows after 40 sigmas is less than any float.
    tail = math.fsum(math.exp(-(x**2) / (2 * scale**2)) for x in range(k + 1, k + 1 + 40 * math.ceil(scale)))
    return _ROUNDING * 2 * tail / _mass(scale)


def interval(noise: Noise, alpha: float) -> int:
    """The smallest k with P(|noise| <= k) of at least ``1 - alpha``. Raises: PrivacyError: ``alpha-malformed``."""
    check_probability("alpha-malformed", alpha)
    low, high = -1, 1
    while beyond(noise.kind, noise.scale, high) > alpha:
        high *= 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if beyond(noise.kind, noise.scale, middle) <= alpha else (middle, high)
    return high


@lru_cache(maxsize=64)
def _mass(sigma: float) -> float:
    """The sum over all integers, by Poisson's summation formula where sigma is not small."""
    if sigma >= 2:
        return sigma * math.sqrt(2 * math.pi)  # the next term is exp(-2 * pi**2 * sigma**2) < 1e-34
    return 1 + 2 * math.fsum(math.exp(-(x**2) / (2 * sigma**2)) for x in range(1, 80))
