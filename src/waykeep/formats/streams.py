"""The streams of a vault and their columns: integers only, so that nothing is rounded twice.

Units: ``*_ms`` milliseconds since 1970 UTC; ``*_e7`` degrees (WGS 84) times 10**7; ``*_cm`` centimetres; ``*_cm_s``
centimetres a second; ``*_cdeg`` hundredths of a degree; ``*_pct`` percent. A null says "the phone did not know".
"""

from __future__ import annotations

import re

import pyarrow as pa

from waykeep.errors import FormatError

_ZONE = pa.field("zone", pa.dictionary(pa.int16(), pa.string()), nullable=False)
_TIMES = [pa.field("ts_ms", pa.int64(), nullable=False), pa.field("write_ms", pa.int64(), nullable=False)]

_POINT = pa.schema(
    [
        *_TIMES,
        pa.field("lat_e7", pa.int32(), nullable=False),
        pa.field("lon_e7", pa.int32(), nullable=False),
        pa.field("accuracy_cm", pa.int32()),
        pa.field("altitude_cm", pa.int32()),
        pa.field("speed_cm_s", pa.int32()),
        pa.field("heading_cdeg", pa.int32()),
        _ZONE,
    ]
)

RECORDED: dict[str, pa.Schema] = {
    "location": _POINT,
    "filtered-location": _POINT,
    "motion-activity": pa.schema(
        [
            *_TIMES,
            pa.field("type", pa.int16(), nullable=False),
            pa.field("confidence", pa.int16(), nullable=False),
            _ZONE,
        ]
    ),
    "battery": pa.schema(
        [*_TIMES, pa.field("level_pct", pa.int16(), nullable=False), pa.field("status", pa.int16()), _ZONE]
    ),
    "transition": pa.schema(
        [
            *_TIMES,
            pa.field("state", pa.int16(), nullable=False),
            pa.field("transition", pa.int16(), nullable=False),
            _ZONE,
        ]
    ),
}
"""Streams that Waykeep has columns for."""

_ENTRY = pa.schema([*_TIMES, pa.field("entry", pa.string(), nullable=False), _ZONE])
_JSON_STREAM = re.compile(r"json/[a-z0-9_]{1,32}(/[a-z0-9_]{1,48}){0,3}")
_DERIVED_STREAM = re.compile(r"derived/[a-z][a-z0-9-]{0,31}")

MIN_TS_MS = 978_307_200_000
"""2001-01-01 UTC: no phone recorded a location before."""
MAX_TS_MS = 4_102_444_800_000
"""2100-01-01 UTC."""


def parse_stream(name: str) -> str:
    """A stream's name, checked: one of `RECORDED`, ``json/<key>`` or ``derived/<name>``.

    Raises:
        FormatError: ``stream-unknown``.
    """
    if name in RECORDED or _JSON_STREAM.fullmatch(name) or _DERIVED_STREAM.fullmatch(name):
        return name
    raise FormatError(
        "stream-unknown",
        "found a stream's name that is none of Waykeep's",
        hint=f"streams are {', '.join(RECORDED)}, json/<key> and derived/<name>",
    )


def is_derived(stream: str) -> bool:
    return stream.startswith("derived/")


def schema(stream: str) -> pa.Schema:
    """The Arrow schema of a recorded stream (a derived stream's is its algorithm's output schema).

    Raises:
        FormatError: ``stream-unknown``.
    """
    if stream in RECORDED:
        return RECORDED[stream]
    if parse_stream(stream).startswith("json/"):
        return _ENTRY
    raise FormatError("stream-unknown", "a derived stream has the columns of its algorithm's output")


def has_places(stream: str) -> bool:
    """Whether rows of the stream hold a position in ``lat_e7`` and ``lon_e7``."""
    return RECORDED.get(stream) is _POINT
