"""Origins and destinations: the cells of the ends of the trips that the other bundle finds."""

from __future__ import annotations

from collections import Counter

import h3
import pyarrow as pa
import pytest

from tests.unit.algorithms import bundles, recordings
from tests.unit.algorithms.synthetic import android

PLACE = (52.5, 13.4)


def counted(tables: dict[str, pa.Table], **parameters: int) -> dict[tuple[int, int], int]:
    rows = bundles.run("od-cells", tables, **parameters)
    return {(row["origin_cell"], row["destination_cell"]): row["trips"] for row in rows}


def around(place: tuple[float, float], resolution: int, rings: int) -> dict[str, int]:
    return {"lat_e7": round(place[0] * 1e7), "lon_e7": round(place[1] * 1e7), "resolution": resolution, "rings": rings}


@pytest.mark.parametrize(("resolution", "rings"), [(5, 4), (7, 4), (9, 4), (8, 0)])
def test_trips_are_counted_by_the_cells_of_their_ends(resolution: int, rings: int) -> None:
    tables = {"filtered-location": recordings.locations(android(place=PLACE))}
    area = around(PLACE, resolution, rings)
    names = sorted(h3.grid_disk(h3.latlng_to_cell(*PLACE, resolution), rings))
    expected = Counter[tuple[int, int]]()
    for trip in bundles.run("trips", tables):
        ends = [
            h3.latlng_to_cell(trip[f"{end}_lat_e7"] / 1e7, trip[f"{end}_lon_e7"] / 1e7, resolution)
            for end in ("start", "end")
        ]
        if set(ends) <= set(names):
            expected[names.index(ends[0]), names.index(ends[1])] += 1
    assert counted(tables, **area) == expected
    # All within about 40 km, and none within one cell.
    assert sum(expected.values()) == {5: 2, 8: 0}.get(resolution, sum(expected.values()))


def test_trips_elsewhere_are_left_out() -> None:
    tables = {"filtered-location": recordings.locations(android(place=PLACE))}
    assert counted(tables, **around((0.0, 0.0), 7, 4)) == {}
    assert counted({"filtered-location": recordings.locations([])}, **around(PLACE, 7, 4)) == {}


@pytest.mark.parametrize("name", recordings.NAMES)
def test_real_trips_are_counted_at_most_once(name: str) -> None:
    tables = recordings.tables(name)
    trips = bundles.run("trips", tables)
    middle = (trips[0]["start_lat_e7"] / 1e7, trips[0]["start_lon_e7"] / 1e7)
    found = counted(tables, **around(middle, 5, 4))
    assert 0 <= sum(found.values()) <= len(trips)
    assert all(0 <= cell <= 60 for pair in found for cell in pair)
