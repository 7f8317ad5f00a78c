"""Origins and destinations: how many trips led from each cell of an area to each other."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa

from hexes import Area
from legs import Rules, legs
from stays import journeys
from track import clean, to_e7

MAX_TRIPS = 100_000

Row = dict[str, int | str | bool]


def run(tables: dict[str, pa.Table], parameters: dict[str, int | str | bool]) -> list[Row]:
    """Counts trips by the cells of their ends.

    Args:
        tables: `filtered-location` with ts_ms, lat_e7, lon_e7, accuracy_cm, rows in any order.
        parameters: Those of algorithm.toml, all of them.

    Returns:
        One row per pair, in ascending order. A trip with an end outside the area is left out.
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
    area, counts = Area(parameters), Counter[tuple[int, int]]()
    for journey in journeys(track, legs(track, rules), rules):
        origin, destination = (area.number(*to_e7(point)) for point in (journey.points[0], journey.points[-1]))
        if origin is not None and destination is not None:
            counts[origin, destination] += 1
    return [
        {"origin_cell": origin, "destination_cell": destination, "trips": min(count, MAX_TRIPS)}
        for (origin, destination), count in sorted(counts.items())
    ]
