"""From what a person types to a scope: nothing that is mistyped passes for something else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.people import refused
from waykeep.authority.areas import Area
from waykeep.authority.scopes import Scope
from waykeep.device import scoping
from waykeep.device.scoping import Terms, scope_of
from waykeep.errors import WaykeepError
from waykeep.formats import grid
from waykeep.formats.ids import PublicKey

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
SQUARE = [[13.0, 52.0], [13.0, 53.0], [14.0, 53.0], [13.0, 52.0]]
POLYGON = {"type": "Polygon", "coordinates": [SQUARE]}
CELLS = "881f1d4887fffff, 881f1d4881fffff"


def test_what_is_not_said_is_not_narrowed() -> None:
    assert scope_of(Terms(), None, None) == Scope()
    assert scope_of(Terms(), {}, {}) == Scope(streams={}, parameters={})


def test_everything_that_can_be_said() -> None:
    terms = Terms(
        first="2016-06-20",
        after="2016-06-21",
        last="7d",
        begins="2026-01-01",
        until="2026-02-01",
        areas=(CELLS,),
        precision="500",
        times="10m",
        vetted=(PublicKey("k" * 43),),
    )
    assert scope_of(terms, {"location": ("ts_ms", "lat_e7", "lon_e7")}, {"radius": (2, 1)}) == Scope(
        streams={"location": ("lat_e7", "lon_e7", "ts_ms")},
        parameters={"radius": (1, 2)},
        from_ms=1_466_380_800_000,
        to_ms=1_466_380_800_000 + DAY_MS,
        last_ms=7 * DAY_MS,
        areas=(Area(cells=("881f1d4881fffff", "881f1d4887fffff")),),
        level=grid.level_of(500),
        step_ms=900_000,
        not_before_ms=1_767_225_600_000,
        until_ms=1_769_904_000_000,
        vetted=((PublicKey("k" * 43),),),
    )


def test_a_column_without_a_coarse_form_is_refused_before_anything_is_signed() -> None:
    with refused("precision-undefined", "authority"):
        scope_of(Terms(precision="500"), {"location": ("ts_ms", "speed_cm_s")}, None)


@pytest.mark.parametrize(
    ("text", "ms"),
    [("24h", DAY_MS), ("7d", 7 * DAY_MS), ("15m", 900_000), ("15min", 900_000), ("30s", 30_000), ("5ms", 5)],
)
def test_a_duration(text: str, ms: int) -> None:
    assert scoping.duration_ms(text) == ms


@pytest.mark.parametrize("text", ["", "7", "d", "-1d", "1.5h", "1w", "7d ", "1234567d", "\N{ARABIC-INDIC DIGIT FIVE}d"])
def test_duration_malformed(text: str) -> None:
    with refused("duration-malformed", "device"):
        scoping.duration_ms(text)


@pytest.mark.parametrize("text", ["90m", "0h", "0d", "1ms"])
def test_duration_malformed_for_a_window_that_would_move_by_parts_of_an_hour(text: str) -> None:
    with refused("duration-malformed", "device"):
        scope_of(Terms(last=text), None, None)


@pytest.mark.parametrize(
    ("text", "ms"), [("2016-06-20", 0), ("2016-06-20T00:00", 0), ("2016-06-20T18:10", 65_400_000)], ids=str
)
def test_a_minute(text: str, ms: int) -> None:
    assert scoping.minute_ms(text) == 1_466_380_800_000 + ms


@pytest.mark.parametrize(
    "text",
    ["", "2016-06", "2016-06-31", "2016-06-20T25:00", "2016-06-20T1:00", "2016-06-20 18:10", "2016-06-20T18:10Z"],
)
def test_date_malformed_for_a_minute(text: str) -> None:
    with refused("date-malformed", "device"):
        scoping.minute_ms(text)


def test_a_length() -> None:
    assert [scoping.length_m(text) for text in ("500", "500m", "2km", "0.5km", "0")] == [500, 500, 2000, 500, 0]


@pytest.mark.parametrize("text", ["", "-5", "5 m", "1e3", "5miles", "1.", "12345678", "nan"])
def test_length_malformed(text: str) -> None:
    with refused("length-malformed", "device"):
        scoping.length_m(text)


def test_precision_unknown() -> None:
    for terms in (Terms(precision="500km"), Terms(times="2d")):
        with refused("precision-unknown", "format"):
            scope_of(terms, None, None)


def test_an_area_from_geojson() -> None:
    corners = ((520_000_000, 130_000_000), (530_000_000, 130_000_000), (530_000_000, 140_000_000))
    for found in (POLYGON, {"type": "Feature", "geometry": POLYGON, "properties": {}}):
        assert scoping.area_of(json.dumps(found)) == Area(polygon=corners)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Berlin",
        "881f1d4887fffff,Berlin",
        "{}",
        "[]",
        "null",
        json.dumps({"type": "Point", "coordinates": [13, 52]}),
        json.dumps({"type": "MultiPolygon", "coordinates": [[SQUARE]]}),
        json.dumps({"type": "Polygon", "coordinates": [SQUARE, SQUARE]}),
        json.dumps({"type": "Polygon", "coordinates": [SQUARE[:2]]}),
        json.dumps({"type": "Polygon", "coordinates": [[[13, 91], [13, 92], [14, 92]]]}),
        json.dumps({"type": "Polygon", "coordinates": [[["13", 52], [13, 53], [14, 52]]]}),
        json.dumps({"type": "Polygon", "coordinates": [[[1e400, 52], [13, 53], [14, 52]]]}),
        json.dumps({"type": "Polygon", "coordinates": [[[13 + n / 1e6, 52] for n in range(300)]]}),
        json.dumps(POLYGON) + " " * scoping.MAX_GEOJSON,
    ],
    ids=range(15),
)
def test_area_malformed(text: str) -> None:
    with refused("area-malformed", "device"):
        scoping.area_of(text)


@given(st.text(max_size=40), st.sampled_from(["last", "precision", "times", "first", "until"]))
def test_any_text_is_taken_or_refused_by_type(text: str, field: str) -> None:
    try:
        scope_of(Terms(**{field: text}), None, None)
    except WaykeepError:
        return


@given(st.text(max_size=60))
def test_any_area_is_taken_or_refused_by_type(text: str) -> None:
    try:
        scoping.area_of(text)
    except WaykeepError:
        return
