"""Trips of whatever a table may hold: the schema is kept, and what does not matter changes nothing."""

from __future__ import annotations

import random
from functools import cache
from itertools import pairwise

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.algorithms import bundles, recordings
from tests.unit.algorithms.synthetic import START_MS, WGS84, Fix, Step, android, ios

SCHEMA = pa.schema([("ts_ms", pa.int64()), ("lat_e7", pa.int32()), ("lon_e7", pa.int32()), ("accuracy_cm", pa.int32())])


def trips(table: pa.Table, **parameters: int) -> list[bundles.Row]:
    rows = bundles.run("trips", {"filtered-location": table}, **parameters)
    assert all(row["start_ms"] <= row["end_ms"] for row in rows)
    assert all(a["end_ms"] <= b["start_ms"] for a, b in pairwise(rows))
    return rows


def table_of(rows: list[tuple[int | None, int | None, int | None, int | None]]) -> pa.Table:
    columns = [pa.array([row[i] for row in rows], SCHEMA.field(i).type) for i in range(4)]
    return pa.table(columns, schema=SCHEMA)


def int_or_null(low: int, high: int) -> st.SearchStrategy[int | None]:
    return st.none() | st.integers(low, high)


INT32 = 2**31
anything = st.lists(
    st.tuples(
        int_or_null(-(2**63), 2**63 - 1) | st.integers(START_MS, START_MS + 86_400_000),
        int_or_null(-INT32, INT32 - 1) | st.integers(-900_000_000, 900_000_000),
        int_or_null(-INT32, INT32 - 1) | st.integers(-1_800_000_000, 1_800_000_000),
        int_or_null(-INT32, INT32 - 1) | st.integers(0, 10_000),
    ),
    max_size=60,
)


still = st.just((0.0, 0.0))
moving = st.tuples(st.floats(-20, 20), st.floats(-20, 20))
phase = st.tuples(
    st.integers(1, 40),  # fixes
    st.sampled_from([1, 5, 10, 30, 30, 60, 299, 300, 1800, 7200]),  # seconds between them
    still | moving | st.sampled_from([(400.0, 0.0), (1.2, 0.5)]),  # metres a second to north and east
    st.sampled_from([0, 10, 40, 150]),  # jitter, metres
)


@st.composite
def walks(draw: st.DrawFn) -> list[tuple[int, int, int, int]]:
    """Rows of somebody who stays and moves in turn, also over antimeridian and pole, with gaps and jitter."""
    source = random.Random(draw(st.integers(0, 1000)))
    time, lat = START_MS, draw(st.sampled_from([0, 525_000_000, 899_900_000]))
    lon = draw(st.sampled_from([0, 1_799_990_000]))
    rows: list[tuple[int, int, int, int]] = []
    for count, seconds, (north, east), jitter in draw(st.lists(phase, min_size=2, max_size=8)):
        for _ in range(count):
            time += seconds * 1000
            lat = max(-900_000_000, min(900_000_000, lat + round(north * seconds * 90)))
            lon = (lon + round(east * seconds * 90) + 1_800_000_000) % 3_600_000_000 - 1_800_000_000
            there = max(-900_000_000, min(900_000_000, lat + round(source.gauss(0, jitter) * 90)))
            rows.append((time, there, lon, source.choice([300, 1500, 4000, 12_000])))
    return rows


parameters = st.fixed_dictionaries(
    {},
    optional={
        "stay_radius_m": st.integers(25, 1000),
        "stay_minutes": st.integers(2, 120),
        "gap_minutes": st.integers(2, 720),
        "min_trip_m": st.integers(50, 10_000),
        "max_accuracy_m": st.integers(5, 5000),
        "max_speed_m_s": st.integers(10, 350),
    },
)


@given(anything, parameters)
def test_any_table_gives_rows_of_the_schema(rows: list[tuple[int | None, ...]], chosen: dict[str, int]) -> None:
    trips(table_of(rows), **chosen)


