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

import re
from datetime import UTC, datetime, timedelta

import msgspec
import pyarrow as pa

from waykeep.device.importers import Imported, Refusal, entries
from waykeep.errors import DeviceError, FormatError
from waykeep.formats import streams, table

MAX_STREAMS = 256
"""The most streams of one recording; e-mission has some 60 keys."""
MAX_ZONES = 1_000
"""The most time zones of one recording; IANA has some 600."""

_INT32 = 2**31 - 1
_ZONE = re.compile(r"[A-Za-z0-9_+/-]{1,64}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class _Column(msgspec.Struct, frozen=True):
    """How a number of ``data`` becomes a column.

    Attributes:
        name: What a reason calls it.
        low, high: Its range, in e-mission's unit.
        scale: What it is multiplied by.
        needed: Whether an entry without it is refused.
        missing: What stands for it where it is not needed and missing.
        below_is_unknown: Whether less than `low` means unknown, not impossible.
        code: Whether it is a code, of which a fraction makes no sense.
    """

    field: str
    name: str
    low: float
    high: float
    scale: int = 1
    needed: bool = False
    missing: int | None = None
    below_is_unknown: bool = False
    code: bool = False


_POINT = (
    _Column("latitude", "latitude", -90, 90, 10**7, needed=True),
    _Column("longitude", "longitude", -180, 180, 10**7, needed=True),
    _Column("accuracy", "accuracy", 0, _INT32 / 100, 100),
    _Column("altitude", "altitude", -_INT32 / 100, _INT32 / 100, 100),
    _Column("sensed_speed", "speed", 0, _INT32 / 100, 100, below_is_unknown=True),
    _Column("heading", "heading", 0, 360, 100, below_is_unknown=True),
)

_COLUMNS: dict[str, tuple[str, tuple[_Column, ...]]] = {
    "background/location": ("location", _POINT),
    "background/filtered_location": ("filtered-location", _POINT),
    "background/motion_activity": (
        "motion-activity",
        (
            _Column("type", "type of motion", 0, 99, needed=True, code=True),
            _Column("confidence", "confidence", 0, 100, missing=0),
        ),
    ),
    "background/battery": (
        "battery",
        (
            _Column("battery_level_pct", "battery level", 0, 100, needed=True),
            _Column("battery_status", "battery status", 0, 99, code=True),
        ),
    ),
    "statemachine/transition": (
        "transition",
        (
            _Column("curr_state", "state", 0, 99, needed=True, code=True),
            _Column("transition", "transition", 0, 99, needed=True, code=True),
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
        raise DeviceError("entry-malformed", f"found {_kind(value)}, expected an object with metadata and data")
    metadata, data = _object(value, "metadata"), _object(value, "data")
    key = metadata.get("key")
    if not isinstance(key, str):
        raise DeviceError("key-malformed", f"found {_kind(key)} as key, expected text")
    stream, columns = _COLUMNS.get(key) or (_json_stream(key), None)
    write_ms = _time(metadata.get("write_ts"), "time of writing")
    values: tuple[int | str | None, ...]
    if columns is None:
        ts_ms = write_ms if data.get("ts") is None else _time(data["ts"], "time")
        zone = _zone(metadata.get("time_zone"))
        values = (msgspec.json.format(text, indent=-1).decode(),)
    else:
        ts_ms = _time(data.get("ts"), "time")
        zone = _zone(metadata.get("time_zone"))
        values = tuple([_number(data.get(column.field), column) for column in columns])
    return stream, _Record(index, ts_ms, write_ms, values, zone)


def _object(entry: dict[str, object], name: str) -> dict[str, object]:
    part = entry.get(name)
    if not isinstance(part, dict):
        raise DeviceError("entry-malformed", f"found {_kind(part)} as {name}, expected an object")
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


def _time(value: object, name: str) -> int:
    """Milliseconds since 1970 UTC of a time in seconds."""
    if type(value) is not float and type(value) is not int:
        raise DeviceError("time-impossible", f"found {_kind(value)} as {name}, expected seconds since 1970")
    if not streams.MIN_TS_MS <= value * 1000 <= streams.MAX_TS_MS:
        raise DeviceError("time-impossible", f"found the {name} {_date(value)}, expected one from 2001 to 2100")
    return round(value * 1000)


def _date(seconds: float) -> str:
    try:
        return (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
    except OverflowError:
        return "of a year that no calendar has"


def _zone(value: object) -> str:
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DeviceError("value-out-of-range", f"found {_kind(value)} as time zone, expected text")
    if value and _ZONE.fullmatch(value) is None:
        raise DeviceError("value-out-of-range", "found a time zone that is no name of IANA's form")
    return value


def _number(value: object, column: _Column) -> int | None:
    if value is None:
        if column.needed:
            raise DeviceError("entry-malformed", f"found no {column.name}, expected a number")
        return column.missing
    # The exact type, as true and false are numbers to Python.
    if type(value) is not float and type(value) is not int:
        raise DeviceError("value-out-of-range", f"found {_kind(value)} as {column.name}, expected a number")
    if column.below_is_unknown and value < column.low:
        return None
    if not column.low <= value <= column.high:
        raise DeviceError("value-out-of-range", f"found a {column.name} outside {column.low:g} to {column.high:g}")
    if column.code and value != int(value):
        raise DeviceError("value-out-of-range", f"found a fraction as {column.name}, expected a code")
    return round(value * column.scale)


def _kind(value: object) -> str:
    """What a value is, without saying it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    return "text" if isinstance(value, str) else "a list" if isinstance(value, list) else "an object"


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
    entry = msgspec.json.decode(str(text))
    entry.pop("_id", None)
    entry["metadata"].pop("read_ts", None)
    return msgspec.json.encode(entry, order="sorted")


def _table(stream: str, records: list[_Record]) -> pa.Table:
    zones = sorted({record.zone for record in records})
    number = {zone: position for position, zone in enumerate(zones)}
    columns: list[list[object]] = [
        [record.ts_ms for record in records],
        [record.write_ms for record in records],
        *([*column] for column in zip(*(record.values for record in records), strict=True)),
    ]
    schema = streams.schema(stream)
    arrays = [pa.array(values, field.type) for values, field in zip(columns, schema, strict=False)]
    named = pa.array([number[record.zone] for record in records], pa.int16())
    arrays.append(pa.DictionaryArray.from_arrays(named, pa.array(zones, pa.string())))
    return table.conform(pa.Table.from_arrays(arrays, schema=schema), stream)
