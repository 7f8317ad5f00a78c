"""Read plans: each refusal by its name, and what a plan comes to."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from tests.unit.builders import NOW_MS, an_owner, refused
from waykeep.authority.areas import Area
from waykeep.authority.asking import Ask
from waykeep.authority.permissions import Lifted, Withheld
from waykeep.authority.plans import ReadPlan, check_coarse, plan
from waykeep.authority.scopes import HOUR_MS, Scope
from waykeep.errors import AuthorityError
from waykeep.formats.messages import Value
from waykeep.formats.streams import MAX_TS_MS, MIN_TS_MS

LOG = an_owner().state
SQUARE = Area(polygon=((0, 0), (0, 1000), (1000, 1000), (1000, 0)))
WITHIN = Area(polygon=((100, 100), (100, 200), (200, 200)))
BESIDE = Area(polygon=((900, 900), (900, 1100), (1100, 1100)))
SCOPE = Scope(
    streams={"battery": ("level_pct", "ts_ms"), "location": ("lat_e7", "lon_e7", "speed_cm_s", "ts_ms")},
    parameters={"radius": (1, 2)},
    from_ms=NOW_MS,
    to_ms=NOW_MS + 1000,
)
PLACES = {"location": ("ts_ms", "lat_e7", "lon_e7")}


def decide(
    inputs: dict[str, tuple[str, ...]] | None = None,
    parameters: dict[str, Value] | None = None,
    ask: Ask = Ask(),  # noqa: B008 - it is frozen
    *,
    withheld: dict[int, Withheld] | None = None,
    now_ms: int = NOW_MS,
    **changes: Any,
) -> ReadPlan:
    """A plan under `SCOPE` with some changes."""
    log = msgspec.structs.replace(LOG, withheld=withheld or {})
    scope = msgspec.structs.replace(SCOPE, **changes)
    return plan(log, scope, ask, PLACES if inputs is None else inputs, parameters or {}, now_ms)


def no_plan(rule: str, *asked: Any, **changes: Any) -> None:
    with refused(rule, AuthorityError):
        decide(*asked, **changes)


def test_a_plan_is_what_is_allowed_and_wanted() -> None:
    assert decide() == ReadPlan(PLACES, NOW_MS, NOW_MS + 1000)
    assert decide({}, {"radius": 2}) == ReadPlan({}, NOW_MS, NOW_MS + 1000)
    found = decide(ask=Ask(from_ms=NOW_MS + 5, level=3, areas=(WITHIN,)), level=2, step_ms=1000, areas=(SQUARE,))
    assert found == ReadPlan(PLACES, NOW_MS + 5, NOW_MS + 1000, 3, 1000, (SQUARE, WITHIN))


def test_a_scope_without_bounds_reads_all_times() -> None:
    found = decide(from_ms=None, to_ms=None)
    assert (found.from_ms, found.to_ms) == (MIN_TS_MS, MAX_TS_MS)


@pytest.mark.parametrize("parameters", [{"radius": 3}, {"radius": True}, {"radius": "1"}, {"other": 1}], ids=str)
def test_parameter_not_allowed(parameters: dict[str, Value]) -> None:
    no_plan("parameter-not-allowed", None, parameters)
    with refused("parameter-not-allowed"):
        plan(LOG, msgspec.structs.replace(SCOPE, parameters={"radius": ()}), Ask(), PLACES, {"radius": 1}, NOW_MS)


def test_parameter_not_allowed_where_none_is_named() -> None:
    with refused("parameter-not-allowed"):
        plan(LOG, Scope(streams={}), Ask(), {}, {"radius": 1}, 0)


def test_stream_not_allowed() -> None:
    for stream in ("motion-activity", "filtered-location", "json/stats", "derived/trips"):
        no_plan("stream-not-allowed", {stream: ("ts_ms",)})
    with refused("stream-not-allowed"):
        plan(LOG, Scope(), Ask(), PLACES, {}, 0)


@pytest.mark.parametrize("columns", [("altitude_cm",), ("ts_ms", "write_ms"), ()], ids=str)
def test_column_not_allowed(columns: tuple[str, ...]) -> None:
    """To a read no columns are all columns."""
    no_plan("column-not-allowed", {"location": columns})


@pytest.mark.parametrize("ask", [Ask(level=4), Ask(step_ms=1000), Ask(step_ms=1), Ask(level=0), Ask(step_ms=90_000)])
def test_precision_not_allowed(ask: Ask) -> None:
    no_plan("precision-not-allowed", ask=ask, level=5, step_ms=60_000)


def test_a_coarser_precision_than_allowed_may_be_asked_for() -> None:
    found = decide(ask=Ask(level=9, step_ms=900_000), level=5, step_ms=60_000)
    assert (found.level, found.step_ms) == (9, 900_000)


@pytest.mark.parametrize("column", ["speed_cm_s", "heading_cdeg", "altitude_cm"])
def test_precision_undefined_for_what_draws_a_way(column: str) -> None:
    check_coarse("location", (column,), level=0, step_ms=60_000, areas=False)
    for changes in ({"level": 1, "areas": False}, {"level": 0, "areas": True}):
        with refused("precision-undefined", AuthorityError):
            check_coarse("location", (column,), step_ms=1, **changes)
    no_plan("precision-undefined", {"location": ("ts_ms", "speed_cm_s")}, level=1)
    no_plan("precision-undefined", {"location": ("ts_ms", "speed_cm_s")}, ask=Ask(areas=(WITHIN,)))


@pytest.mark.parametrize(
    ("stream", "columns", "coarse"),
    [
        ("json/stats", ("ts_ms",), {"level": 1}),
        ("json/stats", ("ts_ms",), {"step_ms": 1000}),
        ("battery", ("level_pct",), {"areas": True}),
        ("derived/trips", ("start_ms",), {"areas": True}),
        ("derived/trips", ("distance_m",), {"level": 1}),
        ("derived/trips", ("distance_m",), {"step_ms": 1000}),
    ],
)
def test_precision_undefined_for_what_has_no_coarse_form(
    stream: str, columns: tuple[str, ...], coarse: dict[str, Any]
) -> None:
    with refused("precision-undefined", AuthorityError):
        check_coarse(stream, columns, **{"level": 0, "step_ms": 1, "areas": False} | coarse)


def test_what_has_a_coarse_form() -> None:
    check_coarse("derived/trips", ("start_ms", "start_lat_e7", "start_lon_e7"), level=3, step_ms=1000, areas=False)
    check_coarse("battery", ("level_pct",), level=3, step_ms=1000, areas=False)
    check_coarse("json/stats", ("entry",), level=0, step_ms=1, areas=False)


def test_area_not_allowed() -> None:
    decide(ask=Ask(areas=(WITHIN,)), areas=(SQUARE,))
    decide(ask=Ask(areas=(SQUARE,)), areas=(SQUARE,))
    decide(ask=Ask(areas=(BESIDE,)))
    no_plan("area-not-allowed", ask=Ask(areas=(BESIDE,)), areas=(SQUARE,))
    no_plan("area-not-allowed", ask=Ask(areas=(SQUARE,)), areas=(SQUARE, WITHIN))
    no_plan("area-not-allowed", ask=Ask(areas=(SQUARE,)), areas=(Area(cells=("881f1d4887fffff",)),))


@pytest.mark.parametrize(
    ("from_ms", "to_ms"),
    [
        (NOW_MS - 1, NOW_MS + 1000),
        (NOW_MS, NOW_MS + 1001),
        (NOW_MS + 10, NOW_MS + 10),
        (NOW_MS + 20, NOW_MS + 10),
        (0, None),
        (None, NOW_MS),
        (NOW_MS + 1000, None),
    ],
)
def test_time_not_allowed(from_ms: int | None, to_ms: int | None) -> None:
    no_plan("time-not-allowed", ask=Ask(from_ms=from_ms, to_ms=to_ms))


def test_data_is_judged_before_its_time() -> None:
    outside = Ask(from_ms=NOW_MS - 1)
    no_plan("stream-not-allowed", {"transition": ("ts_ms",)}, ask=outside)
    no_plan("precision-not-allowed", ask=msgspec.structs.replace(outside, level=1), level=2)


def test_time_not_allowed_outside_a_moving_window() -> None:
    """It ends on a whole hour, and moves on with it."""
    moving = {"from_ms": None, "to_ms": None, "last_ms": HOUR_MS}
    found = decide(now_ms=NOW_MS + HOUR_MS - 1, **moving)
    assert (found.from_ms, found.to_ms) == (NOW_MS - HOUR_MS, NOW_MS)
    assert decide(now_ms=NOW_MS + HOUR_MS, **moving).from_ms == NOW_MS
    for ask in (Ask(from_ms=NOW_MS - HOUR_MS - 1), Ask(to_ms=NOW_MS + 1)):
        no_plan("time-not-allowed", ask=ask, **moving)
    no_plan("time-not-allowed", now_ms=NOW_MS + 5 * HOUR_MS, last_ms=HOUR_MS)


def test_data_withheld() -> None:
    all_of_it, some = Withheld(NOW_MS, NOW_MS + 1000, None, ""), Withheld(NOW_MS + 1, None, None, "")
    no_plan("data-withheld", withheld={9: all_of_it})
    no_plan("data-withheld", withheld={9: Withheld(None, None, None, "")})
    assert decide(withheld={9: some}).withheld == {9: some}
    no_plan("data-withheld", ask=Ask(from_ms=NOW_MS + 1), withheld={9: some})
    assert decide(withheld={9: Withheld(None, None, SQUARE, "")}).withheld, "not all lies there"


def test_what_is_lifted_is_withheld_no_longer() -> None:
    owner = an_owner("lifting")
    number = owner.add(Withheld(None, NOW_MS, None, "before")).head.number
    assert set(owner.state.withheld) == {number}
    owner.add(Lifted(number))
    assert not owner.state.withheld
