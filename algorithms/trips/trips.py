"""Trips: the ways between the places where somebody stayed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from legs import Rules, legs
from stays import Journey, journeys
from track import clean, distance, to_e7

MAX_TRIPS = 5000
MAX_DURATION_S = 2_678_400
MAX_DISTANCE_M = 100_000_000
MAX_POINTS = 10_000_000

Row = dict[str, int | str | bool]


def rules_of(parameters: dict[str, int | str | bool]) -> Rules:
    """The bundle's parameters (minutes, metres) as the computation wants them."""
    return Rules(
        radius_m=int(parameters["stay_radius_m"]),
        stay_ms=int(parameters["stay_minutes"]) * 60_000,
        gap_ms=int(parameters["gap_minutes"]) * 60_000,
        min_trip_m=int(parameters["min_trip_m"]),
        max_speed_m_s=int(parameters["max_speed_m_s"]),
    )


def row(journey: Journey) -> Row:
    """One trip as the output schema wants it; its bounds cap duration, distance and number of points."""
    start_lat, start_lon = to_e7(journey.points[0])
    end_lat, end_lon = to_e7(journey.points[-1])
    start, end = int(journey.times[0]), int(journey.times[-1])
    return {
        "start_ms": start,
        "end_ms": end,
        "start_lat_e7": start_lat,
        "start_lon_e7": start_lon,
        "end_lat_e7": end_lat,
        "end_lon_e7": end_lon,
        "duration_s": min(round((end - start) / 1000), MAX_DURATION_S),
        "distance_m": min(round(float(np.sum(distance(journey.points[:-1], journey.points[1:])))), MAX_DISTANCE_M),
        "points": min(len(journey.times), MAX_POINTS),
        "gap": journey.gap,
    }


def run(tables: dict[str, pa.Table], parameters: dict[str, int | str | bool]) -> list[Row]:
    """Finds the trips in a person's locations.

    Args:
        tables: `filtered-location` with the columns ts_ms, lat_e7, lon_e7, accuracy_cm, rows in any order.
        parameters: Those of algorithm.toml, all of them.

    Returns:
        One row per trip in the order of time; no two overlap. Of more than `MAX_TRIPS` the latest.
    """
    rules = rules_of(parameters)
    track = clean(tables["filtered-location"], int(parameters["max_accuracy_m"]), rules.max_speed_m_s)
    return [row(journey) for journey in journeys(track, legs(track, rules), rules)[-MAX_TRIPS:]]
