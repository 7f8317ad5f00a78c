"""The one grid of places and the one ladder of times to which data is made coarse: each step is a union of finer ones.

So what is made coarser again, in any order, is what it would have been at once. No noise is drawn: asking twice tells
nothing that asking once did not.

1. A place's *row* at level k is ``floor(lat_e7 / 2**k)``. Level 0 is exact; level 24, the last one, is 1.68 degrees.
2. Its *column* is ``floor(lon_e7 / 2**(k + d))``, where d doublings keep cells about as wide as high. They depend on
   the row at level 24 alone, so that they are the same at each level: see `DOUBLINGS`.
3. A place is told as the middle of its cell, which lies in the same cell of each coarser level.
4. A time is told as the beginning of its step of `STEPS_MS`, counted from 1970 UTC; each divides the next.
"""

from __future__ import annotations

import bisect
import math

import numpy as np
import numpy.typing as npt

from waykeep.errors import FormatError

MAX_LEVEL = 24
UNIT_M = 0.0111319
"""Metres of one ``e7`` unit of latitude: a 3.6 * 10**9th of the earth's 40,075 km."""
STEPS_MS = (1, 1000, 60_000, 300_000, 900_000, 3_600_000, 21_600_000, 86_400_000)
"""One millisecond (exact), a second, a minute, five, fifteen, an hour, six, a day."""
DOUBLINGS = (27, 41, 48, 51, 52)
"""``d`` is how many of these are at most ``n``, where the row at level 24 is ``n`` or ``-n - 1``."""

_HALF, _WORD = 64, (1 << 32) - 1
_DOUBLINGS_OF = np.array(
    [bisect.bisect_right(DOUBLINGS, row if row >= 0 else -row - 1) for row in range(-_HALF, _HALF)], dtype=np.int64
)
"""By the row at level 24, from -64 on."""
_MAX_LAT, _MAX_LON = 900_000_000, 1_800_000_000
Places = npt.NDArray[np.int64]


def level_of(metres: float) -> int:
    """The finest level whose cells are at least so high.

    Raises: FormatError: ``precision-unknown`` for less than nothing, or more than the coarsest level.
    """
    if not 0 <= metres <= height_m(MAX_LEVEL):
        raise FormatError(
            "precision-unknown",
            "found a precision that no level of the grid has",
            hint=f"from 0 (exact) to {height_m(MAX_LEVEL):.0f} metres",
        )
    return 0 if metres <= UNIT_M else math.ceil(math.log2(metres / UNIT_M))


def height_m(level: int) -> float:
    """How high a cell is, in metres."""
    return float(UNIT_M * 2**level)


def step_of(milliseconds: int) -> int:
    """The shortest step of `STEPS_MS` that is at least so long. Raises: FormatError: ``precision-unknown``."""
    found = bisect.bisect_left(STEPS_MS, milliseconds)
    if milliseconds < 0 or found == len(STEPS_MS):
        raise FormatError("precision-unknown", "found a step of time over a day", hint="at most a day")
    return STEPS_MS[found]


def doublings(lat_e7: Places) -> Places:
    """``d`` of each latitude; where all lie in one row at level 24, of all of them as one number."""
    if len(lat_e7) and (row := int(lat_e7.min()) >> MAX_LEVEL) == int(lat_e7.max()) >> MAX_LEVEL:
        return _DOUBLINGS_OF[row + _HALF : row + _HALF + 1]
    found: Places = _DOUBLINGS_OF[(lat_e7 >> MAX_LEVEL) + _HALF]
    return found


def names(lat_e7: Places, lon_e7: Places, level: int) -> Places:
    """A number for each place's cell at a level, by which it is told from all others."""
    found: Places = (lat_e7 >> level).astype(np.int64)
    found <<= 32
    columns = lon_e7 >> (level + doublings(lat_e7))
    columns &= _WORD
    found += columns
    return found


def corners(lat_e7: Places, lon_e7: Places, level: int) -> tuple[Places, Places, Places, Places]:
    """South, west, north and east of each place's cell; the north and east edges belong to the next one."""
    shift = level + doublings(lat_e7)
    south, west = lat_e7 >> level << level, lon_e7 >> shift << shift
    return south, west, south + (1 << level), west + (np.int64(1) << shift)


def places(lat_e7: Places, lon_e7: Places, level: int) -> tuple[Places, Places]:
    """Where each place is told to be, in the same units."""
    if level == 0:
        return lat_e7, lon_e7
    south, west, north, east = corners(lat_e7, lon_e7, level)
    # Cells at a pole or the antimeridian reach beyond it.
    return np.clip((south + north) >> 1, -_MAX_LAT, _MAX_LAT), np.clip((west + east) >> 1, -_MAX_LON, _MAX_LON)


def within_bounds(values: Places, level: int, *, east: bool) -> bool:
    """Whether no cell of these latitudes, or longitudes, can reach beyond a pole, or the antimeridian."""
    most = (_MAX_LON if east else _MAX_LAT) - (1 << level + len(DOUBLINGS))
    return not len(values) or bool(-most < values.min() and values.max() < most)
