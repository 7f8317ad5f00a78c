"""Noise as an aggregator draws it, many cells at a time, and the faults that verdicts about it have to find."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from waykeep.privacy import noise
from waykeep.privacy.bounds import MAX_CELLS, Bounds
from waykeep.privacy.mechanisms import Mechanism

ALARM = 1e-9
"""How often a verdict may find a fault where there is none."""
Draw = Callable[[Mechanism, int], Sequence[int]]
Clamp = Callable[[Sequence[int], Bounds], list[int]]


def drawn(mechanism: Mechanism, count: int) -> list[int]:
    found: list[int] = []
    while len(found) < count:
        cells = min(MAX_CELLS, count - len(found))
        bound = Bounds(1, 0, 1) if cells == 1 else Bounds(cells, 0, 1, 1, 1)
        found += noise.release([0] * cells, mechanism, bound)
    return found


def too_small(mechanism: Mechanism, count: int) -> list[int]:
    """Fault: the scale is a tenth too small."""
    return drawn(Mechanism(mechanism.kind, mechanism.scale * 0.9), count)


def none_at_all(mechanism: Mechanism, count: int) -> list[int]:
    """Fault: the noise is off."""
    return [0] * count


def unclamped(vector: Sequence[int], bound: Bounds) -> list[int]:
    """Fault: the clamp is left out."""
    return list(vector)
