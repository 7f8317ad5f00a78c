"""What an approval or grant comes to, in plain words: what, how precisely, how often, until when, and at worst."""

from __future__ import annotations

import datetime
import math

from waykeep.authority.permissions import Approved, Granted, Withheld, kept_as
from waykeep.authority.scopes import Scope, lifetime
from waykeep.formats import grid, streams

EARTH_M2 = 5.1e14
_HOUR, _DAY = 3_600_000, 86_400_000


def consent(allowed: Approved | Granted) -> str:
    """What whoever agrees agrees to, a line each."""
    scope = allowed.scope
    lines = [("Who", _who(allowed)), ("What", what(scope)), ("When", when(scope)), ("Where", where(scope))]
    lines += [("How precise", precision(scope)), ("How often", _how_often(allowed))]
    if isinstance(allowed, Granted):
        lines.insert(0, ("Purpose", allowed.purpose))
        lines.append(("At worst", at_worst(allowed)))
    if scope.parameters:
        lines.append(("Settings", "; ".join(f"{n}: {', '.join(map(str, v))}" for n, v in scope.parameters.items())))
    if stream := kept_as(allowed, scope):
        lines.append(("Kept", f"results are kept in your vault as {stream}"))
    if scope.vetted:
        lines.append(("Reviewed", f"only with a review by one of {sum(map(len, scope.vetted))} keys that you name"))
    return "\n".join(f"{name + ':':13}{words}" for name, words in lines)


def what(scope: Scope) -> str:
    given = (scope.streams or {}).items()
    return "; ".join(f"{stream} ({', '.join(columns)})" for stream, columns in given) or "no data"


def when(scope: Scope) -> str:
    """Which times are shared."""
    parts = []
    if scope.from_ms is not None or scope.to_ms is not None:
        first = "the beginning" if scope.from_ms is None else day(scope.from_ms)
        parts.append(f"from {first} to {'now and later' if scope.to_ms is None else day(scope.to_ms)} UTC")
    if scope.last_ms is not None:
        parts.append(f"only the last {duration(scope.last_ms)}, whenever it is asked")
    return ", ".join(parts) or "all that was recorded, and what is to come"


def where(scope: Scope) -> str:
    return f"only what lies in {_count(len(scope.areas), 'area')}" if scope.areas else "everywhere"


def precision(scope: Scope) -> str:
    place = f"places to about {length(grid.height_m(scope.level))}" if scope.level else "places as recorded"
    time = f"times to {duration(scope.step_ms)}" if scope.step_ms > 1 else "times as recorded"
    return f"{place}, {time}"


def at_worst(grant: Granted) -> str:
    """What somebody who wrote the algorithm for nothing else could learn."""
    columns = {name for names in (grant.scope.streams or {}).values() for name in names}
    if grant.algorithm is None:
        told = f"each of {grant.runs} looks shows up to {grant.rows:,} rows of it"
        return f"{told}; of a few places at night and noon your name can be found"
    whole = f"all answers together can tell {grant.bits:,} bits"
    if not {"lat_e7", "lon_e7"} <= columns:
        return whole
    # Which cell of all on earth, and which step of a year.
    height = max(grid.height_m(grant.scope.level), 1.0)
    each = math.log2(EARTH_M2 / height**2) + math.log2(365 * _DAY / max(grant.scope.step_ms, 60_000))
    return f"{whole}: enough to spell out {_count(int(grant.bits // each), 'place')} of yours with their times"


def withheld(line: Withheld) -> str:
    """What is taken out."""
    parts = [f"“{line.words}”"] if line.words else []
    if line.from_ms is not None or line.to_ms is not None:
        first = "the beginning" if line.from_ms is None else minute(line.from_ms)
        parts.append(f"from {first} to {'all time' if line.to_ms is None else minute(line.to_ms)} UTC")
    if line.area is not None:
        parts.append("an area")
    return ", ".join(parts)


def duration(ms: int) -> str:
    for unit, name in ((_DAY, "day"), (_HOUR, "hour"), (60_000, "minute"), (1000, "second")):
        if ms % unit == 0:
            return _count(ms // unit, name)
    return f"{ms} ms"


def length(metres: float) -> str:
    return f"{metres / 1000:.1f} km" if metres >= 1000 else f"{metres:.0f} m"


def day(ms: int) -> str:
    text = minute(ms)
    return text.removesuffix(" 00:00")


def left(until_ms: int, now_ms: int) -> str:
    """A day, and how far away it is."""
    hours = (until_ms - now_ms) // _HOUR
    if hours < 0:
        return f"{day(until_ms)}, over"
    return f"{day(until_ms)}, {_count(hours // 24, 'day') if hours >= 48 else _count(hours, 'hour')} left"


def minute(ms: int) -> str:
    return f"{datetime.datetime.fromtimestamp(ms / 1000, datetime.UTC):%Y-%m-%d %H:%M}"


def _who(allowed: Approved | Granted) -> str:
    if isinstance(allowed, Approved):
        return f"your own devices, with {allowed.name}"
    with_ = f", with {allowed.name}" if allowed.algorithm is not None else ""
    return f"the key {allowed.holder[:16]}… and whom it passes a part to{with_}"


def _how_often(allowed: Approved | Granted) -> str:
    _, until = lifetime(allowed.scope)
    end = "" if until >= streams.MAX_TS_MS else f", until {day(until)} UTC"
    if isinstance(allowed, Approved):
        return f"as often as you like{end}"
    return f"{_count(allowed.runs, 'time')} in all{end}; each answer comes after {duration(allowed.deadline_ms)}"


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
