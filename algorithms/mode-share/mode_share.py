"""Mode share: how far and how long somebody walked, ran, cycled and rode."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from activity import MODES, STILL, VEHICLE, Spells, in_force, spells
from legs import Rules, legs
from segments import runs_of, smooth
from stays import Journey, journeys
from track import Floats, Ints, clean, distance

MAX_DISTANCE_M = 1_000_000_000
MAX_DURATION_S = 400_000_000
MAX_SEGMENTS = 1_000_000
MAX_TRIPS = 100_000

Row = dict[str, int | str | bool]


def modes_of(found: list[Journey], known: Spells) -> list[Ints]:
    """The mode in force on each leg of each journey; all are looked up at once, since looking takes all spells."""
    starts = [journey.times[:-1] for journey in found]
    ends = [journey.times[1:] for journey in found]
    if not found:
        return []
    modes = in_force(known, np.concatenate(starts), np.concatenate(ends))
    return np.split(modes, np.cumsum([len(start) for start in starts])[:-1])


def shares(journey: Journey, mode: Ints, carry_s: int, min_segment_s: int) -> Floats:
    """Metres, seconds and number of segments of one journey (rows) per mode (columns), shape (3, 6)."""
    way = distance(journey.points[:-1], journey.points[1:])
    seconds = np.diff(journey.times) / 1000.0
    if journey.slept and len(mode) > 1:
        # What the phone last told before it slept says nothing of the way on which it woke up.
        mode = np.concatenate((mode[1:2], mode[1:]))
    mode = smooth(mode, way, seconds, carry_s, min_segment_s)
    count = len(MODES)
    return np.stack(
        (
            np.bincount(mode, way, count),
            np.bincount(mode, seconds, count),
            np.bincount(mode[runs_of(mode)], None, count).astype(np.float64),
        )
    )


def run(tables: dict[str, pa.Table], parameters: dict[str, int | str | bool]) -> list[Row]:
    """Adds up distance, time and carbon dioxide of all journeys per mode.

    Args:
        tables: `filtered-location` with ts_ms, lat_e7, lon_e7, accuracy_cm, and `motion-activity` with ts_ms, type,
            confidence; rows in any order, either may be empty.
        parameters: Those of algorithm.toml, all of them.

    Returns:
        One row per mode, in the order of MODES. *still* is waiting on the way and has a duration only. A trip counts
        for the mode of its longest part.
    """
    number = {key: int(value) for key, value in parameters.items()}
    rules = Rules(
        radius_m=number["stay_radius_m"],
        stay_ms=number["stay_minutes"] * 60_000,
        gap_ms=number["gap_minutes"] * 60_000,
        min_trip_m=number["min_trip_m"],
        max_speed_m_s=number["max_speed_m_s"],
    )
    track = clean(tables["filtered-location"], number["max_accuracy_m"], rules.max_speed_m_s)
    carry_s = number["carry_minutes"] * 60
    known = spells(tables["motion-activity"], number["min_confidence"], number["hold_minutes"] * 60_000, carry_s * 1000)
    total, main = np.zeros((3, len(MODES))), np.zeros(len(MODES), dtype=np.int64)
    found = journeys(track, legs(track, rules), rules)
    for journey, mode in zip(found, modes_of(found, known), strict=True):
        own = shares(journey, mode, carry_s, number["min_segment_s"])
        own[0, STILL] = 0
        total += own
        main[int(np.argmax(own[0]))] += 1
    grams = np.zeros(len(MODES))
    grams[VEHICLE] = total[0, VEHICLE] / 1000 * number["vehicle_g_per_km"]
    return [
        {
            "mode": name,
            "distance_m": min(round(float(total[0, index])), MAX_DISTANCE_M),
            "duration_s": min(round(float(total[1, index])), MAX_DURATION_S),
            "segments": min(round(float(total[2, index])), MAX_SEGMENTS),
            "co2_g": min(round(float(grams[index])), MAX_DISTANCE_M),
            "trips": min(int(main[index]), MAX_TRIPS),
        }
        for index, name in enumerate(MODES)
    ]
