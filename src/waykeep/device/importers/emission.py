"""Recordings of e-mission: a JSON array of entries, each with ``metadata`` and ``data``, as its server dumps them.

Format: e-mission-server, ``emission/core/wrapper/`` (``entry.py``, ``metadata.py``, ``location.py``,
``motionactivity.py``, ``battery.py``, ``transition.py``). Times are float seconds since 1970 UTC.

An entry is refused by the first of these rules that it breaks:

1. ``entry-malformed``, ``value-not-finite``: it is strict JSON (`waykeep.device.importers.entries`).
2. ``entry-malformed``: it is an object whose ``metadata`` and ``data`` are objects.
3. ``key-malformed``: ``metadata.key`` names a stream.
4. ``time-impossible``: ``metadata.write_ts`` and ``data.ts`` are there and lie between 2001 and 2100.
5. ``value-out-of-range``: the time zone has the form of an IANA name, or is missing (then it is the empty text).
6. ``entry-malformed`` for a missing value that its stream needs, ``value-out-of-range`` for one of another type or out
   of its range: each stream's columns stand below. A null is the same as a missing value.
7. ``entry-repeated``, ``entry-conflicts``: no entry kept before has its stream, time of writing and time.

Times are rounded to the millisecond and values to the unit of their column, half to even. What a phone reports as
unknown (a negative speed or heading) is null; Android's altitude 0 where it has none stays 0. A motion activity without
confidence has confidence 0.

Entries of keys without columns go whole to ``json/<key>``, but for the white space between tokens; where such an entry
has no ``ts`` (labels that a person set, configuration), its time is the time of writing. The ids that e-mission gave
the user and the entry (``user_id``, ``_id``) stay in those texts, inside the ciphertext, and are dropped everywhere
else.
"""

from __future__ import annotations

from typing import Any, cast

import msgspec
import pyarrow as pa

from waykeep.device.importers import Imported, Refusal, entries
from waykeep.device.importers.columns import Column, kind, number, time_ms, zone_name
from waykeep.errors import DeviceError, FormatError
from waykeep.formats import streams, table

MAX_STREAMS = 256
"""The most streams of one recording; e-mission has some 60 keys."""
MAX_ZONES = 1_000
"""The most time zones of one recording; IANA has some 600."""

_MAX = (2**31 - 1) // 100
"""In metres, or metres a second: more hundredths do not fit their column."""

_POINT = (
    Column("latitude", "latitude", -90, 90, 10**7, needed=True),
    Column("longitude", "longitude", -180, 180, 10**7, needed=True),
    Column("accuracy", "accuracy", 0, _MAX, 100),
    Column("altitude", "altitude", -_MAX, _MAX, 100),
    Column("sensed_speed", "speed", 0, _MAX, 100, below_is_unknown=True),
    Column("heading", "heading", 0, 360, 100, below_is_unknown=True),
)

_COLUMNS: dict[str, tuple[str, tuple[Column, ...]]] = {
    "background/location": ("location", _POINT),
    "background/filtered_location": ("filtered-location", _POINT),
    "background/motion_activity": (
        "motion-activity",
        (
            Column("type", "type of motion", 0, 99, needed=True, code=True),
            Column("confidence", "confidence", 0, 100, missing=0),
        ),
    ),
    "background/battery": (
        "battery",
        (
            Column("battery_level_pct", "battery level", 0, 100, needed=True),
            Column("battery_status", "battery status", 0, 99, code=True),
        ),
    ),
    "statemachine/transition": (
        "transition",
        (
            Column("curr_state", "state", 0, 99, needed=True, code=True),
            Column("transition", "transition", 0, 99, needed=True, code=True),
        ),
    ),
}
"""Per key, its stream and the columns between the times and the zone, in the order of the stream's schema."""


# No cycle can go through a record; that the garbage collector need not look at each of them halves the time.
class _Record(msgspec.Struct, frozen=True, gc=False):
    """One entry that is kept, `index` its place in the file."""

    index: int
    ts_ms: int
    write_ms: int
    values: tuple[int | str | None, ...]
    zone: str


