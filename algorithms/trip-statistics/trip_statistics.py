"""Counts of trips: all of them, or in bins of departure, duration or distance."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa

from legs import Rules, legs
from stays import Journey, journeys
from track import clean, distance

MAX_TRIPS = 100_000
LAST_TIME, LAST_DISTANCE = 24, 16
"""The bin of travel times over two hours, and of distances over 3,276.8 km."""

Row = dict[str, int | str | bool]


def metres(journey: Journey) -> float:
    """Length of the way."""
    return float(np.sum(distance(journey.points[:-1], journey.points[1:])))


def doubling(way: float) -> int:
    """0 below 100 m, 1 below 200 m, and so on, each bin twice as far as the one before."""
    return min(max(0, int(np.ceil(np.log2(max(way, 1.0) / 100.0)))), LAST_DISTANCE)


def bin_of(journey: Journey, measure: str, offset_ms: int) -> int:
    """The bin of one trip."""
    if measure == "departure-hour":
        return int((int(journey.times[0]) + offset_ms) // 3_600_000 % 24)
    if measure == "travel-time":
        return min(int(journey.times[-1] - journey.times[0]) // 300_000, LAST_TIME)
    return doubling(metres(journey)) if measure == "distance" else 0


def run(tables: dict[str, pa.Table], parameters: dict[str, int | str | bool]) -> list[Row]:
    """Counts the trips in a person's locations.

    Args:
        tables: `filtered-location` with ts_ms, lat_e7, lon_e7, accuracy_cm, rows in any order.
        parameters: Those of algorithm.toml, all of them.

    Returns:
        One row per bin that is not empty, in ascending order. For ``total-distance`` one row, of the whole way.
    """
    measure = str(parameters["measure"])
    number = {key: int(value) for key, value in parameters.items() if key != "measure"}
    rules = Rules(
        radius_m=number["stay_radius_m"],
        stay_ms=number["stay_minutes"] * 60_000,
        gap_ms=number["gap_minutes"] * 60_000,
        min_trip_m=number["min_trip_m"],
        max_speed_m_s=number["max_speed_m_s"],
    )
    track = clean(tables["filtered-location"], number["max_accuracy_m"], rules.max_speed_m_s)
    found = journeys(track, legs(track, rules), rules)
    if measure == "total-distance":
        return [{"bin": doubling(sum(map(metres, found))), "trips": 1}] if found else []
    counts = Counter(bin_of(journey, measure, number["utc_offset_minutes"] * 60_000) for journey in found)
    return [{"bin": place, "trips": min(count, MAX_TRIPS)} for place, count in sorted(counts.items())]
