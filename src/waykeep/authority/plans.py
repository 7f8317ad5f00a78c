"""From what is allowed and what is asked to what is read: the one place that decides it. No I/O, no clock.

A read plan is the only way to the vault, so what is not in it is not read. In this order:

1. ``parameter-not-allowed``: each parameter has one of its allowed values, of the same type.
2. ``stream-not-allowed``, ``column-not-allowed``: of streams and columns that are allowed.
3. ``precision-not-allowed``: nothing finer than allowed.
4. ``precision-undefined``: nothing that has no coarse form, where places or times are coarse or areas are given.
5. ``area-not-allowed``: each area that is asked for lies within those allowed.
6. ``time-not-allowed``: the window asked for lies within the one allowed at that time, and is not empty.
7. ``data-withheld``: the owner does not withhold all of that window.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import msgspec

from waykeep.authority.areas import Area
from waykeep.authority.asking import Ask
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.permissions import Withheld
from waykeep.authority.scopes import Columns, Scope, window
from waykeep.errors import AuthorityError
from waykeep.formats import grid, streams
from waykeep.formats.messages import Value

Inputs = Mapping[str, Sequence[str]]

_LEVEL_COLUMNS = frozenset({"altitude_cm", "heading_cdeg", "speed_cm_s"})
"""Way and speed, or a height, draw on a map what the grid leaves out."""


class Precision(NamedTuple):
    """As `waykeep.vault.coarse` applies it."""

    level: int
    step_ms: int
    areas: tuple[Area, ...]


class ReadPlan(msgspec.Struct, frozen=True):
    """What may be read. Only this module builds one.

    Attributes:
        inputs: Per stream its columns.
        from_ms, to_ms: The half-open window of observation times.
        level, step_ms, areas: As `waykeep.vault.coarse` applies them.
        withheld: By its entry's number what the owner takes out.
    """

    inputs: dict[str, Columns]
    from_ms: int
    to_ms: int
    level: int = 0
    step_ms: int = 1
    areas: tuple[Area, ...] = ()
    withheld: dict[int, Withheld] = {}


def own_reading(stream: str, from_ms: int, to_ms: int) -> ReadPlan:
    """The owner's own reading of one stream, all columns of it: their device asked, so nothing has to be approved."""
    return ReadPlan({stream: ()}, from_ms, to_ms)


def plan(
    log: OwnerState, scope: Scope, ask: Ask, inputs: Inputs, parameters: Mapping[str, Value], now_ms: int
) -> ReadPlan:
    """The plan of one run or read.

    Args:
        scope: What is allowed. ask: Which part of it.
        inputs: Per stream the columns that are wanted.
        now_ms: By which a moving window ends.

    Raises:
        AuthorityError: Named by the rules of this module (403).
    """
    check_parameters(scope, parameters)
    given = precision(scope, ask, inputs)
    span = _window(scope, ask, now_ms)
    if any(line.area is None and _within(line, *span) for line in log.withheld.values()):
        raise _refused("data-withheld", "found a window that the owner takes out of every grant")
    return _plan(log, inputs, span, given)


def again(log: OwnerState, scope: Scope, ask: Ask, inputs: Inputs, span: tuple[int, int]) -> ReadPlan:
    """The plan of a window that was judged before, once more. Raises: AuthorityError: Named by rules 2 to 5 (403)."""
    return _plan(log, inputs, span, precision(scope, ask, inputs))


def _plan(log: OwnerState, inputs: Inputs, span: tuple[int, int], given: Precision) -> ReadPlan:
    from_ms, to_ms = span
    return ReadPlan({s: tuple(c) for s, c in inputs.items()}, from_ms, to_ms, *given, dict(log.withheld))


def precision(scope: Scope, ask: Ask, inputs: Inputs) -> Precision:
    """What is read, and how precisely. Raises: AuthorityError: Named by rules 2 to 5 (403)."""
    _check_columns(scope.streams or {}, inputs)
    level = scope.level if ask.level is None else ask.level
    step_ms = scope.step_ms if ask.step_ms is None else ask.step_ms
    if level < scope.level or step_ms < scope.step_ms or step_ms not in grid.STEPS_MS:
        raise _refused("precision-not-allowed", "found a request for a finer precision than is allowed")
    areas = tuple(dict.fromkeys((*scope.areas, *ask.areas)))
    for stream, columns in inputs.items():
        check_coarse(stream, columns, level=level, step_ms=step_ms, areas=bool(areas))
    if ask.areas and scope.areas:
        # Not above: a device, which checks no areas, would wait for libraries of geometry. A user cloud has them.
        from waykeep.authority.geometry import covered

        if not covered(ask.areas, scope.areas):
            raise _refused("area-not-allowed", "found an area that does not lie within the one that is allowed")
    return Precision(level, step_ms, areas)


def check_parameters(scope: Scope, parameters: Mapping[str, Value]) -> None:
    """Raises: AuthorityError: ``parameter-not-allowed`` (403)."""
    allowed = scope.parameters or {}
    for name, value in parameters.items():
        # type() as well: True == 1, and a set of integers must not admit a boolean.
        if not any(type(v) is type(value) and v == value for v in allowed.get(name, ())):
            raise _refused("parameter-not-allowed", f"found a value of parameter {name} that is not allowed")


def _check_columns(allowed: Inputs, inputs: Inputs) -> None:
    for stream, columns in inputs.items():
        if stream not in allowed:
            raise _refused("stream-not-allowed", f"found a request for stream {stream}, which is not allowed")
        # To a read no columns are all columns.
        if not columns or not set(columns) <= set(allowed[stream]):
            raise _refused("column-not-allowed", f"found a request for columns of {stream} that are not allowed")


def check_coarse(stream: str, columns: Sequence[str], *, level: int, step_ms: int, areas: bool) -> None:
    """Whether columns of a stream have a form at this precision, and within areas.

    Raises: AuthorityError: ``precision-undefined`` (403).
    """
    coarse = bool(level) or areas
    if not coarse and step_ms == 1:
        return
    if stream.startswith("json/") or (areas and not streams.has_places(stream)):
        raise _undefined(f"stream {stream}")
    for column in columns:
        if streams.is_derived(stream):
            known = column.endswith(("_ms", "lat_e7", "lon_e7"))
        else:
            known = not (coarse and column in _LEVEL_COLUMNS)
        if not known:
            raise _undefined(f"column {column} of {stream}")


def _window(scope: Scope, ask: Ask, now_ms: int) -> tuple[int, int]:
    first, end = window(scope, now_ms)
    asked = (first if ask.from_ms is None else ask.from_ms, end if ask.to_ms is None else ask.to_ms)
    if not first <= asked[0] < asked[1] <= end:
        raise _refused("time-not-allowed", "found a window of data that is not allowed, or that is empty")
    return asked


def _within(line: Withheld, first: int, end: int) -> bool:
    begins, ends = line.span
    return begins <= first and end <= ends


def _undefined(what: str) -> AuthorityError:
    return AuthorityError(
        "precision-undefined",
        f"found a request for {what}, which tells more than the precision or area that is allowed",
        hint="a narrower grant gives places and times alone; ask for fewer columns",
        status=403,
    )


def _refused(rule: str, found: str) -> AuthorityError:
    return AuthorityError(rule, found, hint="ask whoever granted it what it allows", status=403)
