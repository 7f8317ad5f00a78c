"""Fixes of a phone as a clean track: sorted, one fix an instant, without fixes that better ones contradict.

Positions are points of a sphere in metres (x, y, z), never degrees: so the antimeridian and the poles are places like
any other. Times are milliseconds. This file is the same in every bundle that has one; a test compares the copies.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

EARTH_M = 6_371_008.8
"""Mean radius of the earth (IUGG R1), metres."""
LAST_MS = 4_102_444_800_000
"""2100-01-01; a later or negative time is a fault of the phone's clock."""
UNKNOWN_ACCURACY_M = 30.0
"""What a fix without accuracy is taken to be good for."""
NEIGHBOUR_MS = 25_000
"""How far apart two fixes may be for the better one to speak for both: less than the 30 s of a time-filtered phone."""
GOOD_ACCURACY_M = 20.0
"""A fix this good is never dropped for a better neighbour."""
SPIKE_MS = 600_000
"""A visit that needs impossible speeds both ways and is shorter than this is a fault, not a flight."""


class Track(NamedTuple):
    """Fixes in the order of time, no two at one instant.

    Attributes:
        t: Times, ms since 1970 UTC, strictly increasing, shape (n,).
        xyz: Positions on the sphere, metres, shape (n, 3).
        accuracy: Radius of uncertainty, metres, shape (n,).
    """

    t: Ints
    xyz: Floats
    accuracy: Floats


def distance(a: Floats, b: Floats) -> Floats:
    """Great-circle distance in metres between points of the sphere; shapes (..., 3) broadcast."""
    difference = a - b
    chord = np.sqrt(np.einsum("...i,...i->...", difference, difference))
    return np.asarray(2 * EARTH_M * np.arcsin(np.minimum(chord / (2 * EARTH_M), 1.0)))


def to_sphere(lat_e7: Ints, lon_e7: Ints) -> Floats:
    """Points of the sphere, metres, shape (n, 3), from degrees times 1e7."""
    lat, lon = np.radians(lat_e7 / 1e7), np.radians(lon_e7 / 1e7)
    return EARTH_M * np.stack((np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)), axis=-1)


def to_e7(point: Floats) -> tuple[int, int]:
    """Latitude and longitude, degrees times 1e7, of one point, which may lie a little below the sphere."""
    x, y, z = (float(value) for value in point)
    lat, lon = math.degrees(math.atan2(z, math.hypot(x, y))), math.degrees(math.atan2(y, x))
    return round(lat * 1e7), round(lon * 1e7)


def column(table: pa.Table, name: str) -> tuple[Ints, Bools]:
    """A column's values, with zero for null, and which of them are not null."""
    values = table.column(name)
    return (
        np.asarray(pc.fill_null(values, 0).to_numpy(), dtype=np.int64),
        np.asarray(pc.is_valid(values).to_numpy(), dtype=np.bool_),
    )


def read(table: pa.Table, max_accuracy_m: int) -> Track:
    """The usable fixes of a location table, in any order and with repetitions.

    Left out: a fix without time or position, outside the globe or the years 1970 to 2099, or less accurate than
    `max_accuracy_m`. Of several fixes at one instant the most accurate stays (then the southernmost, westernmost: any
    rule does that does not depend on the order of rows).
    """
    (t, t_set), (lat, lat_set) = column(table, "ts_ms"), column(table, "lat_e7")
    (lon, lon_set), (accuracy_cm, accuracy_set) = column(table, "lon_e7"), column(table, "accuracy_cm")
    accuracy = np.where(accuracy_set, accuracy_cm / 100.0, UNKNOWN_ACCURACY_M)
    usable = t_set & lat_set & lon_set & (t >= 0) & (t < LAST_MS) & (np.abs(lat) <= 900_000_000)
    usable &= (np.abs(lon) <= 1_800_000_000) & (accuracy >= 0) & (~accuracy_set | (accuracy <= max_accuracy_m))
    t, lat, lon, accuracy = t[usable], lat[usable], lon[usable], accuracy[usable]
    if not np.all(t[1:] > t[:-1]):
        order = np.lexsort((lon, lat, accuracy, t))
        order = order[np.concatenate(([True], np.diff(t[order]) > 0))]
        t, lat, lon, accuracy = t[order], lat[order], lon[order], accuracy[order]
    return Track(t, to_sphere(lat, lon), accuracy)


