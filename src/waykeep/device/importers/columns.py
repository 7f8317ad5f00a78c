"""One value of an entry, checked and brought into the unit of its column.

No reason says the value, unless it is a time: values are places, or tell of them.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import msgspec

from waykeep.errors import DeviceError
from waykeep.formats import streams

_ZONE = re.compile(r"[A-Za-z0-9_+/-]{1,64}")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Column(msgspec.Struct, frozen=True):
    """How a number of ``data`` becomes a column.

    Attributes:
        field: Its name in the entry.
        name: What a reason calls it.
        low, high: Its range, in the entry's unit, both included.
        scale: What it is multiplied by.
        needed: Whether an entry without it is refused.
        missing: What stands for it where it is not needed and missing.
        below_is_unknown: Whether less than `low` means unknown, not impossible.
        code: Whether it is a code, of which a fraction makes no sense.
    """

    field: str
    name: str
    low: int
    high: int
    scale: int = 1
    needed: bool = False
    missing: int | None = None
    below_is_unknown: bool = False
    code: bool = False


def time_ms(value: object, name: str) -> int:
    """Milliseconds since 1970 UTC of a time in seconds.

    Raises:
        DeviceError: ``time-impossible``; the reason names the time.
    """
    if type(value) is not float and type(value) is not int:
        raise DeviceError("time-impossible", f"found {kind(value)} as {name}, expected seconds since 1970")
    if not streams.MIN_TS_MS <= value * 1000 <= streams.MAX_TS_MS:
        raise DeviceError("time-impossible", f"found the {name} {_date(value)}, expected one from 2001 to 2100")
    return round(value * 1000)


def _date(seconds: float) -> str:
    try:
        return (_EPOCH + timedelta(seconds=int(seconds))).isoformat().replace("+00:00", "Z")
    except OverflowError:
        return "of a year that no calendar has"


def zone_name(value: object) -> str:
    """The name of a time zone, the empty text where there is none.

    Raises:
        DeviceError: ``value-out-of-range``.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise DeviceError("value-out-of-range", f"found {kind(value)} as time zone, expected text")
    if value and _ZONE.fullmatch(value) is None:
        raise DeviceError("value-out-of-range", "found a time zone that is no name of IANA's form")
    return value


def number(value: object, column: Column) -> int | None:
    """A number in the unit of its column, None where the phone did not know it.

    Raises:
        DeviceError: ``entry-malformed`` when it is missing and needed, ``value-out-of-range``.
    """
    if value is None:
        if column.needed:
            raise DeviceError("entry-malformed", f"found no {column.name}, expected a number")
        return column.missing
    # The exact type, as true and false are numbers to Python.
    if type(value) is not float and type(value) is not int:
        raise DeviceError("value-out-of-range", f"found {kind(value)} as {column.name}, expected a number")
    if column.below_is_unknown and value < column.low:
        return None
    if not column.low <= value <= column.high:
        expected = f"expected {column.low:,} to {column.high:,}"
        raise DeviceError("value-out-of-range", f"found a number that is no {column.name}, {expected}")
    if column.code and value != int(value):
        raise DeviceError("value-out-of-range", f"found a fraction as {column.name}, expected a code")
    return round(value * column.scale)


def kind(value: object) -> str:
    """What a value is, without saying it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    return "text" if isinstance(value, str) else "a list" if isinstance(value, list) else "an object"
