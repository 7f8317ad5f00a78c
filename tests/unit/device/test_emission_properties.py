"""Whatever stands wherever in a recording: every entry is kept or refused, and nothing else is raised."""

from __future__ import annotations

import copy
import json
import math
import re
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.device.recording import COLUMN_KEYS, DATA, START, dump, entry
from waykeep.device.importers import Imported, emission, entries
from waykeep.errors import DeviceError
from waykeep.formats import table

ENTRY_RULES = {
    "entry-malformed",
    "key-malformed",
    "time-impossible",
    "value-not-finite",
    "value-out-of-range",
    "entry-repeated",
    "entry-conflicts",
}
FILE_RULES = {"recording-not-json", "recording-not-entries", "recording-too-large"}

# Every JSON value, and what only Python's json writes: NaN, infinities, halves of surrogate pairs.
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**500), 10**500)
    | st.floats()
    | st.text(st.characters(exclude_categories=()), max_size=20)
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=12,
)
keys = st.sampled_from(list(DATA))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything in a JSON value, itself included."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] + [p for name, part in inner for p in places(part, (*path, name))]


def with_value(whole: Any, path: tuple[Any, ...], value: Any) -> Any:
    if not path:
        return value
    whole = copy.deepcopy(whole)
    at = whole
    for name in path[:-1]:
        at = at[name]
    at[path[-1]] = value
    return whole


def check(found: Imported, count: int) -> None:
    """What holds of every answer."""
    assert found.entries == count == sum(found.kept.values()) + len(found.refused)
    assert found.kept == {stream: rows.num_rows for stream, rows in found.tables.items()}
    assert {r.rule for r in found.refused} <= ENTRY_RULES
    places = [r.index for r in found.refused]
    assert places == sorted(set(places))
    for stream, rows in found.tables.items():
        table.conform(rows, stream)
        times = list(zip(rows.column("ts_ms").to_pylist(), rows.column("write_ms").to_pylist(), strict=True))
        assert times == sorted(set(times))


@given(key=keys, data=st.data(), value=values)
def test_any_value_in_any_place_costs_its_entry_at_most(key: str, data: st.DataObject, value: Any) -> None:
    before, after = entry(at=START - 1), entry(at=START + 1)
    path = data.draw(st.sampled_from(places(entry(key))))
    found = emission.read(dump(before, with_value(entry(key), path, value), after))
    check(found, 3)
    assert {0, 2}.isdisjoint(r.index for r in found.refused)


@given(key=keys, data=st.data())
def test_a_number_that_is_no_number_is_refused_wherever_it_stands(key: str, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(places(entry(key))))
    number = data.draw(st.sampled_from([math.nan, math.inf, -math.inf]))
    found = emission.read(dump(entry(at=START + 1), with_value(entry(key), path, number)))
    check(found, 2)
    assert [(r.index, r.rule) for r in found.refused] == [(1, "value-not-finite")]


@given(items=st.lists(values, max_size=5))
def test_any_list_is_read_or_refused_by_rule(items: list[Any]) -> None:
    try:
        found = emission.read(dump(*items))
    except DeviceError as error:
        assert error.rule == "recording-not-entries"
        assert items and not any(isinstance(item, dict) for item in items)
    else:
        check(found, len(items))


@given(data=st.binary(max_size=60) | st.text('[]{}",:\\u0123 NaInfty-+.eE', max_size=40).map(str.encode))
def test_any_bytes_are_read_or_refused_by_rule(data: bytes) -> None:
    for given_bytes in (data, b"[" + data + b"]", b"[{}," + data + b"]"):
        try:
            found = emission.read(given_bytes)
        except DeviceError as error:
            assert error.rule in FILE_RULES
        else:
            check(found, found.entries)


@settings(max_examples=60)
@given(data=st.data())
def test_one_byte_changed_or_cut_never_raises_anything_else(data: st.DataObject) -> None:
    good = dump(*(entry(key) for key in [*COLUMN_KEYS, "stats/client_time"]))
    at = data.draw(st.integers(0, len(good) - 1))
    changed = good[:at] + bytes([data.draw(st.integers(0, 255))]) + good[at + 1 :]
    for spoilt in (changed, good[:at]):
        try:
            check(found := emission.read(spoilt), found.entries)
        except DeviceError as error:
            assert error.rule in FILE_RULES


@given(
    latitude=st.floats(-90, 90),
    longitude=st.floats(-180, 180),
    accuracy=st.floats(0, 1e6),
    altitude=st.floats(-1e4, 1e5),
    at=st.floats(978_307_201, 4_102_444_798),
)
def test_every_place_on_the_globe_is_kept(**given_values: float) -> None:
    at = given_values.pop("at")
    found = emission.read(dump(entry(at=at, **given_values)))
    (row,) = found.tables["location"].to_pylist()
    assert row["lat_e7"] == round(given_values["latitude"] * 10**7)
    assert row["lon_e7"] == round(given_values["longitude"] * 10**7)
    assert row["accuracy_cm"] == round(given_values["accuracy"] * 100)
    assert row["altitude_cm"] == round(given_values["altitude"] * 100)
    assert row["ts_ms"] == round(at * 1000)


@given(value=values)
def test_an_entry_without_fault_is_read_as_python_reads_it(value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False, indent=1).encode("utf-8", "surrogatepass")
    read, fault = entries.read(text)
    if fault is None:
        assert json.dumps(read) == json.dumps(json.loads(text))


@given(
    names=st.lists(st.text(st.characters(codec="utf-8"), max_size=3), min_size=1, max_size=5),
    value=st.text('":\\u003a', max_size=8),
    escaped=st.booleans(),
)
def test_a_name_that_stands_twice_is_always_found(names: list[str], value: str, escaped: bool) -> None:
    members = [f"{json.dumps(n, ensure_ascii=escaped)}: {json.dumps(value, ensure_ascii=escaped)}" for n in names]
    text = "{" + ", ".join(members) + "}"
    fault = entries.read(text.encode())[1]
    assert (fault is not None) == (len(set(names)) < len(names))


@given(key=st.text(max_size=12) | st.from_regex(r"[a-z0-9_/A-Z-]{1,40}", fullmatch=True))
def test_a_key_names_a_stream_or_is_refused_unsaid(key: str) -> None:
    given_entry = entry("stats/client_time")
    given_entry["metadata"]["key"] = key
    found = emission.read(dump(given_entry))
    check(found, 1)
    good = re.fullmatch(r"[a-z0-9_]{1,32}(/[a-z0-9_]{1,48}){0,3}", key) is not None
    if good:
        assert found.kept == {f"json/{key}": 1}
    else:
        assert [(r.key, r.rule) for r in found.refused] == [("", "key-malformed")]
