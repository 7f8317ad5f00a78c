"""What leaves the vault under a scope: whole cells and whole steps, and never a row more for somebody who may less."""

from __future__ import annotations

import itertools

import h3
import numpy as np
import pyarrow as pa
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.builders import refused
from waykeep.authority.areas import Area
from waykeep.authority.permissions import Withheld
from waykeep.authority.plans import ReadPlan
from waykeep.errors import VaultError
from waykeep.formats import grid
from waykeep.vault import coarse as coarsening

T0 = 1_466_380_800_000
HOME = (525_200_066, 134_049_540)
EVER = (0, 4_102_444_800_000)
Rows = list[tuple[int, int, int]]
"""Time, latitude and longitude."""


def coarse(
    rows: pa.Table,
    window: tuple[int, int],
    *,
    level: int = 0,
    step_ms: int = 1,
    areas: tuple[Area, ...] = (),
    withheld: tuple[Withheld, ...] = (),
    stream: str = "location",
) -> pa.Table:
    """As a plan of this precision gives them, sorted."""
    plan = ReadPlan({}, *window, level, step_ms, areas, dict(enumerate(withheld)))
    return coarsening.coarse(rows, stream, (), plan)


def table(rows: Rows) -> pa.Table:
    return pa.table(
        {
            "ts_ms": pa.array([ts for ts, _, _ in rows], pa.int64()),
            "lat_e7": pa.array([lat for _, lat, _ in rows], pa.int32()),
            "lon_e7": pa.array([lon for _, _, lon in rows], pa.int32()),
            "speed_cm_s": pa.array(range(len(rows)), pa.int32()),
        }
    )


def square(south: int, west: int, size: int) -> Area:
    return Area(((south, west), (south, west + size), (south + size, west + size), (south + size, west)))


ROWS = st.lists(
    st.tuples(
        st.integers(T0, T0 + 7_200_000),
        st.integers(HOME[0] - 400_000, HOME[0] + 400_000),
        st.integers(HOME[1] - 400_000, HOME[1] + 400_000),
    ),
    min_size=1,
    max_size=20,
)
SQUARES = st.builds(
    square,
    st.integers(HOME[0] - 400_000, HOME[0]),
    st.integers(HOME[1] - 400_000, HOME[1]),
    st.integers(1, 500_000),
)
AREAS = st.lists(SQUARES, max_size=2).map(tuple)
LEVELS, STEPS = st.integers(0, 20), st.sampled_from(grid.STEPS_MS)


def whole(row: tuple[int, int, int], area: Area, level: int) -> bool:
    """Whether a row's cell lies in a square: by hand."""
    size = 1 << level
    south, west = row[1] // size * size, row[2] // (size * 2) * (size * 2)  # at this latitude one doubling
    (bottom, left), (top, right) = area.polygon[0], area.polygon[2]
    return bottom <= south and left <= west and south + size <= top and west + 2 * size <= right


@given(ROWS, AREAS, LEVELS, STEPS, st.integers(T0, T0 + 3_600_000), st.integers(T0, T0 + 7_200_000))
@settings(max_examples=300)
def test_rows_are_those_whose_whole_step_and_cell_are_inside(
    rows: Rows, areas: tuple[Area, ...], level: int, step: int, first: int, end: int
) -> None:
    found = coarse(table(rows), (first, end), level=level, step_ms=step, areas=areas)
    expected = []
    for number, row in enumerate(rows):
        begins = row[0] // step * step
        if first <= begins and begins + step <= end and all(whole(row, area, level) for area in areas):
            size = 1 << level
            lat = row[1] if level == 0 else row[1] // size * size + size // 2
            lon = row[2] if level == 0 else row[2] // (2 * size) * (2 * size) + size
            expected.append((begins, lat, lon, number))
    assert sorted(zip(*(column.to_pylist() for column in found.columns), strict=True)) == sorted(expected)
    assert found.schema == table(rows).schema


@given(ROWS, AREAS, AREAS, LEVELS, LEVELS, STEPS, STEPS)
@settings(max_examples=300)
def test_who_may_less_gets_no_row_more(
    rows: Rows, one: tuple[Area, ...], other: tuple[Area, ...], level: int, coarser: int, step: int, longer: int
) -> None:
    level, coarser = sorted((level, coarser))
    step, longer = sorted((step, longer))
    window = (T0 + 60_000, T0 + 7_000_000)
    wide = coarse(table(rows), window, level=level, step_ms=step, areas=one)
    narrow = coarse(table(rows), window, level=coarser, step_ms=longer, areas=(*one, *other))
    assert set(narrow.column("speed_cm_s").to_pylist()) <= set(wide.column("speed_cm_s").to_pylist())
    again = coarse(wide, EVER, level=coarser, step_ms=longer)
    told = {row["speed_cm_s"]: row for row in again.to_pylist()}
    assert all(told[row["speed_cm_s"]] == row for row in narrow.to_pylist())


