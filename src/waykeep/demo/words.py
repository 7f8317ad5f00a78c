"""Numbers, times and lengths as people read them."""

from __future__ import annotations

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_SMALL = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")


def counted(number: int, one: str, many: str = "") -> str:
    """`one trip`, `12 trips`, `1,234 trips`: small numbers in words."""
    word = _SMALL[number] if number < len(_SMALL) else f"{number:,}"
    return f"{word} {one if number == 1 else many or one + 's'}"


def size(count: int) -> str:
    """Bytes with a decimal unit: `912 bytes`, `3.4 kB`, `41.2 MB`."""
    value = float(count)
    for unit in ("bytes", "kB", "MB"):
        if value < 1000:
            return f"{value:.0f} bytes" if unit == "bytes" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.2f} GB"


def length(metres: int) -> str:
    """`640 m`, `4.2 km`, `812 km`."""
    if metres < 1000:
        return f"{metres} m"
    return f"{metres / 1000:.1f} km" if metres < 100_000 else f"{metres / 1000:,.0f} km"


def duration(seconds: int) -> str:
    """`45 s`, `17 min`, `2 h 05 min`."""
    if seconds < 60:
        return f"{seconds} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def milliseconds(ms: float) -> str:
    """`0.42 ms`, `18 ms`, `1.24 s`."""
    if ms < 1000:
        return f"{ms:.2f} ms" if ms < 1 else f"{ms:.1f} ms" if ms < 10 else f"{ms:.0f} ms"
    return f"{ms / 1000:.2f} s"


def zone_of(name: str) -> tuple[tzinfo, str]:
    """A time zone and how to call it; UTC where this machine does not know the name."""
    try:
        return ZoneInfo(name), name
    except (ZoneInfoNotFoundError, ValueError):
        return UTC, "UTC"


def day(ms: int, zone: tzinfo) -> str:
    """`Mon 20 Jun 2016`."""
    return _local(ms, zone).strftime("%a %-d %b %Y")


def clock(ms: int, zone: tzinfo) -> str:
    """`08:28`."""
    return _local(ms, zone).strftime("%H:%M")


def _local(ms: int, zone: tzinfo) -> datetime:
    return datetime.fromtimestamp(ms / 1000, zone)
