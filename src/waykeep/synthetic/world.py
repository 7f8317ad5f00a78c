"""A town that is nowhere: a street grid with bus lines, on a piece of open sea off the equator.

Streets run east and north, a block apart; every eighth is a main road with a bus line, which stops at each fourth
crossing. Places are crossings, as whole numbers of blocks from the centre.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

BLOCK_M: Final = 120.0
REACH: Final = 40
"""Blocks from the centre to the edge of town."""
LINE: Final = 8
"""Every so many streets is a main road with a bus line."""
STOP: Final = 4
"""Crossings from one stop of a line to the next."""
CENTRE: Final = (0.5, -30.0)
"""Latitude and longitude: the Atlantic, 1,700 km from any town."""
_METRES = 6_371_008.8 * math.pi / 180
_ACROSS = _METRES * math.cos(math.radians(CENTRE[0]))


def e7(points: Floats) -> tuple[Ints, Ints]:
    """Latitudes and longitudes (degrees x 10**7) of places in metres east and north of the centre, shape (n, 2)."""
    lat = np.rint((CENTRE[0] + points[:, 1] / _METRES) * 1e7).astype(np.int64)
    lon = np.rint((CENTRE[1] + points[:, 0] / _ACROSS) * 1e7).astype(np.int64)
    return lat, lon


def route(rng: np.random.Generator, start: Ints, end: Ints) -> Floats:
    """A way along streets, in metres, shape (n, 2): turns only at crossings, first and last are the two places.

    Of the ways that are no detour one with few turns is taken, as people do who know where they go.
    """
    delta = end - start
    turns = int(rng.integers(1, 4))
    order = int(rng.integers(2))
    shares = np.sort(rng.integers(0, np.abs(delta).max() + 1, turns)) / max(1, np.abs(delta).max())
    corners = [start]
    for share in (*shares, 1.0):
        target = start + np.rint(delta * share).astype(np.int64)
        middle = corners[-1].copy()
        middle[order] = target[order]
        corners += [middle, target]
    path = np.array(corners, np.float64) * BLOCK_M
    keep = np.concatenate(([True], np.any(np.diff(path, axis=0) != 0, axis=1)))
    return path[keep]


def nearest_stop(place: Ints, axis: int) -> Ints:
    """The nearest stop of a line that runs along ``axis`` (0 is east)."""
    found = place.copy()
    found[1 - axis] = LINE * round(float(place[1 - axis]) / LINE)
    found[axis] = STOP * round(float(place[axis]) / STOP)
    return found


def length(path: Floats) -> float:
    """Metres."""
    return float(np.hypot(*np.diff(path, axis=0).T).sum())
