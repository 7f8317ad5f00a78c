"""Trips: by foot, bicycle, car or bus from place to place, as a line in time and space.

A way is travelled at the pace of its mode, which differs from person to person and from stretch to stretch; bicycles
and cars wait at some crossings, buses at every stop and their passengers before that."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np

from waykeep.synthetic import world
from waykeep.synthetic.world import BLOCK_M, Floats, Ints

WALK, BICYCLE, CAR, BUS = "walk", "bicycle", "car", "bus"
MODES: Final = (WALK, BICYCLE, CAR, BUS)
PACE: Final = {WALK: 1.35, BICYCLE: 4.5, CAR: 10.0, BUS: 9.0}
"""Metres a second while moving."""
_WAITS: Final = {WALK: (0.0, 0.0), BICYCLE: (0.08, 12.0), CAR: (0.15, 20.0), BUS: (0.0, 0.0)}
"""How often one waits at a crossing, and how long (seconds) on average."""
_STOP_S, _BUS_EVERY_S = 18.0, 600.0


class Leg(NamedTuple):
    """A stretch by one mode.

    Attributes:
        times: Seconds from the trip's begin, shape (n,), ascending. path: Metres, shape (n, 2).
    """

    mode: str
    times: Floats
    path: Floats


class Trip(NamedTuple):
    """From ``origin`` to ``destination`` (crossings), begun at ``start_s`` seconds of some day."""

    start_s: float
    origin: Ints
    destination: Ints
    legs: tuple[Leg, ...]

    @property
    def end_s(self) -> float:
        return self.start_s + float(self.legs[-1].times[-1])

    @property
    def mode(self) -> str:
        """That of the longest leg."""
        return max(self.legs, key=lambda leg: world.length(leg.path)).mode


def travel(rng: np.random.Generator, mode: str, origin: Ints, destination: Ints, start_s: float, pace: float) -> Trip:
    """A trip between two places that differ.

    Args:
        pace: The traveller's own, against that of others.
    """
    if mode != BUS:
        return Trip(start_s, origin, destination, (_leg(rng, mode, origin, destination, 0.0, pace),))
    axis = int(np.argmax(np.abs(destination - origin)))
    first, last = world.nearest_stop(origin, axis), world.nearest_stop(destination, axis)
    last[1 - axis] = first[1 - axis]
    legs: list[Leg] = []
    now = 0.0
    for part, a, b in ((WALK, origin, first), (BUS, first, last), (WALK, last, destination)):
        if np.array_equal(a, b):
            continue
        if part == BUS:
            now += float(rng.uniform(30, _BUS_EVERY_S / 2))
        legs.append(_leg(rng, part, a, b, now, pace))
        now = float(legs[-1].times[-1])
    if not legs:
        legs = [_leg(rng, WALK, origin, destination, 0.0, pace)]
    return Trip(start_s, origin, destination, tuple(legs))


def _leg(rng: np.random.Generator, mode: str, origin: Ints, destination: Ints, begin_s: float, pace: float) -> Leg:
    corners = world.route(rng, origin, destination)
    # A point at each crossing, where one may wait.
    steps = np.diff(corners, axis=0)
    counts = np.maximum(1, np.rint(np.hypot(*steps.T) / BLOCK_M)).astype(np.int64)
    shares = np.concatenate([np.arange(1, n + 1) / n for n in counts])
    path = np.concatenate(
        (corners[:1], np.repeat(corners[:-1], counts, 0) + shares[:, None] * np.repeat(steps, counts, 0))
    )
    blocks = np.hypot(*np.diff(path, axis=0).T)
    speed = PACE[mode] * (pace if mode in (WALK, BICYCLE) else 1.0) * rng.uniform(0.85, 1.15, len(blocks))
    spent = blocks / speed
    often, long = _WAITS[mode]
    waits = np.where(rng.random(len(blocks)) < often, rng.exponential(long or 1.0, len(blocks)), 0.0)
    if mode == BUS:
        waits = np.where(np.arange(1, len(blocks) + 1) % world.STOP == 0, _STOP_S, 0.0)
    waits[-1] = 0.0
    # Two points at each crossing: when it is reached and when it is left.
    reached = np.cumsum(spent) + np.concatenate(([0.0], np.cumsum(waits)[:-1]))
    times = np.concatenate(([0.0], np.stack((reached, reached + waits), 1).ravel()))
    return Leg(mode, begin_s + times, np.concatenate((path[:1], np.repeat(path[1:], 2, 0))))