def read(data: bytes) -> Imported:
    """Read a dump of e-mission. The same bytes give the same tables.

    Raises:
        DeviceError: ``recording-not-json``, ``recording-not-entries``, ``recording-too-large``.
    """
    texts = entries.split(data)
    kept: dict[str, dict[tuple[int, int], _Record]] = {}
    zones: set[str] = set()
    refused: list[Refusal] = []
    for index, text in enumerate(map(bytes, texts)):
        value, fault = entries.read(text)
        try:
            if fault is not None:
                raise fault
            stream, record = _record(index, value, text)
            records = kept.setdefault(stream, {})
            earlier = records.setdefault((record.ts_ms, record.write_ms), record)
            if earlier is not record:
                raise _second(stream, earlier, record)
        except DeviceError as error:
            refused.append(Refusal(index, _shown_key(value), error.rule, error.message))
            continue
        zones.add(record.zone)
        if len(kept) > MAX_STREAMS or len(zones) > MAX_ZONES:
            raise DeviceError(
                "recording-too-large",
                f"found more than {MAX_STREAMS} keys or more than {MAX_ZONES} time zones",
                hint="a phone's recording has some 60 keys and a few time zones",
                status=413,
            )
    tables = {
        stream: _table(stream, [records[times] for times in sorted(records)])
        for stream, records in sorted(kept.items())
    }
    return Imported(tables, len(texts), {stream: rows.num_rows for stream, rows in tables.items()}, tuple(refused))


def _record(index: int, value: object, text: bytes) -> tuple[str, _Record]:
    """Rules 2 to 6."""
    if not isinstance(value, dict):
        raise DeviceError("entry-malformed", f"found {kind(value)}, expected an object with metadata and data")
    metadata, data = _object(value, "metadata"), _object(value, "data")
    key = metadata.get("key")
    if not isinstance(key, str):
        raise DeviceError("key-malformed", f"found {kind(key)} as key, expected text")
    stream, columns = _COLUMNS.get(key) or (_json_stream(key), None)
    write_ms = time_ms(metadata.get("write_ts"), "time of writing")
    values: tuple[int | str | None, ...]
    if columns is None:
        ts_ms = write_ms if data.get("ts") is None else time_ms(data["ts"], "time")
        zone = zone_name(metadata.get("time_zone"))
        values = (msgspec.json.format(text, indent=-1).decode(),)
    else:
        ts_ms = time_ms(data.get("ts"), "time")
        zone = zone_name(metadata.get("time_zone"))
        values = tuple([number(data.get(column.field), column) for column in columns])
    return stream, _Record(index, ts_ms, write_ms, values, zone)


def _object(entry: dict[str, object], name: str) -> dict[str, object]:
    part = entry.get(name)
    if not isinstance(part, dict):
        raise DeviceError("entry-malformed", f"found {kind(part)} as {name}, expected an object")
    return part


def _json_stream(key: str) -> str:
    try:
        return streams.parse_stream(f"json/{key}")
    except FormatError:
        raise DeviceError(
            "key-malformed", "found a key that is not one to four names of small letters, digits and _ between slashes"
        ) from None


def _shown_key(value: object) -> str:
    """The key of an entry as far as it may be shown: only what could name a stream."""
    metadata = value.get("metadata") if isinstance(value, dict) else None
    key = metadata.get("key") if isinstance(metadata, dict) else None
    if not isinstance(key, str):
        return ""
    try:
        return key if key in _COLUMNS or _json_stream(key) else ""
    except DeviceError:
        return ""


def _second(stream: str, earlier: _Record, record: _Record) -> DeviceError:
    """Rule 7, when two entries have one key."""
    same = earlier.zone == record.zone and (
        earlier.values == record.values
        or (stream not in streams.RECORDED and _content(earlier.values[0]) == _content(record.values[0]))
    )
    if same:
        return DeviceError("entry-repeated", f"found the same as entry {earlier.index}")
    return DeviceError("entry-conflicts", f"found the times of entry {earlier.index} with another content")


def _content(text: int | str | None) -> bytes:
    """An entry without what the server adds anew each time that it is sent: its number and the time of reading."""
    entry = cast("dict[str, Any]", entries.read(str(text).encode())[0])
    metadata = {name: value for name, value in entry["metadata"].items() if name != "read_ts"}
    others = {name: value for name, value in entry.items() if name != "_id"}
    return msgspec.json.encode({**others, "metadata": metadata}, order="sorted")


def _table(stream: str, records: list[_Record]) -> pa.Table:
    zones = sorted({record.zone for record in records})
    places = {zone: place for place, zone in enumerate(zones)}
    columns: list[list[object]] = [
        [record.ts_ms for record in records],
        [record.write_ms for record in records],
        *([*column] for column in zip(*(record.values for record in records), strict=True)),
    ]
    schema = streams.schema(stream)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=False)]
    named = pa.array([places[record.zone] for record in records], pa.int16())
    arrays.append(pa.DictionaryArray.from_arrays(named, pa.array(zones, pa.string())))
    return table.conform(pa.Table.from_arrays(arrays, schema=schema), stream)
