"""The recordings of real phones, counted by the importer and once more here, by other means."""

from __future__ import annotations

import collections
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from waykeep.device.importers import Imported, emission

VECTORS = Path(__file__).parents[2] / "vectors" / "emission"

KEPT = {
    "gabe_2016-06-15": {
        "battery": 39,
        "filtered-location": 229,
        "location": 625,
        "motion-activity": 323,
        "transition": 24,
    },
    "iphone_3_2016-02-22": {"filtered-location": 265, "location": 268, "motion-activity": 1166, "transition": 106},
    "jack_untracked_time_2023-03-12": {
        "battery": 16,
        "filtered-location": 656,
        "json/stats/client_error": 10,
        "json/stats/client_nav_event": 5,
        "json/stats/client_time": 5,
        "json/stats/pipeline_time": 276,
        "location": 660,
        "transition": 8,
    },
    "shankari_2016-06-20": {
        "battery": 32,
        "filtered-location": 222,
        "location": 245,
        "motion-activity": 183,
        "transition": 14,
    },
    "shankari_2016-06-21": {
        "battery": 42,
        "filtered-location": 221,
        "location": 394,
        "motion-activity": 334,
        "transition": 22,
    },
}
ENTRIES = {
    "gabe_2016-06-15": 1241,
    "iphone_3_2016-02-22": 1807,
    "jack_untracked_time_2023-03-12": 1636,
    "shankari_2016-06-20": 820,
    "shankari_2016-06-21": 1013,
}
REFUSED: dict[str, dict[tuple[str, str], int]] = {
    "gabe_2016-06-15": {("background/location", "time-impossible"): 1},
    "iphone_3_2016-02-22": {("statemachine/transition", "entry-repeated"): 2},
    "jack_untracked_time_2023-03-12": {},
    "shankari_2016-06-20": {
        ("background/location", "entry-repeated"): 40,
        ("background/motion_activity", "entry-repeated"): 39,
        ("background/filtered_location", "entry-repeated"): 34,
        ("background/battery", "entry-repeated"): 9,
        ("statemachine/transition", "entry-repeated"): 2,
    },
    "shankari_2016-06-21": {},
}
STREAMS = {
    "background/location": "location",
    "background/filtered_location": "filtered-location",
    "background/motion_activity": "motion-activity",
    "background/battery": "battery",
    "statemachine/transition": "transition",
}

recordings = pytest.mark.parametrize("name", KEPT)


def bytes_of(name: str) -> bytes:
    return (VECTORS / f"{name}.json").read_bytes()


def milliseconds(seconds: Decimal) -> int:
    return int((seconds * 1000).to_integral_value())


def exact(name: str) -> list[Any]:
    """The entries with every number as the decimal that the file says."""
    return list(json.loads(bytes_of(name), parse_float=Decimal, parse_int=Decimal))


def read(name: str) -> Imported:
    return emission.read(bytes_of(name))


@recordings
def test_counts_are_those_of_the_recording(name: str) -> None:
    found = read(name)
    assert found.entries == ENTRIES[name]
    assert found.kept == KEPT[name]
    assert collections.Counter((r.key, r.rule) for r in found.refused) == REFUSED[name]


@recordings
def test_an_independent_count_agrees(name: str) -> None:
    seen: dict[tuple[str, Decimal, Decimal], Any] = {}
    kept: collections.Counter[str] = collections.Counter()
    refused: list[tuple[int, str]] = []
    for index, entry in enumerate(exact(name)):
        key, data = entry["metadata"]["key"], entry["data"]
        record = (key, entry["metadata"]["write_ts"], data["ts"])
        if not 978_307_200 <= data["ts"] <= 4_102_444_800:
            refused.append((index, "time-impossible"))
        elif record in seen:
            assert seen[record] == data
            refused.append((index, "entry-repeated"))
        else:
            seen[record] = data
            kept[STREAMS.get(key, f"json/{key}")] += 1
    found = read(name)
    assert found.kept == kept
    assert [(r.index, r.rule) for r in found.refused] == refused
    assert sum(kept.values()) + len(refused) == found.entries


