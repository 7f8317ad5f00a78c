"""Where somebody stayed, and the journeys between.

A stay is a stretch of time in which the fixes keep within a small area, or in which the phone slept because it lay
still. A journey leads from one stay to the next. This file is the same in every bundle that has one.

The rules, in their order:

1. *Legs.* A step between fixes is `PLAIN`, or, when it lasts as long as a stay (`stay_ms`) or longer, one of:
   `ASLEEP` (time for a stay and for the way after it: the phone slept and woke up on the way), `BRIDGED` (somebody
   travelled without fixes for at most `gap_ms`), `CUT` (unknown). A step faster than `max_speed_m_s` is `CUT` as well.
2. *Dwelling.* A fix dwells if all fixes from it on, for `stay_ms`, lie in a box of diagonal 2 * `radius_m`.
3. *Stays.* The first dwelling fix starts a stay, which goes on until a fix lies more than `radius_m` from its middle
   and none of the next `stay_ms` comes back (without having been twice as far away).
4. *Open ends.* Where a track begins, ends or is cut without a stay, the fixes within `radius_m` of that end stand for
   the stay that was not seen.
5. *Journeys.* The way from one stay's middle over the fixes between to the next one's, if it leads at least
   `min_trip_m` away. It starts at the last fix near the middle and ends at the first.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np

from legs import ASLEEP, BRIDGED, CUT, PACE_M_S, PLAIN, Legs, Rules
from track import EARTH_M, Bools, Floats, Ints, Track, distance, extreme

UNSEEN_RADII = 5
"""A journey whose begin the phone slept through for more than this many stay radii is reported with a gap."""


class Stay(NamedTuple):
    """Fixes around a middle.

    Attributes:
        first: Index of the first fix.
        last: Index of the last fix.
        middle: Position on the sphere, metres, shape (3,).
        arrival: Index of the fix at which the way to the middle was done.
        leaving: Index of the fix at which the way from it began.
        seen: False for a stand-in at an open end (rule 4).
    """

    first: int
    last: int
    middle: Floats
    arrival: int
    leaving: int
    seen: bool


class Journey(NamedTuple):
    """One way between two stays.

    Attributes:
        times: Time of each point, ms, shape (k,): departure, fixes, arrival.
        points: Positions on the sphere, metres, shape (k, 3): middle of a stay, fixes, middle of the next.
        gap: Whether a part of the way was not recorded.
        slept: Whether the phone slept at the begin, so that departure and first step are inferred.
    """

    times: Ints
    points: Floats
    gap: bool
    slept: bool


def dwelling(track: Track, kind: Ints, rules: Rules) -> tuple[Bools, Ints]:
    """Which fixes start a time of `stay_ms` in one small area (rule 2), and the last fix of that time; shapes (n,)."""
    here = np.arange(len(track.t))
    last = np.searchsorted(track.t, track.t + rules.stay_ms, side="right") - 1
    after = np.concatenate((kind, [CUT]))[last]
    whole = track.t[last] == track.t + rules.stay_ms
    needs_next = ~whole & ((after == PLAIN) | (after == BRIDGED))
    ends = np.where(needs_next, last + 1, last)
    cuts = np.concatenate(([0], np.cumsum(kind == CUT)))
    seen = (whole | needs_next | (after == ASLEEP)) & (cuts[ends] == cuts[here])
    squares = np.zeros(len(track.t))
    for axis in track.xyz.T:
        values = np.ascontiguousarray(axis)
        squares += (extreme(values, here, ends, np.maximum) - extreme(values, here, ends, np.minimum)) ** 2
    return np.asarray(seen & (squares <= (2.0 * rules.radius_m) ** 2)), ends


def middle_of(track: Track, first: int, last: int, rules: Rules) -> Floats:
    """The median place of some fixes, each weighed with the time until the next one (at most `stay_ms`).

    So the one fix with which a phone fell asleep outweighs the few on the way to it, and no outlier moves the middle.
    """
    times = track.t[first : last + 2]
    weights = np.ones(last - first + 1)
    weights[: len(times) - 1] += np.minimum(np.diff(times), rules.stay_ms)
    middle = np.empty(3)
    for axis in range(3):
        values = track.xyz[first : last + 1, axis]
        order = np.argsort(values, kind="stable")
        heap = np.cumsum(weights[order])
        middle[axis] = values[order[np.searchsorted(heap, heap[-1] / 2)]]
    return middle * (EARTH_M / np.sqrt(middle @ middle))


def first_beyond(track: Track, middle: Floats, start: int, stop: int, radius_m: float) -> int:
    """The first fix of start..stop-1 more than `radius_m` from a point; `stop` if there is none."""
    size = 64
    while start < stop:
        end = min(start + size, stop)
        beyond = np.flatnonzero(distance(track.xyz[start:end], middle) > radius_m)
        if len(beyond):
            return start + int(beyond[0])
        start, size = end, size * 2
    return stop


def extend(track: Track, middle: Floats, start: int, stop: int, rules: Rules) -> int:
    """The last fix (below `stop`) of a stay around `middle`: short and small excursions belong to it (rule 3)."""
    while True:
        out = first_beyond(track, middle, start, stop, rules.radius_m)
        if out == stop:
            return stop - 1
        until = min(int(np.searchsorted(track.t, track.t[out] + rules.stay_ms, side="right")), stop)
        away = distance(track.xyz[out:until], middle)
        back = np.flatnonzero(away <= rules.radius_m)
        if not len(back) or np.max(away[: back[0]]) > 2 * rules.radius_m:
            return out - 1
        start = out + int(back[0]) + 1


def settle(track: Track, kind: Ints, first: int, last: int, rules: Rules, end: Floats | None = None) -> Stay:
    """A stay of the fixes `first` to `last`, around their middle or, if it stands for an open end, around that `end`.

    The fixes at which somebody came to the middle and left it are looked for in the time that a slow walk needs for
    the radius, so that jitter in the rest of the stay does not count, and not beyond a sleep, which is certainly part
    of the stay.
    """
    middle, seen = (middle_of(track, first, last, rules), True) if end is None else (end, False)
    away = distance(track.xyz[first : last + 1], middle)
    asleep = np.flatnonzero(kind[first : last + 1] == ASLEEP)
    walk_ms = min(round(rules.radius_m / PACE_M_S * 1000), rules.stay_ms // 2)
    latest = int(asleep[0]) if len(asleep) else last - first
    near = np.flatnonzero(away[: latest + 1] <= rules.radius_m)
    came = int(near[0]) if len(near) else latest
    until = int(np.searchsorted(track.t, track.t[first + came] + walk_ms, side="right")) - first
    arrival = came + int(np.argmin(away[came : min(until, latest + 1)]))
    if len(asleep) and first + int(asleep[-1]) == last:
        return Stay(first, last, middle, first + arrival, last, seen)
    earliest = max(int(asleep[-1]) + 1 if len(asleep) else 0, arrival)
    since = max(int(np.searchsorted(track.t, track.t[last] - walk_ms)) - first, earliest)
    leaving = last - first - int(np.argmin(away[since:][::-1]))
    return Stay(first, last, middle, first + arrival, first + leaving, seen)


def stays(track: Track, kind: Ints, rules: Rules) -> list[list[Stay]]:
    """All stays, in the order of time, one list per stretch of the track between cuts (rules 3 and 4)."""
    dwells, ends = dwelling(track, kind, rules)
    starts = np.flatnonzero(dwells)
    cuts = np.flatnonzero(kind == CUT)
    found: list[list[Stay]] = []
    for begin, end in zip([0, *(cuts + 1).tolist()], [*cuts.tolist(), len(track.t) - 1], strict=True):
        block: list[Stay] = []
        found.append(block)
        if begin >= end:
            continue  # One fix leads nowhere; a track of impossible steps has nothing but such stretches.
        cursor = begin
        while True:
            position = int(np.searchsorted(starts, cursor))
            if position == len(starts) or starts[position] > end:
                break
            first = int(starts[position])
            middle = middle_of(track, first, int(ends[first]), rules)
            last = extend(track, middle, int(ends[first]) + 1, end + 1, rules)
            block.append(settle(track, kind, first, last, rules))
            cursor = last + 1
        block[:] = with_ends(track, kind, block, begin, end, rules)
    return found


def with_ends(track: Track, kind: Ints, block: list[Stay], begin: int, end: int, rules: Rules) -> list[Stay]:
    """The stays of one stretch, with those added that its ends stand for (rule 4)."""
    result = list(block)
    if begin < (result[0].first if result else end + 1):
        out = first_beyond(track, track.xyz[begin], begin, result[0].first if result else end + 1, rules.radius_m)
        result.insert(0, settle(track, kind, begin, out - 1, rules, track.xyz[begin]))
    free = result[-1].last + 1
    if free <= end:
        beyond = np.flatnonzero(distance(track.xyz[free : end + 1], track.xyz[end]) > rules.radius_m)
        first = free + int(beyond[-1]) + 1 if len(beyond) else free
        result.append(settle(track, kind, first, end, rules, track.xyz[end]))
    return result


def journeys(track: Track, steps: Legs, rules: Rules) -> list[Journey]:
    """All journeys of a track, in the order of time (rule 5)."""
    if len(track.t) < 2:
        return []
    result: list[Journey] = []
    blocks = stays(track, steps.kind, rules)
    for number, block in enumerate(blocks):
        for place, following in pairwise(block):
            start, end = place.leaving, following.arrival
            inner = slice(start + 1, end)
            points = np.concatenate((place.middle[None], track.xyz[inner], following.middle[None]))
            if np.max(distance(points, place.middle)) < rules.min_trip_m:
                continue
            departure = int(steps.departure[start])
            times = np.concatenate(([departure], track.t[inner], [track.t[end]]))
            slept = bool(steps.kind[start] == ASLEEP)
            unseen = slept and distance(points[0], points[1]) > UNSEEN_RADII * rules.radius_m
            cut = (number > 0 and not place.seen) or (number < len(blocks) - 1 and not following.seen)
            gap = bool(cut or unseen or np.max(np.diff(times)) >= rules.stay_ms)
            result.append(Journey(times, points, gap, slept))
    return result
