"""What lies between two fixes of a phone: a plain step, a sleep, an unseen way, or nothing that can be known.

A phone that lies still stops looking, and wakes up only after somebody has left, one or several hundred metres on. So
a long step without fixes mostly is a stay with the begin of a journey at its end. `legs` tells the two apart and says
when the journey began. This file is the same in every bundle that has one; a test compares the copies.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from track import Floats, Ints, Track, distance, too_fast

PLAIN, ASLEEP, BRIDGED, CUT = 0, 1, 2, 3

PACE_M_S = 1.0
"""A slow walk: the least speed at which somebody is taken to travel while the phone does not look."""
ON_FOOT_M_S = 2.0
"""Somebody slower than this before a gap may have stopped; somebody faster was under way."""
DRIFT_M_S = 0.5
"""A gap whose ends lie closer than this speed explains holds a stay, however fast somebody was before it."""
PACE_MS = 120_000
"""The time over which the speed before and after a gap is measured."""


class Rules(NamedTuple):
    """The parameters, in the units of the computation."""

    radius_m: int
    stay_ms: int
    gap_ms: int
    min_trip_m: int
    max_speed_m_s: int


class Legs(NamedTuple):
    """The steps between successive fixes; every array has shape (n - 1,).

    Attributes:
        kind: PLAIN, ASLEEP, BRIDGED or CUT.
        departure: When the way to the later fix began, ms; for all but ASLEEP the time of the earlier fix.
    """

    kind: Ints
    departure: Ints


def pace(track: Track, at: Ints, towards: Ints, first: Ints, last: Ints) -> Floats:
    """Speed in m/s between the fixes `at` and the furthest ones in `towards`' direction within `PACE_MS`.

    Args:
        track: The fixes.
        at: Indices, shape (m,).
        towards: -1 for the time before, +1 for the time after, shape (m,).
        first: The lowest index that may be looked at, shape (m,).
        last: The highest.
    """
    wanted = np.where(
        towards < 0,
        np.searchsorted(track.t, track.t[at] - PACE_MS, side="left"),
        np.searchsorted(track.t, track.t[at] + PACE_MS, side="right") - 1,
    )
    other = np.minimum(np.maximum(wanted, first), last)
    seconds = np.abs(track.t[at] - track.t[other]) / 1000.0
    way = distance(track.xyz[at], track.xyz[other]) - np.maximum(track.accuracy[at], track.accuracy[other])
    return np.asarray(np.maximum(way, 0.0) / np.maximum(seconds, 1.0))


def legs(track: Track, rules: Rules) -> Legs:
    """Says of every step what it is (rule 1)."""
    kind = np.full(max(len(track.t) - 1, 0), PLAIN, dtype=np.int64)
    departure = track.t[:-1].copy()
    steps = np.diff(track.t)
    gaps = np.flatnonzero(steps >= rules.stay_ms)
    before_first, after_last = np.concatenate(([0], gaps[:-1] + 1)), np.concatenate((gaps[1:], [len(track.t) - 1]))
    if len(gaps):
        way = distance(track.xyz[gaps], track.xyz[gaps + 1])
        speed_before = pace(track, gaps, np.full(len(gaps), -1), before_first, gaps)
        speed_after = pace(track, gaps + 1, np.full(len(gaps), 1), gaps + 1, after_last)
        travel = way / np.maximum(speed_after, PACE_M_S) * 1000.0
        halted = (speed_before <= ON_FOOT_M_S) | (way < DRIFT_M_S * steps[gaps] / 1000.0)
        asleep = halted & (travel <= steps[gaps] - rules.stay_ms) & (travel <= rules.gap_ms)
        kind[gaps] = np.where(asleep, ASLEEP, np.where(steps[gaps] <= rules.gap_ms, BRIDGED, CUT))
        departure[gaps[asleep]] = track.t[gaps[asleep] + 1] - np.round(travel[asleep]).astype(np.int64)
    kind[too_fast(track, rules.max_speed_m_s)] = CUT
    departure[kind != ASLEEP] = track.t[:-1][kind != ASLEEP]
    return Legs(kind, departure)
