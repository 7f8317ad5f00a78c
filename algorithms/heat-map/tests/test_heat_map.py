"""Heat map: time by cell adds up to the time that was recorded, and visits to the ways between cells."""

from __future__ import annotations

import h3
import pyarrow as pa
import pytest

from tests.unit.algorithms import bundles, recordings
from tests.unit.algorithms.synthetic import android

PLACE = (52.5, 13.4)


def heat(tables: dict[str, pa.Table], resolution: int, rings: int, **parameters: int) -> dict[int, bundles.Row]:
    area = {"lat_e7": round(PLACE[0] * 1e7), "lon_e7": round(PLACE[1] * 1e7), "resolution": resolution, "rings": rings}
    return {row["cell"]: row for row in bundles.run("heat-map", tables, **(area | parameters))}


@pytest.fixture(scope="module")
def day() -> dict[str, pa.Table]:
    """Home for an hour, a walk, somewhere else for forty minutes, a drive of 10.8 km, and there for an hour."""
    return {"filtered-location": recordings.locations(android(place=PLACE, sleeps=False))}


def test_time_adds_up_to_the_day(day: dict[str, pa.Table]) -> None:
    found = heat(day, 7, 20)
    times = day["filtered-location"]["ts_ms"].to_pylist()
    assert sum(row["minutes"] for row in found.values()) == pytest.approx(
        (times[-1] - times[0]) / 60_000, abs=len(found)
    )
    names = sorted(h3.grid_disk(h3.latlng_to_cell(*PLACE, 7), 20))
    home = found[names.index(h3.latlng_to_cell(*PLACE, 7))]
    assert home["minutes"] >= 60 and home["visits"] >= 1
    assert len(found) >= 3


def test_nobody_counts_for_longer_than_they_were_seen(day: dict[str, pa.Table]) -> None:
    rows = day["filtered-location"]
    ends = pa.concat_tables([rows.slice(0, 1), rows.slice(rows.num_rows - 1)])
    for minutes in (1, 30):
        found = heat({"filtered-location": ends}, 7, 20, hold_minutes=minutes)
        assert sum(row["minutes"] for row in found.values()) == minutes


def test_time_elsewhere_is_left_out(day: dict[str, pa.Table]) -> None:
    near = heat(day, 9, 0)
    assert set(near) <= {0} and sum(row["minutes"] for row in near.values()) < 200
    assert heat({"filtered-location": recordings.locations([])}, 7, 20) == {}
    assert heat(day, 9, 0, lat_e7=0, lon_e7=0) == {}


@pytest.mark.parametrize("name", recordings.NAMES)
def test_real_days_have_no_more_than_their_hours(name: str) -> None:
    tables = recordings.tables(name)
    rows = tables["filtered-location"]
    middle = {"lat_e7": rows["lat_e7"][0].as_py(), "lon_e7": rows["lon_e7"][0].as_py()}
    found = heat(tables, 6, 36, **middle)
    times = rows["ts_ms"].to_pylist()
    spent = sum(row["minutes"] for row in found.values())
    assert 0 < spent <= (max(times) - min(times)) / 60_000 + len(found)
    assert all(row["visits"] >= 1 for row in found.values())
