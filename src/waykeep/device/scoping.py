"""From what a person types to a scope: days, durations, metres, areas."""

from __future__ import annotations

import datetime
import re
from collections.abc import Mapping, Sequence

import msgspec

from waykeep.authority import plans
from waykeep.authority.areas import Area
from waykeep.authority.scopes import HOUR_MS, Scope, canonical
from waykeep.errors import DeviceError
from waykeep.formats import grid
from waykeep.formats.ids import PublicKey
from waykeep.formats.messages import Value

_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_MINUTE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(T[0-9]{2}:[0-9]{2})?")
_DURATION = re.compile(r"([0-9]{1,6})(ms|s|m|min|h|d)")
_LENGTH = re.compile(r"([0-9]{1,6}(?:\.[0-9]{1,3})?)(m|km)?")
_CELL = re.compile(r"[0-9a-f]{15,16}")
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "min": 60_000, "h": HOUR_MS, "d": 24 * HOUR_MS}
MAX_GEOJSON = 64 << 10


class Terms(msgspec.Struct, frozen=True):
    """What a person says about times, places and precision; what they leave out is not narrowed.

    Attributes:
        first, after: First day of data, and the day after the last (YYYY-MM-DD, UTC).
        last: Only the newest so much of it, such as ``24h`` or ``7d``.
        begins, until: From when and until when it may be used (days, UTC).
        areas: Each the text of GeoJSON, or of H3 cells. precision: Metres, such as ``500`` or ``2km``.
        times: To which times are rounded, such as ``15m``.
        vetted: Keys of which one must have reviewed the algorithm.
    """

    first: str = ""
    after: str = ""
    last: str = ""
    begins: str = ""
    until: str = ""
    areas: tuple[str, ...] = ()
    precision: str = ""
    times: str = ""
    vetted: tuple[PublicKey, ...] = ()


def scope_of(
    terms: Terms, inputs: Mapping[str, Sequence[str]] | None, parameters: Mapping[str, Sequence[Value]] | None
) -> Scope:
    """The scope in its one form.

    Args:
        inputs: Per stream its columns. parameters: Per parameter its allowed values. None leaves them as they are.

    Raises:
        DeviceError: ``date-malformed``, ``duration-malformed``, ``length-malformed``, ``area-malformed``,
            ``window-empty``. FormatError: ``precision-unknown``. AuthorityError: ``precision-undefined`` where a column
            has no such form.
    """
    scope = canonical(
        Scope(
            streams=None if inputs is None else {stream: tuple(columns) for stream, columns in inputs.items()},
            parameters=None if parameters is None else {name: tuple(values) for name, values in parameters.items()},
            from_ms=day_ms(terms.first) if terms.first else None,
            to_ms=day_ms(terms.after) if terms.after else None,
            last_ms=_hours(terms.last) if terms.last else None,
            areas=tuple(area_of(text) for text in terms.areas),
            level=grid.level_of(length_m(terms.precision)) if terms.precision else 0,
            step_ms=grid.step_of(duration_ms(terms.times)) if terms.times else 1,
            not_before_ms=day_ms(terms.begins) if terms.begins else None,
            until_ms=day_ms(terms.until) if terms.until else None,
            vetted=(terms.vetted,) if terms.vetted else (),
        )
    )
    require_time(scope.from_ms, scope.to_ms)
    require_time(scope.not_before_ms, scope.until_ms)
    for stream, columns in (inputs or {}).items():
        plans.check_coarse(stream, columns, level=scope.level, step_ms=scope.step_ms, areas=bool(scope.areas))
    return scope


def require_time(from_ms: int | None, to_ms: int | None) -> None:
    """Raises: DeviceError: ``window-empty``."""
    if from_ms is not None and to_ms is not None and from_ms >= to_ms:
        raise DeviceError(
            "window-empty",
            "found a window without a day in it",
            hint="--from lies before --to, which is the day after the last",
        )


def day_ms(text: str) -> int:
    """Milliseconds since 1970 of a day's begin in UTC. Raises: DeviceError: ``date-malformed``."""
    try:
        # `fromisoformat` alone also takes 20160620 and 2016-W25-1.
        day = datetime.date.fromisoformat(text if _DAY.fullmatch(text) else "")
    except ValueError:
        raise DeviceError(
            "date-malformed", "found text that is no day (YYYY-MM-DD)", hint="write a day as 2016-06-20"
        ) from None
    return int(datetime.datetime(day.year, day.month, day.day, tzinfo=datetime.UTC).timestamp() * 1000)


def minute_ms(text: str) -> int:
    """Milliseconds since 1970 of a minute, or of a day's begin, in UTC. Raises: DeviceError: ``date-malformed``."""
    if not _MINUTE.fullmatch(text):
        raise DeviceError("date-malformed", "found text that is no day or minute", hint="such as 2026-11-25T14:30")
    day, _, time = text.partition("T")
    start = day_ms(day)
    try:
        clock = datetime.time.fromisoformat(time or "00:00")
    except ValueError:
        raise DeviceError("date-malformed", "found no such minute", hint="such as 2026-11-25T14:30") from None
    return start + (clock.hour * 60 + clock.minute) * 60_000


def duration_ms(text: str) -> int:
    """Raises: DeviceError: ``duration-malformed``."""
    found = _DURATION.fullmatch(text)
    if found is None:
        raise DeviceError("duration-malformed", "found text that is no duration", hint="write it as 15m, 24h or 7d")
    return int(found[1]) * _UNITS[found[2]]


def _hours(text: str) -> int:
    """Whole hours, since a moving window ends on one."""
    found = duration_ms(text)
    if not found or found % HOUR_MS:
        raise DeviceError(
            "duration-malformed", "found a moving window that is no whole hours", hint="such as 24h or 7d"
        )
    return found


def length_m(text: str) -> float:
    """Raises: DeviceError: ``length-malformed``."""
    found = _LENGTH.fullmatch(text)
    if found is None:
        raise DeviceError("length-malformed", "found text that is no length", hint="write metres as 500, or 2km")
    return float(found[1]) * (1000 if found[2] == "km" else 1)


def area_of(text: str) -> Area:
    """An area from the text of a GeoJSON polygon (or a feature of one), or of H3 cells with commas between them.

    Raises: DeviceError: ``area-malformed``.
    """
    cells = text.replace(" ", "").replace("\n", "").split(",")
    if all(map(_CELL.fullmatch, cells)):
        return Area(cells=tuple(sorted(set(cells))))
    try:
        if len(text) > MAX_GEOJSON:
            raise ValueError
        found = msgspec.json.decode(text)
        found = found["geometry"] if found["type"] == "Feature" else found
        (ring,) = found["coordinates"]
        corners = tuple((round(lat * 1e7), round(lon * 1e7)) for lon, lat in ring)
        corners = corners[:-1] if corners[0] == corners[-1] else corners
        area = msgspec.convert(msgspec.to_builtins(Area(polygon=corners)), Area)
        if found["type"] != "Polygon" or len(corners) < 3:
            raise ValueError
    except (ValueError, TypeError, KeyError, IndexError, OverflowError, msgspec.MsgspecError):
        raise DeviceError(
            "area-malformed",
            "found text that is neither one GeoJSON polygon without holes nor H3 cells",
            hint="give a file with a polygon of at most 256 corners, or cells such as 881f1d4887fffff",
        ) from None
    return area
