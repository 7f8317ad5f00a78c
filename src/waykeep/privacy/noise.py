"""Noise from OpenDP, whose randomness is the operating system's. Only an aggregator draws any.

`opendp` is imported when it is needed: it takes a quarter of a second, and nobody else needs it. Sums are 64 bits
(``T=int`` is 32 in OpenDP, and piles up at its ends).
"""

from __future__ import annotations

import importlib
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

from waykeep.errors import PrivacyError
from waykeep.privacy import bounds as bounds_
from waykeep.privacy import mechanisms
from waykeep.privacy.bounds import Bounds
from waykeep.privacy.mechanisms import Mechanism

if TYPE_CHECKING:
    from collections.abc import Sequence

MAX_SUM = 2**62
_SLACK = 1 + 1e-9
"""OpenDP rounds its own figure up; ours is exact."""


def release(sums: Sequence[int], mechanism: Mechanism, bounds: Bounds) -> list[int]:
    """The sums with noise in each cell.

    Raises:
        PrivacyError: ``sums-malformed`` for anything but an integer per cell; ``sum-too-large`` where noise could
            leave 64 bits; ``noise-mismatch`` where OpenDP accounts for more than `mechanisms.rho` does; as that does.
    """
    if len(sums) != bounds.cells or any(type(value) is not int for value in sums):
        raise PrivacyError("sums-malformed", f"found sums that are not {bounds.cells} integers")
    if any(abs(value) > MAX_SUM for value in sums):
        raise PrivacyError("sum-too-large", "found a sum that leaves no room for noise")
    made, said = _made(mechanism, bounds)
    if said > float(_declared(mechanism, bounds)) * _SLACK:
        raise PrivacyError("noise-mismatch", "found noise that costs more than is accounted for")
    return cast("list[int]", made(list(sums)))


def _declared(mechanism: Mechanism, bounds: Bounds) -> Fraction:
    rho = mechanisms.rho(mechanism, bounds)
    return bounds_.l1(bounds) / Fraction(mechanism.scale) if mechanism.kind == "laplace" else rho


def _made(mechanism: Mechanism, bounds: Bounds) -> tuple[Any, float]:
    """OpenDP's measurement, and what it says it costs: epsilon of Laplace, rho of the Gaussian."""
    dp: Any = importlib.import_module("opendp.prelude")

    dp.enable_features("contrib")
    domain = dp.vector_domain(dp.atom_domain(T="i64"))
    if mechanism.kind == "laplace":
        made = dp.m.make_laplace(domain, dp.l1_distance(T="i64"), scale=mechanism.scale)
        return made, made.map(bounds_.l1(bounds))
    made = dp.m.make_gaussian(domain, dp.l2_distance(T="f64"), scale=mechanism.scale)
    return made, made.map(bounds_.l2_squared(bounds) ** 0.5)