def extreme(values: Floats, first: Ints, last: Ints, ufunc: np.ufunc) -> Floats:
    """`ufunc` (np.minimum or np.maximum) over many windows of one array at once, by doubling.

    Args:
        values: Shape (n,).
        first: First index of each window, shape (m,).
        last: Last index of each window, itself included, not below `first`.
        ufunc: The extreme that is asked for.

    Returns:
        One number per window, shape (m,). Time and memory grow with n times the logarithm of the longest window.
    """
    result = np.empty(len(first))
    level = np.floor(np.log2(last - first + 1)).astype(np.int64)
    span, table = 1, values
    for power in range(int(np.max(level)) + 1 if len(level) else 0):
        chosen = np.flatnonzero(level == power)
        result[chosen] = ufunc(table[first[chosen]], table[last[chosen] - span + 1])
        table = ufunc(table[:-span], table[span:])
        span *= 2
    return result


def take(track: Track, chosen: Bools | Ints) -> Track:
    """The chosen fixes of a track."""
    return Track(track.t[chosen], track.xyz[chosen], track.accuracy[chosen])


def drop_contradicted(track: Track) -> Track:
    """Leaves out the fixes that have a neighbour in time at least twice as accurate.

    Android phones switch between satellites (5 m) and radio cells (40 m, often wrong by 150 m) every few seconds: taken
    as they come, the two make a zigzag of hundreds of metres while the phone lies on a desk.
    """
    first = np.searchsorted(track.t, track.t - NEIGHBOUR_MS, side="left")
    last = np.searchsorted(track.t, track.t + NEIGHBOUR_MS, side="right") - 1
    best = extreme(track.accuracy, first, last, np.minimum)
    return take(track, (track.accuracy <= GOOD_ACCURACY_M) | (track.accuracy < 2 * best))


def too_fast(track: Track, max_speed_m_s: int) -> Bools:
    """Whether the step after each fix needs more than the speed limit, uncertainty taken off; shape (n - 1,)."""
    way = distance(track.xyz[:-1], track.xyz[1:]) - track.accuracy[:-1] - track.accuracy[1:]
    return np.asarray(way > max_speed_m_s * np.maximum(np.diff(track.t), 1000) / 1000.0)


def reachable(track: Track, a: int, b: int, max_speed_m_s: int) -> bool:
    """Whether a later fix `b` can be reached from `a`: the rule of `too_fast` for one pair, in plain numbers."""
    chord = math.dist(track.xyz[a].tolist(), track.xyz[b].tolist())
    way = 2 * EARTH_M * math.asin(min(chord / (2 * EARTH_M), 1.0)) - float(track.accuracy[a]) - float(track.accuracy[b])
    return way <= max_speed_m_s * max(int(track.t[b]) - int(track.t[a]), 1000) / 1000.0


def drop_spikes(track: Track, max_speed_m_s: int) -> Track:
    """Leaves out short visits to places that cannot be reached and left at a possible speed.

    The track falls into runs at its impossible steps. A run shorter than `SPIKE_MS` is left out if what follows can be
    reached from what came before it. A jump that stays (a flight, say) stays in the track; `stays.legs` cuts there.
    """
    breaks = np.flatnonzero(too_fast(track, max_speed_m_s))
    starts = np.concatenate(([0], breaks + 1)).tolist()
    ends = np.concatenate((breaks, [len(track.t) - 1])).tolist()
    short = (track.t[ends] - track.t[starts] < SPIKE_MS).tolist() if len(track.t) else []
    kept: list[int] = []
    for run, start in enumerate(starts):
        while len(kept) >= 2 and short[kept[-1]] and reachable(track, ends[kept[-2]], start, max_speed_m_s):
            kept.pop()
        kept.append(run)
    if len(kept) == len(starts):
        return track
    return take(track, np.concatenate([np.arange(starts[run], ends[run] + 1) for run in kept]))


def clean(table: pa.Table, max_accuracy_m: int, max_speed_m_s: int) -> Track:
    """The clean track of a location table with the columns ts_ms, lat_e7, lon_e7 and accuracy_cm."""
    return drop_spikes(drop_contradicted(read(table, max_accuracy_m)), max_speed_m_s)
