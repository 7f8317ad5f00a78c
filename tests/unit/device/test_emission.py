from __future__ import annotations

import json
from typing import Any

import pytest

from tests.unit.device.recording import COLUMN_KEYS, START, USER, dump, entry
from waykeep.device.importers import Imported, Refusal, emission
from waykeep.errors import DeviceError
from waykeep.formats import streams, table

TS, WRITE = 1_466_000_000_000, 1_466_000_000_500


def only_row(found: Imported, stream: str) -> dict[str, Any]:
    assert found.kept == {stream: 1}
    assert found.refused == ()
    (row,) = found.tables[stream].to_pylist()
    return dict(row)


def only_refusal(*entries: Any) -> Refusal:
    """The refusal of the last entry, where all others are kept."""
    found = emission.read(dump(*entries))
    assert sum(found.kept.values()) == len(entries) - 1
    (refusal,) = found.refused
    assert refusal.index == len(entries) - 1
    return refusal


@pytest.mark.parametrize(
    ("key", "stream"),
    [("background/location", "location"), ("background/filtered_location", "filtered-location")],
)
def test_a_location_becomes_integers(key: str, stream: str) -> None:
    assert only_row(emission.read(dump(entry(key))), stream) == {
        "ts_ms": TS,
        "write_ms": WRITE,
        "lat_e7": 514_778_000,
        "lon_e7": -15_000,
        "accuracy_cm": 1_250,
        "altitude_cm": 4_525,
        "speed_cm_s": 150,
        "heading_cdeg": 27_000,
        "zone": "Europe/London",
    }


def test_unknown_speed_and_heading_are_null_and_altitude_zero_is_kept() -> None:
    row = only_row(emission.read(dump(entry(sensed_speed=-1, heading=-1.0, altitude=0))), "location")
    assert (row["speed_cm_s"], row["heading_cdeg"], row["altitude_cm"]) == (None, None, 0)


@pytest.mark.parametrize("missing", [True, False])
def test_missing_and_null_measures_are_null(missing: bool) -> None:
    point = entry()
    for field in ("accuracy", "altitude", "sensed_speed", "heading"):
        if missing:
            del point["data"][field]
        else:
            point["data"][field] = None
    row = only_row(emission.read(dump(point)), "location")
    assert [row[c] for c in ("accuracy_cm", "altitude_cm", "speed_cm_s", "heading_cdeg")] == [None] * 4


@pytest.mark.parametrize(
    ("latitude", "longitude"), [(90, 180), (-90, -180), (0, 0), (-0.0, 179.9999999), (37.3909890, -122.0865683)]
)
def test_degrees_are_rounded_to_the_nearest_e7(latitude: float, longitude: float) -> None:
    row = only_row(emission.read(dump(entry(latitude=latitude, longitude=longitude))), "location")
    assert (row["lat_e7"], row["lon_e7"]) == (round(latitude * 1e7), round(longitude * 1e7))


@pytest.mark.parametrize(
    ("key", "stream", "changed", "columns"),
    [
        ("background/motion_activity", "motion-activity", {}, {"type": 7, "confidence": 92}),
        (
            "background/motion_activity",
            "motion-activity",
            {"type": 9, "confidence": 62.5},
            {"type": 9, "confidence": 62},
        ),
        ("background/motion_activity", "motion-activity", {"confidence": None}, {"type": 7, "confidence": 0}),
        ("background/battery", "battery", {}, {"level_pct": 58, "status": 2}),
        ("background/battery", "battery", {"battery_level_pct": 58.999996}, {"level_pct": 59, "status": 2}),
        ("background/battery", "battery", {"battery_status": None}, {"level_pct": 58, "status": None}),
        ("statemachine/transition", "transition", {"curr_state": 2.0}, {"state": 2, "transition": 2}),
    ],
)
def test_the_other_streams(key: str, stream: str, changed: dict[str, Any], columns: dict[str, Any]) -> None:
    row = only_row(emission.read(dump(entry(key, **changed))), stream)
    assert row == {"ts_ms": TS, "write_ms": WRITE, **columns, "zone": "Europe/London"}


def test_a_key_without_columns_is_kept_whole() -> None:
    given = entry("stats/client_time", name="Zürich \u2603 \U0001f600")
    row = only_row(emission.read(json.dumps([given], indent=4).encode()), "json/stats/client_time")
    assert (row["ts_ms"], row["write_ms"], row["zone"]) == (TS, WRITE, "Europe/London")
    assert json.loads(row["entry"]) == given
    assert "\n" not in row["entry"]