NAMES = ("ts_ms", "lat_e7", "lon_e7", "speed_cm_s")


@pytest.mark.parametrize("columns", [c for length in range(1, 5) for c in itertools.permutations(NAMES, length)])
@pytest.mark.parametrize("step", [1, 1000])
def test_columns_are_told_as_they_are_among_all(columns: tuple[str, ...], step: int) -> None:
    """Rows are sorted by the columns given, packed into one number: of places all over the earth it is a long one."""
    draw = np.random.default_rng(1)
    low, high = (T0, -850_000_000, -1_790_000_000), (T0 + 10**8, 850_000_000, 1_790_000_000)
    rows = table([tuple(map(int, row)) for row in draw.integers(low, high, (30, 3))])
    for level in range(grid.MAX_LEVEL + 1):
        found = coarsening.coarse(rows, "location", columns, ReadPlan({}, *EVER, level, step))
        among_all = coarse(rows, EVER, level=level, step_ms=step).select(columns)
        assert found.sort_by([(name, "ascending") for name in columns]) == among_all.sort_by(
            [(name, "ascending") for name in columns]
        )
        assert found.schema == among_all.schema


def test_the_order_of_rows_tells_nothing_that_was_rounded_away() -> None:
    rows = [(T0 + 50, *HOME), (T0 + 10, HOME[0] + 1, HOME[1])]
    found = coarse(table(rows), EVER, level=10, step_ms=1000)
    assert found.equals(coarse(table(rows).take(pa.array([1, 0])), EVER, level=10, step_ms=1000))


def test_all_pairs_of_coordinates_and_all_times_are_rounded() -> None:
    rows = table([(T0 + 1234, *HOME)])
    rows = rows.append_column("start_lat_e7", rows["lat_e7"]).append_column("start_lon_e7", rows["lon_e7"])
    (found,) = coarse(rows.append_column("end_ms", rows["ts_ms"]), EVER, level=16, step_ms=1000).to_pylist()
    assert (found["start_lat_e7"], found["start_lon_e7"]) == (found["lat_e7"], found["lon_e7"])
    assert found["lat_e7"] not in (HOME[0], 0) and found["ts_ms"] == found["end_ms"] == T0 + 1000


def test_cells_of_h3_are_an_area_by_their_union() -> None:
    around = h3.grid_disk(h3.latlng_to_cell(HOME[0] / 1e7, HOME[1] / 1e7, 9), 2)
    rows = table([(T0, *HOME), (T0, HOME[0] + 300_000, HOME[1])])
    area = Area(cells=tuple(sorted(around)))
    assert coarse(rows, EVER, level=10, areas=(area,)).num_rows == 1
    # A cell of the grid that only touches them does not count.
    assert coarse(rows, EVER, level=17, areas=(area,)).num_rows == 0


@pytest.mark.parametrize(
    "area",
    [
        Area(cells=("8a1fb46622dffff0",)),
        Area(cells=("no cell",)),
        Area(cells=(h3.latlng_to_cell(0.0, 180.0, 2),)),
        Area(((0, 0), (900_000_000, 900_000_000), (0, 900_000_000), (900_000_000, 0))),
    ],
    ids=["too long", "no cell", "over the antimeridian", "crosses itself"],
)
def test_an_area_without_an_inside_lets_nothing_through(area: Area) -> None:
    assert coarse(table([(T0, *HOME), (T0, 0, -900_000_000)]), EVER, areas=(area,)).num_rows == 0


def test_nothing_is_nothing() -> None:
    empty = table([(T0, *HOME)]).slice(0, 0)
    assert coarse(empty, EVER, level=3, step_ms=1000, areas=(square(0, 0, 5),)).equals(empty)


def test_places_all_over_the_earth_find_their_own_cell() -> None:
    """Latitude and longitude share a number on the way: none of them spills into the other."""
    random = np.random.default_rng(7)
    lat, lon = random.integers(-900_000_000, 900_000_001, 500), random.integers(-1_800_000_000, 1_800_000_001, 500)
    rows = table([(T0, int(a), int(b)) for a, b in zip(lat, lon, strict=True)])
    for west in (-1_800_000_000, 0):
        area = Area(
            (
                (-900_000_000, west),
                (-900_000_000, west + 1_800_000_000),
                (900_000_000, west + 1_800_000_000),
                (900_000_000, west),
            )
        )
        found = coarse(rows, EVER, level=8, areas=(area,))
        south, left, north, right = grid.corners(lat, lon, 8)
        inside = shapely.covers(
            shapely.Polygon([(x, y) for y, x in area.polygon]), shapely.box(left, south, right, north)
        )
        assert found.num_rows == int(inside.sum()) > 200


