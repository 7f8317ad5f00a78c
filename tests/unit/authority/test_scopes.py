"""The meet of scopes: a meet it is, and it never allows what one of them does not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.builders import key, refused
from waykeep.authority.areas import Area
from waykeep.authority.scopes import HOUR_MS, Scope, canonical, meet, window
from waykeep.errors import AuthorityError, FormatError
from waykeep.formats import grid, streams
from waykeep.formats.wire import decode_json, encode_json

T0 = 1_466_380_800_000
KEYS = [key(name).public for name in ("ann", "bob", "cy")]
NAMES, COLUMNS = ("location", "battery", "motion-activity"), ("ts_ms", "lat_e7", "lon_e7", "level_pct")
AREAS = [
    Area(polygon=((0, 0), (0, 10), (10, 10))),
    Area(polygon=((0, 0), (0, 20), (20, 20))),
    Area(cells=("8a1fb46622dffff", "8a1fb466220ffff")),
]
VALUES: list[int | str | bool] = [0, 1, True, False, "0", "walk", -5]


def some(members: list[object] | tuple[object, ...], least: int = 0) -> st.SearchStrategy[tuple[object, ...]]:
    return st.lists(st.sampled_from(members), min_size=least, max_size=4).map(tuple)


def maybe(found: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.none() | found


SCOPES = st.builds(
    Scope,
    streams=maybe(st.dictionaries(st.sampled_from(NAMES), some(COLUMNS))),
    parameters=maybe(st.dictionaries(st.sampled_from(("size", "mode")), some(VALUES))),
    from_ms=maybe(st.integers(T0, T0 + 50)),
    to_ms=maybe(st.integers(T0, T0 + 50)),
    last_ms=maybe(st.sampled_from((HOUR_MS, 24 * HOUR_MS, 90))),
    areas=some(AREAS),
    level=st.integers(0, grid.MAX_LEVEL),
    step_ms=st.sampled_from(grid.STEPS_MS),
    stores=st.booleans(),
    not_before_ms=maybe(st.integers(0, 9)),
    until_ms=maybe(st.integers(0, 9)),
    vetted=st.lists(st.lists(st.sampled_from(KEYS), min_size=1, max_size=2).map(tuple), max_size=2).map(tuple),
)


@given(SCOPES, SCOPES, SCOPES)
@settings(max_examples=400)
def test_a_meet_it_is(a: Scope, b: Scope, c: Scope) -> None:
    assert meet(a, b) == meet(b, a)
    assert meet(a, meet(b, c)) == meet(meet(a, b), c) == meet(meet(c, a), b)
    assert meet(a, a) == canonical(a) == meet(a, Scope()) == meet(Scope(), a)


@given(SCOPES, SCOPES)
@settings(max_examples=400)
def test_never_wider_than_either(a: Scope, b: Scope) -> None:
    both = meet(a, b)
    assert meet(both, a) == meet(both, b) == both


@given(SCOPES, SCOPES, st.sampled_from(NAMES), st.sampled_from(COLUMNS), st.sampled_from(VALUES), st.integers(0, 60))
@settings(max_examples=400)
def test_what_both_allow_and_nothing_else(
    a: Scope, b: Scope, stream: str, column: str, value: int | str | bool, ms: int
) -> None:
    """Field by field, as somebody would say it who never heard of a lattice."""

    def allows(scope: Scope) -> tuple[bool, ...]:
        first, end = window(scope, T0 + 30)
        values = () if scope.parameters is None else scope.parameters.get("size", ())
        return (
            scope.streams is None or column in scope.streams.get(stream, ()),
            scope.parameters is None or any(v is value or (v == value and type(v) is type(value)) for v in values),
            first <= T0 + ms < end,
            scope.stores,
            (scope.not_before_ms or 0) <= ms < (99 if scope.until_ms is None else scope.until_ms),
        )

    both = meet(a, b)
    assert allows(both) == tuple(one and other for one, other in zip(allows(a), allows(b), strict=True))
    assert both.level == max(a.level, b.level) and both.step_ms == max(a.step_ms, b.step_ms)
    assert set(both.areas) == set(canonical(a).areas) | set(canonical(b).areas)
    assert set(both.vetted) == set(canonical(a).vetted) | set(canonical(b).vetted)


@given(SCOPES)
def test_the_one_form_survives_json(scope: Scope) -> None:
    found = canonical(scope)
    assert decode_json(encode_json(found), Scope, what="a scope") == found == canonical(found)


def test_a_moving_window_ends_on_a_whole_hour() -> None:
    now = T0 + 5 * HOUR_MS + 1234
    assert window(Scope(last_ms=2 * HOUR_MS), now) == (T0 + 3 * HOUR_MS, T0 + 5 * HOUR_MS)
    assert window(Scope(last_ms=9 * HOUR_MS, from_ms=T0, to_ms=T0 + 4), now) == (T0, T0 + 4)
    assert window(Scope(), now) == (streams.MIN_TS_MS, streams.MAX_TS_MS)


def test_true_is_not_one() -> None:
    one, true = Scope(parameters={"size": (1, "1")}), Scope(parameters={"size": (True, "1")})
    assert meet(one, true).parameters == {"size": ("1",)}


@pytest.mark.parametrize(
    "changes",
    [
        {"step_ms": 1001},
        {"areas": (Area(),)},
        {"areas": (Area(polygon=((0, 0), (1, 1))),)},
        {"areas": (Area(((0, 0), (1, 1), (0, 1)), ("8a1fb46622dffff",)),)},
        {"vetted": ((),)},
    ],
    ids=["no step", "no area", "a line", "both", "nobody"],
)
def test_scope_malformed(changes: dict[str, object]) -> None:
    for tried in (canonical, lambda scope: meet(Scope(), scope)):
        with refused("scope-malformed", AuthorityError):
            tried(Scope(**changes))


@pytest.mark.parametrize(
    "text",
    [
        b'{"speed": 3}',
        b'{"level": 25}',
        b'{"level": -1}',
        b'{"areas": [{"polygon": [[900000001, 0], [0, 0], [0, 1]]}]}',
        b'{"areas": [{"circle": 5}]}',
        b'{"from_ms": -1}',
        b'{"stores": 1}',
        b'{"parameters": {"size": [1.5]}}',
    ],
)
def test_what_a_scope_does_not_know_is_refused(text: bytes) -> None:
    """Fail closed: a field that this version does not know may narrow."""
    with refused("malformed", FormatError):
        decode_json(text, Scope, what="a scope")


def test_a_scope_can_be_told_from_another() -> None:
    assert meet(Scope(), Scope(level=1)) == Scope(level=1) != Scope()
