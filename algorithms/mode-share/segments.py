"""Segments: the legs of one journey, one mode after the other, without what cannot be and what is too short to tell."""

from __future__ import annotations

import numpy as np

from activity import STILL, UNKNOWN
from legs import PACE_M_S
from track import Bools, Floats, Ints


def runs_of(mode: Ints) -> Ints:
    """The indices at which a run of equal modes begins; `mode` has at least one element."""
    return np.concatenate(([0], np.flatnonzero(np.diff(mode)) + 1))


def lengths_of(starts: Ints, count: int) -> Ints:
    """The number of legs in each run."""
    return np.diff(np.append(starts, count))


def late_still(mode: Ints, way: Floats, seconds: Floats) -> Ints:
    """Runs that are *still* but lead on faster than a slow walk become *unknown*: the phone noticed late."""
    starts = runs_of(mode)
    moving = np.add.reduceat(way, starts) > PACE_M_S * np.add.reduceat(seconds, starts)
    return np.where(np.repeat(moving, lengths_of(starts, len(mode))) & (mode == STILL), UNKNOWN, mode)


def carried(mode: Ints, seconds: Floats, carry_s: float) -> Ints:
    """Runs of *unknown*, at most `carry_s` long, between two runs of one mode take that mode."""
    starts = runs_of(mode)
    label = mode[starts]
    before, after = np.roll(label, 1), np.roll(label, -1)
    fill = (label == UNKNOWN) & (before == after) & (np.add.reduceat(seconds, starts) <= carry_s)
    fill[[0, -1]] = False
    return np.asarray(np.repeat(np.where(fill, before, label), lengths_of(starts, len(mode))), dtype=np.int64)


def nearest(eligible: Bools) -> Ints:
    """For each run the last eligible one up to it, or the first after it; at least one is eligible."""
    found = np.maximum.accumulate(np.where(eligible, np.arange(len(eligible)), -1))
    return np.where(found < 0, np.argmax(eligible), found)


def without_short(mode: Ints, seconds: Floats, min_segment_s: float) -> Ints:
    """Runs shorter than `min_segment_s` take the mode of the long run before, the first ones that of the one after.

    A short run that moves never becomes *still*: its way would be lost. It takes the nearest long run that moves. Where
    no run is long, the longest that moves counts as long.
    """
    starts = runs_of(mode)
    label, durations = mode[starts], np.add.reduceat(seconds, starts)
    moves = label != STILL
    long = durations >= min_segment_s
    if not np.any(long):
        long = np.arange(len(starts)) == np.argmax(np.where(moves, durations + np.max(durations), durations))
    source = nearest(long)
    if np.any(long & moves):
        source = np.where(~long & moves, nearest(long & moves), source)
    else:
        source = np.where(moves, np.arange(len(starts)), source)
    return np.asarray(np.repeat(label[source], lengths_of(starts, len(mode))), dtype=np.int64)


def smooth(mode: Ints, way: Floats, seconds: Floats, carry_s: float, min_segment_s: float) -> Ints:
    """The modes of one journey's legs after the three rules above, in their order.

    Args:
        mode: Mode in force on each leg, index into `activity.MODES`, shape (n,), n at least 1.
        way: Length of each leg, metres.
        seconds: Duration of each leg.
        carry_s: The longest *unknown* that is filled between two segments of one mode.
        min_segment_s: The shortest segment.
    """
    return without_short(carried(late_still(mode, way, seconds), seconds, carry_s), seconds, min_segment_s)