# -- what the owner withholds ------------------------------------------------------------------------------------------


def test_a_time_is_withheld_with_every_step_that_touches_it() -> None:
    rows = [(T0 + minute * 60_000, *HOME) for minute in range(10)]
    line = Withheld(T0 + 130_000, T0 + 240_000, None, "")
    exact = coarse(table(rows), EVER, withheld=(line,))
    assert exact.column("speed_cm_s").to_pylist() == [0, 1, 2, 4, 5, 6, 7, 8, 9]
    by_minutes = coarse(table(rows), EVER, withheld=(line,), step_ms=60_000)
    assert by_minutes.column("speed_cm_s").to_pylist() == [0, 1, 4, 5, 6, 7, 8, 9]
    by_five = coarse(table(rows), EVER, withheld=(line,), step_ms=300_000)
    assert by_five.column("speed_cm_s").to_pylist() == [5, 6, 7, 8, 9]


def test_an_area_is_withheld_with_every_cell_that_touches_it() -> None:
    rows = table([(T0, *HOME), (T0, HOME[0] + 3000, HOME[1]), (T0, HOME[0] + 300_000, HOME[1])])
    line = Withheld(None, None, square(HOME[0] - 10, HOME[1] - 10, 100), "")
    assert coarse(rows, EVER, withheld=(line,)).column("speed_cm_s").to_pylist() == [1, 2]
    assert coarse(rows, EVER, withheld=(line,), level=14).column("speed_cm_s").to_pylist() == [2]
    assert coarse(rows, EVER, withheld=(line,), level=22).num_rows == 0


def test_an_area_at_a_time() -> None:
    rows = table([(T0, *HOME), (T0 + 10, *HOME), (T0, HOME[0] + 300_000, HOME[1])])
    line = Withheld(T0, T0 + 5, square(HOME[0] - 10, HOME[1] - 10, 100), "")
    assert sorted(coarse(rows, EVER, withheld=(line,)).column("speed_cm_s").to_pylist()) == [1, 2]


def test_an_area_that_cannot_be_drawn_withholds_everything() -> None:
    line = Withheld(None, None, Area(cells=("no cell",)), "")
    assert coarse(table([(T0, *HOME)]), EVER, withheld=(line,)).num_rows == 0


@pytest.mark.parametrize(
    ("stream", "from_ms", "left"),
    [("battery", None, 2), ("battery", T0, 0), ("json/stats", None, 0), ("json/stats", T0 + 1, 1)],
)
def test_an_area_and_rows_without_places(stream: str, from_ms: int | None, left: int) -> None:
    """Entries kept as JSON may hold a place; a battery's level does not."""
    rows = table([(T0, *HOME), (T0 + 2, *HOME)]).select(["ts_ms"])
    line = Withheld(from_ms, None, square(0, 0, 5), "")
    assert coarse(rows, EVER, withheld=(line,), stream=stream).num_rows == left


@given(ROWS, SQUARES, LEVELS, LEVELS, STEPS, STEPS, st.integers(T0, T0 + 3_600_000), st.integers(1, 3_600_000))
@settings(max_examples=200)
def test_who_may_less_gets_no_row_more_of_what_is_withheld(
    rows: Rows, area: Area, level: int, coarser: int, step: int, longer: int, first: int, length: int
) -> None:
    level, coarser = sorted((level, coarser))
    step, longer = sorted((step, longer))
    lines = (Withheld(first, first + length, None, ""), Withheld(None, None, area, ""))
    wide = coarse(table(rows), EVER, level=level, step_ms=step, withheld=lines)
    narrow = coarse(table(rows), EVER, level=coarser, step_ms=longer, withheld=lines)
    kept = set(narrow.column("speed_cm_s").to_pylist())
    assert kept <= set(wide.column("speed_cm_s").to_pylist())
    for ts, lat, lon in (rows[number] for number in wide.column("speed_cm_s").to_pylist()):
        (south, west), (north, east) = area.polygon[0], area.polygon[2]
        assert not (south <= lat <= north and west <= lon <= east) and not first <= ts < first + length


def test_half_a_place_is_refused() -> None:
    rows = table([(T0, *HOME)]).drop_columns(["lon_e7"])
    with refused("column-unknown", VaultError):
        coarsening.coarse(rows, "derived/x", (), ReadPlan({}, *EVER, 3))