@recordings
def test_every_location_is_within_half_a_unit_of_what_the_file_says(name: str) -> None:
    found = read(name)
    for key in ("background/location", "background/filtered_location"):
        said = {}
        for entry in exact(name):
            if entry["metadata"]["key"] == key:
                times = milliseconds(entry["data"]["ts"]), milliseconds(entry["metadata"]["write_ts"])
                said[times] = entry
        rows = found.tables[STREAMS[key]].to_pylist()
        assert [(r["ts_ms"], r["write_ms"]) for r in rows] == sorted(t for t in said if t[0] > 0)
        for row in rows:
            entry = said[row["ts_ms"], row["write_ms"]]
            data = entry["data"]
            for column, field, scale in (
                ("lat_e7", "latitude", 10**7),
                ("lon_e7", "longitude", 10**7),
                ("accuracy_cm", "accuracy", 100),
                ("altitude_cm", "altitude", 100),
                ("speed_cm_s", "sensed_speed", 100),
                ("heading_cdeg", "heading", 100),
            ):
                if column in ("speed_cm_s", "heading_cdeg") and data[field] < 0:
                    assert row[column] is None
                else:
                    assert abs(row[column] - data[field] * scale) <= Decimal("0.500001")
            assert row["zone"] == entry["metadata"]["time_zone"]


@recordings
def test_codes_are_those_of_the_file(name: str) -> None:
    found = read(name)
    for key, columns in {
        "background/motion_activity": {"type": "type", "confidence": "confidence"},
        "background/battery": {"level_pct": "battery_level_pct", "status": "battery_status"},
        "statemachine/transition": {"state": "curr_state", "transition": "transition"},
    }.items():
        said = {
            (milliseconds(e["data"]["ts"]), milliseconds(e["metadata"]["write_ts"])): [
                round(e["data"][field]) for field in columns.values()
            ]
            for e in exact(name)
            if e["metadata"]["key"] == key
        }
        rows = found.tables[STREAMS[key]].to_pylist() if STREAMS[key] in found.tables else []
        assert {(r["ts_ms"], r["write_ms"]): [r[column] for column in columns] for r in rows} == said


def test_kept_texts_say_what_the_file_says() -> None:
    name = "jack_untracked_time_2023-03-12"
    whole = [entry for entry in exact(name) if entry["metadata"]["key"] not in STREAMS]
    found = read(name)
    texts = [
        json.loads(row["entry"], parse_float=Decimal, parse_int=Decimal)
        for stream, rows in found.tables.items()
        if stream.startswith("json/")
        for row in rows.to_pylist()
    ]
    assert len(texts) == len(whole) == 296
    assert sorted(texts, key=lambda e: str(e["_id"])) == sorted(whole, key=lambda e: str(e["_id"]))


def test_the_impossible_time_is_told_and_its_place_is_not() -> None:
    (refusal,) = read("gabe_2016-06-15").refused
    assert refusal.index == 489
    assert refusal.reason == "found the time 1970-01-01T00:00:00Z, expected one from 2001 to 2100"


@recordings
def test_no_reason_tells_a_place_or_a_user(name: str) -> None:
    entries = exact(name)
    for refusal in read(name).refused:
        entry = entries[refusal.index]
        private = [entry["user_id"]["$uuid"], entry["_id"]["$oid"]]
        private += [str(entry["data"][f]) for f in ("latitude", "longitude") if f in entry["data"]]
        assert not [value for value in private if value in f"{refusal.key} {refusal.reason}"]


@recordings
def test_a_recording_printed_otherwise_is_the_same_recording(name: str) -> None:
    compact = json.dumps(json.loads(bytes_of(name)), separators=(",", ":")).encode()
    assert emission.read(compact).tables.keys() == read(name).tables.keys()
    for stream, rows in read(name).tables.items():
        if not stream.startswith("json/"):
            assert emission.read(compact).tables[stream].equals(rows)
