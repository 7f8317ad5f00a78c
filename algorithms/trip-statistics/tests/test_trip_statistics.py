"""Counts of trips, on a day whose truth is known and against the bundle that finds the trips."""

from __future__ import annotations

from collections import Counter

import pyarrow as pa
import pytest

from tests.unit.algorithms import bundles, recordings
from tests.unit.algorithms.synthetic import START_MS, android

MEASURES = ("trips", "departure-hour", "travel-time", "distance", "total-distance")


def counted(tables: dict[str, pa.Table], measure: str, **parameters: int) -> dict[int, int]:
    rows = bundles.run("trip-statistics", tables, measure=measure, **parameters)
    assert [row["bin"] for row in rows] == sorted(row["bin"] for row in rows)
    return {row["bin"]: row["trips"] for row in rows}


@pytest.fixture(scope="module")
def day() -> dict[str, pa.Table]:
    """A walk of 1,260 m in 15 minutes and a drive of 10,800 m in 12, begun an hour and 115 minutes after `START_MS`."""
    return {"filtered-location": recordings.locations(android())}


def test_a_walk_and_a_drive(day: dict[str, pa.Table]) -> None:
    assert counted(day, "trips") == {0: 2}
    first = START_MS // 3_600_000 % 24
    assert counted(day, "departure-hour") == {(first + 1) % 24: 1, (first + 2) % 24: 1}
    # Each trip a bin of five minutes: 15 and 12, and what the phone noticed late.
    assert sum(counted(day, "travel-time").values()) == 2 and set(counted(day, "travel-time")) <= {2, 3, 4}
    # Over 800 m and up to 1,600; over 6,400 m and up to 12,800. Together the same as the drive.
    assert counted(day, "distance") == {4: 1, 7: 1}
    assert counted(day, "total-distance") == {7: 1}


def test_hours_are_local(day: dict[str, pa.Table]) -> None:
    there = counted(day, "departure-hour", utc_offset_minutes=-90)
    here = counted(day, "departure-hour", utc_offset_minutes=30)
    assert {(hour + 2) % 24 for hour in there} == set(here)


@pytest.mark.parametrize("measure", MEASURES)
def test_nothing_is_counted_of_nothing(measure: str) -> None:
    assert counted({"filtered-location": recordings.locations([])}, measure) == {}


@pytest.mark.parametrize("name", recordings.NAMES)
def test_counts_are_those_of_the_trips_themselves(name: str) -> None:
    tables = recordings.tables(name)
    found = bundles.run("trips", tables)
    assert sum(counted(tables, "trips").values()) == len(found)
    hours = Counter(row["start_ms"] // 3_600_000 % 24 for row in found)
    assert counted(tables, "departure-hour") == hours
    times = Counter(min((row["end_ms"] - row["start_ms"]) // 300_000, 24) for row in found)
    assert counted(tables, "travel-time") == times
    assert sum(counted(tables, "distance").values()) == len(found)
    assert list(counted(tables, "total-distance").values()) == ([1] if found else [])


def test_rows_come_in_any_order_and_repeat(day: dict[str, pa.Table]) -> None:
    rows = day["filtered-location"]
    shuffled = pa.concat_tables([rows.slice(rows.num_rows // 2), rows, rows.slice(0, 40)])
    for measure in MEASURES:
        assert counted({"filtered-location": shuffled}, measure) == counted(day, measure)