def test_numbers_of_a_kept_text_are_not_rewritten() -> None:
    text = json.dumps(entry("stats/client_time")).replace("0.487", "1.50e0").replace("sync_", "\\u0041\\/")
    row = only_row(emission.read(f"[{text}]".encode()), "json/stats/client_time")
    assert '"reading":1.50e0' in row["entry"]
    assert r'"\u0041\/duration"' in row["entry"]


@pytest.mark.parametrize("missing", [True, False])
def test_a_kept_text_without_a_time_gets_that_of_writing(missing: bool) -> None:
    label = entry("stats/client_time", ts=None)
    if missing:
        del label["data"]["ts"]
    assert only_row(emission.read(dump(label)), "json/stats/client_time")["ts_ms"] == WRITE


@pytest.mark.parametrize("key", COLUMN_KEYS)
def test_columns_hold_no_id_of_the_user(key: str) -> None:
    found = emission.read(dump(entry(key)))
    assert USER not in str([t.to_pylist() for t in found.tables.values()])


@pytest.mark.parametrize(("zone", "kept"), [(None, ""), ("", ""), ("Etc/GMT+7", "Etc/GMT+7"), ("Z" * 64, "Z" * 64)])
def test_time_zones(zone: str | None, kept: str) -> None:
    point = entry()
    point["metadata"]["time_zone"] = zone
    assert only_row(emission.read(dump(point)), "location")["zone"] == kept
    if zone is None:
        del point["metadata"]["time_zone"]
        assert only_row(emission.read(dump(point)), "location")["zone"] == kept


def test_rows_are_sorted_by_time_and_then_time_of_writing() -> None:
    late, early, again = entry(at=START + 10), entry(at=START), entry(at=START)
    again["metadata"]["write_ts"] = START + 0.25
    rows = emission.read(dump(late, early, again)).tables["location"]
    assert rows.column("ts_ms").to_pylist() == [TS, TS, TS + 10_000]
    assert rows.column("write_ms").to_pylist() == [TS + 250, WRITE, WRITE + 10_000]


def test_times_are_rounded_to_the_millisecond() -> None:
    row = only_row(emission.read(dump(entry(at=1_678_597_610.1169548))), "location")
    assert row["ts_ms"] == 1_678_597_610_117


@pytest.mark.parametrize("at", [978_307_200, 4_102_444_799.5])
def test_the_first_and_the_last_time_are_taken(at: float) -> None:
    point = entry(ts=at)
    point["metadata"]["write_ts"] = at
    row = only_row(emission.read(dump(point)), "location")
    assert row["ts_ms"] == row["write_ms"] == at * 1000


@pytest.mark.parametrize(
    ("at", "said"),
    [
        (0, "1970-01-01T00:00:00Z"),
        (-1.5, "1969-12-31T23:59:59Z"),
        (978_307_199.999, "2000-12-31T23:59:59Z"),
        (4_102_444_801, "2100-01-01T00:00:01Z"),
        (1_466_000_000_000, "no calendar"),
        (10**300, "no calendar"),
        (-(10**300), "no calendar"),
        (1e308, "no calendar"),
        (None, "nothing"),
        ("1466000000", "text"),
        (True, "true or false"),
        ([], "a list"),
        ({}, "an object"),
    ],
)
@pytest.mark.parametrize("field", ["ts", "write_ts"])
def test_an_impossible_time_is_refused_and_named(field: str, at: Any, said: str) -> None:
    point = entry()
    (point["data"] if field == "ts" else point["metadata"])[field] = at
    refusal = only_refusal(point)
    assert (refusal.key, refusal.rule) == ("background/location", "time-impossible")
    assert said in refusal.reason


@pytest.mark.parametrize("field", ["ts", "write_ts"])
def test_a_missing_time_is_refused(field: str) -> None:
    point = entry()
    del (point["data"] if field == "ts" else point["metadata"])[field]
    assert only_refusal(point).rule == "time-impossible"


@pytest.mark.parametrize(
    ("key", "field"),
    [
        ("background/location", "latitude"),
        ("background/location", "longitude"),
        ("background/motion_activity", "type"),
        ("background/battery", "battery_level_pct"),
        ("statemachine/transition", "curr_state"),
        ("statemachine/transition", "transition"),
    ],
)
def test_a_needed_value_that_is_missing_is_refused(key: str, field: str) -> None:
    without = entry(key)
    del without["data"][field]
    for one in (without, entry(key, **{field: None})):
        assert only_refusal(one).rule == "entry-malformed"