@given(walks(), parameters, st.integers(0, 1000))
def test_order_and_repetition_of_rows_change_nothing(rows: list, chosen: dict[str, int], seed: int) -> None:
    source = random.Random(seed)
    shuffled = [*rows, *source.choices(rows, k=len(rows) // 2)]
    source.shuffle(shuffled)
    assert trips(table_of(shuffled), **chosen) == trips(table_of(rows), **chosen)


@given(walks(), st.integers(0, 1000))
def test_order_of_rows_of_one_instant_changes_nothing(rows: list, seed: int) -> None:
    """Two fixes at every instant, at other places, of other or of the same accuracy."""
    doubled = [*rows, *((at, max(lat - 70_000, -900_000_000), lon, accuracy) for at, lat, lon, accuracy in rows[::2])]
    doubled += [(at, lat, lon, accuracy + 1) for at, lat, lon, accuracy in rows[1::3]]
    shuffled = list(doubled)
    random.Random(seed).shuffle(shuffled)
    assert trips(table_of(shuffled)) == trips(table_of(doubled))


@given(walks(), st.integers(1, 119))
def test_chunks_of_the_table_change_nothing(rows: list, at: int) -> None:
    whole = table_of(rows)
    assert trips(pa.concat_tables([whole.slice(0, at), whole.slice(at)])) == trips(whole)


@given(walks(), parameters, st.integers(-1_000_000_000_000, 1_000_000_000_000))
def test_another_time_moves_the_times_and_nothing_else(rows: list, chosen: dict[str, int], shift: int) -> None:
    moved = trips(table_of([(row[0] + shift, *row[1:]) for row in rows]), **chosen)
    back = [row | {"start_ms": row["start_ms"] - shift, "end_ms": row["end_ms"] - shift} for row in moved]
    assert back == trips(table_of(rows), **chosen)


@given(walks())
def test_no_trip_is_shorter_than_its_straight_line_or_its_least_distance(rows: list) -> None:
    for row in trips(table_of(rows)):
        straight = WGS84.inv(*(row[f"{end}_{axis}_e7"] / 1e7 for end in ("start", "end") for axis in ("lon", "lat")))[2]
        assert row["distance_m"] >= max(straight * 0.994 - 2, 199)


@given(walks(), st.integers(50, 2000))
def test_a_longer_least_distance_only_leaves_out(rows: list, least: int) -> None:
    everything = trips(table_of(rows), min_trip_m=50)
    assert all(row in everything for row in trips(table_of(rows), min_trip_m=least))


@cache
def whole_day(phone: str) -> list[Fix]:
    return ios() if phone == "ios" else android(sleeps=False)


@given(st.sampled_from(["android", "ios"]), st.integers(4800, 6600))
def test_a_recording_split_within_a_stay_gives_the_same_trips(phone: str, at_s: int) -> None:
    """One part at a time, as when one grant ends and the next begins.

    Android is awake here: of a phone that sleeps through the stay, the second part shows only where it woke up.
    """
    day = whole_day(phone)
    split = START_MS + at_s * 1000
    parts = [[fix for fix in day if fix[0] < split], [fix for fix in day if fix[0] >= split]]
    pieces = [row for part in parts for row in trips(recordings.locations(part))]
    whole = trips(recordings.locations(day))
    assert len(pieces) == len(whole) == 2
    for piece, row in zip(pieces, whole, strict=True):
        assert abs(piece["start_ms"] - row["start_ms"]) <= 60_000
        assert abs(piece["end_ms"] - row["end_ms"]) <= 60_000
        assert abs(piece["distance_m"] - row["distance_m"]) <= 60


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [(START_MS, 525_000_000, 134_000_000, 1000)],
        [(None, None, None, None)] * 5,
        [(START_MS, 525_000_000 + i * 100_000, 134_000_000, 1000) for i in range(100)],
        [(START_MS + i * 30_000, 525_000_000, 134_000_000, 1000) for i in range(100)],
        [(START_MS + i * 30_000, 525_000_000, 134_000_000 + i * 10_000, 1_000_000) for i in range(100)],
    ],
    ids=["empty", "one", "nulls", "one-instant", "one-place", "useless-accuracy"],
)
def test_no_trip_in(rows: list) -> None:
    assert trips(table_of(rows)) == []


def test_unknown_accuracy_is_used() -> None:
    known = recordings.locations(android())
    unknown = known.set_column(3, "accuracy_cm", pa.nulls(known.num_rows, pa.int32()))
    assert len(trips(unknown)) == len(trips(known)) == 2


def test_way_over_the_antimeridian_and_the_pole_is_short() -> None:
    for place, azimuth in (((0.0, 179.95), 90.0), ((89.95, 0.0), 0.0), ((-89.95, 120.0), 180.0)):
        drive = (Step(1800), Step(800, 14.0, azimuth), Step(1800))
        (trip,) = trips(recordings.locations(android(drive, place, noise_m=3.0)))
        assert trip["distance_m"] == pytest.approx(11_200, rel=0.02)


def test_every_step_impossible_gives_nothing_and_ends() -> None:
    fixes = [(START_MS + i * 1000, 10.0 + (i % 7) * 10, (i % 11) * 20.0, 10.0) for i in range(2000)]
    assert trips(recordings.locations(fixes)) == []
