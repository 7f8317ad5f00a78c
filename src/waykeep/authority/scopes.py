"""Scopes: what a grant or a link of its chain allows, and the *meet*, by which a chain allows what all of it allow.

A scope is a product of lattices, field by field, and the meet is the meet of each. So it is commutative, associative
and idempotent, and never wider than either:

1. ``streams``: per stream its columns; common streams, common columns. One without a column is not there.
2. ``parameters``: per parameter its allowed values; common values, of the same type. One without a value takes none.
3. ``from_ms``, ``to_ms``: observation times, half open; the later beginning and the earlier end.
4. ``last_ms``: a moving window, which ends on the last whole `HOUR_MS` of the witness's time; the shorter one.
5. ``areas``: a place must lie in each; all of both.
6. ``level``, ``step_ms``: precision on the grid of `waykeep.formats.grid`; the coarser one.
7. ``stores``: whether results may be kept in the vault; only where both say so.
8. ``not_before_ms``, ``until_ms``: the witness's time; the later beginning and the earlier end.
9. ``vetted``: of each of these sets of keys one must have reviewed the algorithm; all of both.

What a field leaves out it does not narrow. Runs and bits of output are no part of a scope: they are counted.
"""

from __future__ import annotations

from typing import Annotated, TypeVar

import msgspec

from waykeep.authority.areas import Area, well_formed
from waykeep.errors import AuthorityError
from waykeep.formats import grid, streams
from waykeep.formats.ids import PublicKey
from waykeep.formats.messages import Millis, Value

HOUR_MS = 3_600_000
MAX_AREAS = 32

Columns = Annotated[tuple[str, ...], msgspec.Meta(max_length=64)]
Values = Annotated[tuple[Value, ...], msgspec.Meta(max_length=256)]
Runs = Annotated[int, msgspec.Meta(ge=1, le=100_000)]
Bits = Annotated[int, msgspec.Meta(ge=1, le=10**12)]
V = TypeVar("V", str, Value)
Sets = dict[str, tuple[V, ...]]


class Scope(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """See the module. In the form that `canonical` gives, equal scopes are equal structs."""

    streams: Annotated[dict[str, Columns], msgspec.Meta(max_length=32)] | None = None
    parameters: Annotated[dict[str, Values], msgspec.Meta(max_length=64)] | None = None
    from_ms: Millis | None = None
    to_ms: Millis | None = None
    last_ms: Millis | None = None
    areas: Annotated[tuple[Area, ...], msgspec.Meta(max_length=MAX_AREAS)] = ()
    level: Annotated[int, msgspec.Meta(ge=0, le=grid.MAX_LEVEL)] = 0
    step_ms: Millis = 1
    stores: bool = True
    not_before_ms: Millis | None = None
    until_ms: Millis | None = None
    vetted: Annotated[
        tuple[Annotated[tuple[PublicKey, ...], msgspec.Meta(max_length=16)], ...], msgspec.Meta(max_length=16)
    ] = ()


def canonical(scope: Scope) -> Scope:
    """The same scope in its one form: sets in ascending order, each member once, and nothing that is empty.

    Raises:
        AuthorityError: ``scope-malformed`` for what is no scope.
    """
    if scope.step_ms not in grid.STEPS_MS:
        raise _malformed("a step of time that is none of the ladder")
    for area in scope.areas:
        if not well_formed(area):
            raise _malformed("an area that is not one polygon, or one set of cells")
    if not all(scope.vetted):
        raise _malformed("a review by nobody")
    return msgspec.structs.replace(
        scope,
        streams=None if scope.streams is None else _ordered(scope.streams),
        parameters=None if scope.parameters is None else _ordered(scope.parameters),
        areas=tuple(sorted({Area(area.polygon, tuple(sorted(set(area.cells)))) for area in scope.areas})),
        vetted=tuple(sorted({tuple(sorted(set(one_of))) for one_of in scope.vetted})),
    )


def meet(one: Scope, other: Scope) -> Scope:
    """What both allow, in canonical form; both are in it."""
    return canonical(
        Scope(
            streams=_common(one.streams, other.streams),
            parameters=_common(one.parameters, other.parameters),
            from_ms=_largest(one.from_ms, other.from_ms),
            to_ms=_smallest(one.to_ms, other.to_ms),
            last_ms=_smallest(one.last_ms, other.last_ms),
            areas=(*one.areas, *other.areas),
            level=max(one.level, other.level),
            step_ms=max(one.step_ms, other.step_ms),
            stores=one.stores and other.stores,
            not_before_ms=_largest(one.not_before_ms, other.not_before_ms),
            until_ms=_smallest(one.until_ms, other.until_ms),
            vetted=(*one.vetted, *other.vetted),
        )
    )


def bounds(first: int | None, end: int | None, beginning: int = 0) -> tuple[int, int]:
    """Half-open bounds of a time, in ms, where None sets no bound: then it is from the beginning, or for ever."""
    return beginning if first is None else first, streams.MAX_TS_MS if end is None else end


def observed(scope: Scope) -> tuple[int, int]:
    """The observation times that a scope allows without its moving window, half open."""
    return bounds(scope.from_ms, scope.to_ms)


def lifetime(scope: Scope) -> tuple[int, int]:
    """From when until when a scope allows anything, half open, by the witness's time."""
    return bounds(scope.not_before_ms, scope.until_ms)


def window(scope: Scope, now_ms: int) -> tuple[int, int]:
    """The half-open window of observation times that may be read at the witness's time ``now_ms``; it may be empty."""
    first, end = bounds(scope.from_ms, scope.to_ms, streams.MIN_TS_MS)
    if scope.last_ms is not None:
        now_ms -= now_ms % HOUR_MS
        first, end = max(first, now_ms - scope.last_ms), min(end, now_ms)
    return first, end


def _common(one: Sets[V] | None, other: Sets[V] | None) -> Sets[V] | None:
    if one is None or other is None:
        return other if one is None else one
    found = {}
    for name, members in one.items():
        allowed = {_typed(member) for member in other.get(name, ())}
        found[name] = tuple(member for member in members if _typed(member) in allowed)
    return found


def _ordered(sets: Sets[V]) -> Sets[V]:
    found = {name: {_typed(value): value for value in members} for name, members in sorted(sets.items())}
    return {name: tuple(members[key] for key in sorted(members)) for name, members in found.items() if members}


def _typed(value: Value) -> tuple[str, Value]:
    """What tells True from 1."""
    return type(value).__name__, value


def _largest(one: int | None, other: int | None) -> int | None:
    return max((v for v in (one, other) if v is not None), default=None)


def _smallest(one: int | None, other: int | None) -> int | None:
    return min((v for v in (one, other) if v is not None), default=None)


def _malformed(found: str) -> AuthorityError:
    return AuthorityError("scope-malformed", f"found {found}", status=400)