RANGES = [
    ("background/location", "latitude", [90.0000001, -90.0000001, 91, 10**40, -1e300]),
    ("background/location", "longitude", [180.0000001, -180.0000001, 360]),
    ("background/location", "accuracy", [-1, -0.001, 21_474_837, 2**63]),
    ("background/location", "altitude", [21_474_837, -21_474_837]),
    ("background/location", "sensed_speed", [21_474_837]),
    ("background/location", "heading", [360.01]),
    ("background/motion_activity", "type", [-1, 100, 2.5]),
    ("background/motion_activity", "confidence", [-1, 101]),
    ("background/battery", "battery_level_pct", [-100, 100.5]),
    ("background/battery", "battery_status", [-1, 2**15, 0.1]),
    ("statemachine/transition", "curr_state", [-1, 2**15]),
    ("statemachine/transition", "transition", [-1, 0.5]),
]


@pytest.mark.parametrize(("key", "field", "values"), RANGES)
def test_a_value_out_of_range_is_refused_and_not_told(key: str, field: str, values: list[float]) -> None:
    for value in [*values, True, False, "51.4778", [51.4778], {"at": 51.4778}]:
        refusal = only_refusal(entry(key, **{field: value}))
        assert (refusal.key, refusal.rule) == (key, "value-out-of-range")
        if isinstance(value, str | list | dict):
            assert "51.4778" not in refusal.reason
        elif not isinstance(value, bool) and value not in (-1, 100):
            assert str(value) not in refusal.reason


@pytest.mark.parametrize("zone", ["Z" * 65, "Europe/London\n", "Zürich", "a b", "\u202eevil", 7, True, ["UTC"], {}])
def test_a_time_zone_of_another_form_is_refused(zone: Any) -> None:
    point = entry()
    point["metadata"]["time_zone"] = zone
    assert only_refusal(point).rule == "value-out-of-range"


def test_the_same_entry_twice_is_refused_once() -> None:
    again = entry()
    again["_id"] = {"$oid": "0" * 24}
    again["metadata"]["read_ts"] = START + 60
    refusal = only_refusal(entry(at=START + 9), entry(), again)
    assert (refusal.rule, refusal.reason) == ("entry-repeated", "found the same as entry 1")


def test_the_same_times_with_another_content_are_refused() -> None:
    refusal = only_refusal(entry(), entry(latitude=51.4779))
    assert (refusal.rule, refusal.reason) == ("entry-conflicts", "found the times of entry 0 with another content")
    other_zone = entry()
    other_zone["metadata"]["time_zone"] = "UTC"
    assert only_refusal(entry(), other_zone).rule == "entry-conflicts"


def test_a_kept_text_is_compared_without_what_the_server_adds() -> None:
    first, again = entry("stats/client_time"), entry("stats/client_time")
    again = {name: again[name] for name in reversed(again)}
    again["_id"], again["metadata"]["read_ts"] = {"$oid": "1"}, 17
    assert only_refusal(first, again).rule == "entry-repeated"
    again["data"]["reading"] = 0.488
    assert only_refusal(first, again).rule == "entry-conflicts"


def test_streams_do_not_share_record_keys() -> None:
    found = emission.read(dump(*(entry(key) for key in [*COLUMN_KEYS, "stats/client_time"])))
    assert found.refused == ()
    assert list(found.kept.values()) == [1] * 6


def test_a_refused_entry_does_not_stand_in_the_way_of_a_good_one() -> None:
    found = emission.read(dump(entry(latitude=91), entry()))
    assert found.kept == {"location": 1}
    assert [r.index for r in found.refused] == [0]


def test_an_empty_recording_is_no_error() -> None:
    for data in (b"[]", b" \n[ \t]\r\n"):
        assert emission.read(data) == Imported({}, 0, {}, ())


def test_tables_are_in_the_columns_of_their_streams() -> None:
    found = emission.read(dump(*(entry(key) for key in [*COLUMN_KEYS, "stats/client_time"])))
    for stream, rows in found.tables.items():
        assert rows.schema == streams.schema(stream)
        # What the device queues is what comes back.
        back = table.from_parquet(table.to_parquet(rows))
        assert table.conform(back, stream).to_pylist() == rows.to_pylist()


def test_the_same_bytes_give_the_same_tables() -> None:
    data = dump(entry(), entry("stats/client_time"), entry(at=START + 1), 7)
    assert emission.read(data) == emission.read(data)


@pytest.mark.parametrize(
    "data", [b"{}", b'{"phone_data": []}', b"null", b"7", b'"text"', b"[1, 2]", b"[[]]", b"[null]"]
)
def test_json_that_is_no_list_of_objects_is_no_recording(data: bytes) -> None:
    with pytest.raises(DeviceError) as caught:
        emission.read(data)
    assert caught.value.rule == "recording-not-entries"
