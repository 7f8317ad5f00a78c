"""Which cells of the grid lie within an area, for many places at once.

Coarse blocks are judged first: where one lies within an area, or outside it, so do all cells in it. Only what is at the
edge is judged more finely, down to the cells themselves.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import shapely

from waykeep.authority.areas import Area
from waykeep.authority.geometry import shape
from waykeep.formats import grid

Flags = npt.NDArray[np.bool_]
Boxes = npt.NDArray[np.object_]
FINER = 6
"""By how many levels blocks are divided each time: into 64 by 64."""


class Cells:
    """The cells of places at a level."""

    def __init__(self, lat: grid.Places, lon: grid.Places, level: int) -> None:
        self._lat, self._lon = lat, lon
        self._levels = [level]
        if len(lat):
            extent = max(int(lat.max()) - int(lat.min()), (int(lon.max()) - int(lon.min())) >> 1)
            first = min(max(extent.bit_length() - FINER, level), grid.MAX_LEVEL)
            self._levels = [*range(first, level, -FINER), level]
        self._blocks = _Unique(lat, lon, self._levels[0])

    def inside(self, area: Area) -> Flags:
        """Whether each place's cell lies within an area."""
        return self._judged(shape(area), shapely.covers)

    def touching(self, area: Area) -> Flags:
        """Whether each place's cell touches an area; of one that cannot be drawn, every one does."""
        found = shape(area)
        return np.ones(len(self._lat), dtype=np.bool_) if found.is_empty else self._judged(found, shapely.intersects)

    def _judged(self, area: shapely.Geometry, judge: Callable[[shapely.Geometry, Boxes], Flags]) -> Flags:
        shapely.prepare(area)
        found: Flags = np.zeros(len(self._lat), dtype=np.bool_)
        left, blocks = None, self._blocks
        for level in self._levels[1:]:
            whole = shapely.covers(area, blocks.boxes)
            edge = np.flatnonzero((shapely.intersects(area, blocks.boxes) & ~whole)[blocks.which])
            found[slice(None) if left is None else left] = whole[blocks.which]
            left = edge if left is None else left[edge]
            if not len(left):
                return found
            blocks = _Unique(self._lat[left], self._lon[left], level)
        last: Flags = judge(area, blocks.boxes)[blocks.which]
        found[slice(None) if left is None else left] = last
        return found


class _Unique:
    """Cells at one level, each once. ``which`` is the number of each place's box."""

    def __init__(self, lat: grid.Places, lon: grid.Places, level: int) -> None:
        names = grid.names(lat, lon, level)
        # Who stays, or moves within a cell, is in one for many rows.
        first = np.flatnonzero(np.concatenate(([True], names[1:] != names[:-1]))) if len(names) else names
        _, index, inverse = np.unique(names[first], return_index=True, return_inverse=True)
        self.which = np.repeat(inverse, np.diff(np.append(first, len(lat))))
        chosen = first[index]
        south, west, north, east = grid.corners(lat[chosen], lon[chosen], level)
        self.boxes = shapely.box(west, south, east, north)
