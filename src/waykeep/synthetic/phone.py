"""What a phone records of somebody's days, with the habits of its platform.

Android asks for a place every half minute while it moves, notices a few minutes late that a trip began, and repeats its
guess of how one moves. iOS gives a place for each fifty metres, is quicker to notice, and speaks of the way of moving
only when it changes. Places are off by an error that wanders, and say how sure they are. Some reach the phone from a
cell tower only; some stretches are lost, and on some evenings the battery is flat.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from waykeep.formats import streams
from waykeep.synthetic import world
from waykeep.synthetic.trips import BICYCLE, BUS, CAR, WALK, Trip
from waykeep.synthetic.world import Floats, Ints

ZONE: Final = "Etc/GMT+2"
ANDROID: Final = "android"
_DAY_S = 86_400.0
_TYPES: Final = {WALK: 7, BICYCLE: 1, CAR: 0, BUS: 0}
_STILL, _UNKNOWN = 3, 4
_WANDER_S: Final = 60.0
"""After so long an error has forgotten what it was."""
_ENTERED_TRIP, _LEFT_TRIP = 1, 2
_BOUND: Final = 10_000
"""Filtered are places of which the phone was less sure than this (cm)."""


Spans = Sequence[tuple[float, float]]
"""Times from and to, in seconds."""


class _Track(NamedTuple):
    times: Floats
    path: Floats


def record(
    rng: np.random.Generator, platform: str, home: Ints, journeys: Sequence[Trip], days: int, first_ms: int
) -> dict[str, pa.Table]:
    """By stream what was recorded, in the schemas of `waykeep.formats.streams`, ascending in time."""
    whole = _line(home, journeys, days * _DAY_S)
    late = rng.exponential(75.0 if platform == ANDROID else 25.0, len(journeys))
    ends = [trip.end_s + float(rng.uniform(120, 300)) for trip in journeys]
    spells = [(t.start_s + float(x), end) for t, x, end in zip(journeys, late, ends, strict=True)]
    flat = _flat(rng, days)
    spells = [(a, b) for a, b in spells if a < b and not any(x < b and a < y for x, y in flat)]
    times = _sampled(rng, platform, whole, spells, days * _DAY_S, flat)
    times = _without_gaps(rng, times)
    return {
        **_places(rng, whole, times, first_ms),
        "motion-activity": _activities(rng, platform, journeys, flat, first_ms),
        "transition": _transitions(spells, first_ms),
        "battery": _battery(rng, days, flat, first_ms),
    }


def _line(home: Ints, journeys: Sequence[Trip], end_s: float) -> _Track:
    """Where somebody is at any time: still between trips, and before and after all of them."""
    times, path = [np.zeros(1)], [home[None].astype(np.float64) * world.BLOCK_M]
    for trip in journeys:
        for leg in trip.legs:
            times.append(trip.start_s + leg.times)
            path.append(leg.path)
    times.append(np.array([end_s]))
    path.append(path[-1][-1:])
    return _Track(np.concatenate(times), np.concatenate(path))


def _at(line: _Track, times: Floats) -> Floats:
    return np.stack([np.interp(times, line.times, line.path[:, axis]) for axis in (0, 1)], 1)


def _flat(rng: np.random.Generator, days: int) -> list[tuple[float, float]]:
    """Evenings on which the battery is flat: one in twenty, for some hours."""
    found = []
    for day in range(days):
        if rng.random() < 0.05:
            begin = day * _DAY_S + float(rng.uniform(17, 22)) * 3600
            found.append((begin, min(begin + float(rng.uniform(1, 8)) * 3600, days * _DAY_S)))
    return found


def _sampled(
    rng: np.random.Generator,
    platform: str,
    line: _Track,
    spells: Spans,
    end_s: float,
    flat: Spans,
) -> Floats:
    """When places are recorded: on trips by time or by distance, and now and then at rest."""
    found = [np.sort(rng.uniform(0, end_s, max(1, int(end_s / 7200))))]
    for begin, end in spells:
        if platform == ANDROID:
            step = rng.normal(30.0, 1.5, int((end - begin) / 27.0) + 1).clip(5)
            found.append(begin + np.cumsum(step))
        else:
            fine = np.arange(begin, end, 2.0)
            way = np.concatenate(([0.0], np.cumsum(np.hypot(*np.diff(_at(line, fine), axis=0).T))))
            marks = np.floor(way / 50.0)
            found.append(fine[np.concatenate(([True], np.diff(marks) > 0))])
        found[-1] = found[-1][found[-1] < end]
    times: Floats = np.unique(np.round(np.concatenate(found), 3)).astype(np.float64)
    for begin, end in flat:
        times = times[(times < begin) | (times >= end)]
    return times[times < end_s]


def _without_gaps(rng: np.random.Generator, times: Floats) -> Floats:
    """Without stretches that were lost: in a tunnel, or because the system ended the program."""
    lost = np.zeros(len(times), bool)
    for start in np.flatnonzero(rng.random(len(times)) < 0.002):
        lost[(times >= times[start]) & (times < times[start] + rng.exponential(400.0))] = True
    return times[~lost]


def _places(rng: np.random.Generator, line: _Track, times: Floats, first_ms: int) -> dict[str, pa.Table]:
    count = len(times)
    accuracy = rng.gamma(4.0, 3.0, count) + 4.0
    rough = rng.random(count) < 0.015
    accuracy = np.where(rough, rng.uniform(150, 900, count), accuracy)
    # An error that wanders: of the first order, with the time between two places.
    keep = np.exp(-np.diff(times, prepend=times[:1] - 1e6) / _WANDER_S)
    fresh = rng.normal(0, 1, (count, 2)) * np.sqrt(1 - keep**2)[:, None]
    error = _wandering(keep, fresh) * (accuracy / 1.6)[:, None]
    here = _at(line, times)
    before = _at(line, np.maximum(times - 2.0, 0))
    step = here - before
    speed = np.hypot(*step.T) / 2.0
    heading = np.degrees(np.arctan2(step[:, 0], step[:, 1])) % 360
    lat, lon = world.e7(here + error)
    ts = first_ms + np.round(times * 1000).astype(np.int64)
    known = speed > 0.5
    columns = {
        "ts_ms": ts,
        "write_ms": ts + rng.integers(20, 4000, count),
        "lat_e7": lat,
        "lon_e7": lon,
        "accuracy_cm": np.round(accuracy * 100),
        "altitude_cm": np.round(rng.normal(1000, 300, count)),
        "speed_cm_s": np.round(np.maximum(0, speed + rng.normal(0, 0.3, count)) * 100),
        "heading_cdeg": np.round(heading * 100) % 36_000,
    }
    nulls = {"speed_cm_s": rough, "heading_cdeg": ~known | rough}
    sure = columns["accuracy_cm"] <= _BOUND
    return {
        "location": _table("location", columns, nulls),
        "filtered-location": _table(
            "filtered-location",
            {name: values[sure] for name, values in columns.items()},
            {name: values[sure] for name, values in nulls.items()},
        ),
    }


def _wandering(keep: Floats, fresh: Floats) -> Floats:
    """``e[n] = keep[n] * e[n - 1] + fresh[n]``, one after the other: a recurrence with its own factor each time."""
    found = np.empty_like(fresh)
    x, y = 0.0, 0.0
    for n, (k, a, b) in enumerate(zip(keep.tolist(), fresh[:, 0].tolist(), fresh[:, 1].tolist(), strict=True)):
        x, y = k * x + a, k * y + b
        found[n, 0], found[n, 1] = x, y
    return found


def _activities(
    rng: np.random.Generator,
    platform: str,
    journeys: Sequence[Trip],
    flat: Spans,
    first_ms: int,
) -> pa.Table:
    times, kinds = [np.array([60.0])], [np.array([_STILL])]
    for trip in journeys:
        for leg in trip.legs:
            begin, end = trip.start_s + float(leg.times[0]), trip.start_s + float(leg.times[-1])
            late = float(rng.exponential(20.0))
            if platform == ANDROID:
                when = np.arange(begin + late, end, 30.0)
            else:
                when = np.array([begin + late]) if begin + late < end else np.empty(0)
            kind = np.full(len(when), _TYPES[leg.mode])
            confused = rng.random(len(when)) < (0.06 if platform == ANDROID else 0.03)
            times.append(when)
            kinds.append(np.where(confused, rng.choice([_UNKNOWN, 7, 0, 1], len(when)), kind))
        times.append(np.array([trip.end_s + float(rng.uniform(20, 120))]))
        kinds.append(np.array([_STILL]))
    when, kind = np.concatenate(times), np.concatenate(kinds)
    order = np.argsort(when, kind="stable")
    when, kind = when[order], kind[order]
    for begin, end in flat:
        kept = (when < begin) | (when >= end)
        when, kind = when[kept], kind[kept]
    ts = first_ms + np.round(when * 1000).astype(np.int64)
    confidence = np.where(kind == _UNKNOWN, rng.integers(20, 50, len(kind)), rng.integers(60, 101, len(kind)))
    return _table("motion-activity", {"ts_ms": ts, "write_ms": ts + 50, "type": kind, "confidence": confidence}, {})


def _transitions(spells: Spans, first_ms: int) -> pa.Table:
    when = np.array([time for spell in spells for time in spell])
    ts = first_ms + np.round(when * 1000).astype(np.int64)
    kind = np.tile([_ENTERED_TRIP, _LEFT_TRIP], len(spells))
    order = np.argsort(ts, kind="stable")
    columns = {"ts_ms": ts[order], "write_ms": ts[order] + 30, "state": kind[order], "transition": kind[order]}
    return _table("transition", columns, {})


def _battery(rng: np.random.Generator, days: int, flat: Spans, first_ms: int) -> pa.Table:
    """A level each hour: full in the morning, lower by night, nothing while it is flat."""
    hours = np.arange(days * 24)
    level = 100 - (hours % 24) * rng.uniform(2.0, 3.6, days).repeat(24)
    when = hours * 3600.0
    kept = np.ones(len(when), bool)
    for begin, end in flat:
        kept &= (when < begin) | (when >= end)
        level = np.where((when >= begin - 7200) & (when < begin), np.minimum(level, 9), level)
    ts = (first_ms + when * 1000).astype(np.int64)[kept]
    columns = {"ts_ms": ts, "write_ms": ts + 10, "level_pct": level[kept].clip(1, 100), "status": np.full(len(ts), 3)}
    return _table("battery", columns, {})


def _table(
    stream: str, columns: dict[str, npt.NDArray[np.generic]], nulls: dict[str, npt.NDArray[np.bool_]]
) -> pa.Table:
    schema = streams.schema(stream)
    count = len(columns["ts_ms"])
    arrays = []
    for field in schema:
        if field.name == "zone":
            arrays.append(pa.DictionaryArray.from_arrays(pa.array(np.zeros(count, np.int16)), pa.array([ZONE])))
            continue
        values = columns[field.name].astype(field.type.to_pandas_dtype())
        arrays.append(pa.array(values, field.type, mask=nulls.get(field.name)))
    return pa.table(arrays, schema=schema)
