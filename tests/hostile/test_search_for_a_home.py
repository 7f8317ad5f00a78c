"""A holder narrows the area of a grant run by run, to find where somebody lives.

The holder may ask as often as they like, about any area, and sees only whether rows came. The search halves a square
around the cell in which they know the home to lie. Under the real filter no area that is smaller than a cell says
anything, and cells are told as they are: nothing finer comes out than the grid gives. Under a filter that looks at the
exact place, which is planted here, the same search finds the house.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

import numpy as np
import pyarrow as pa
import pytest

from tests.unit.builders import NOW_MS, an_owner, points
from waykeep.authority.areas import Area
from waykeep.authority.asking import Ask
from waykeep.authority.links import MAX_LINKS
from waykeep.authority.plans import plan
from waykeep.authority.scopes import Scope, meet
from waykeep.formats import grid
from waykeep.vault import cells
from waykeep.vault.coarse import coarse

LEVEL = 16
"""A grid of 730 m."""
LOG = an_owner().state
HOME = (525_163_271, 133_779_043)
Asks = Callable[[Area], bool]


def at_home() -> pa.Table:
    """A night of fixes, each within some metres of the home."""
    rows, draw = points(400), np.random.default_rng(7)
    for name, place in zip(("lat_e7", "lon_e7"), HOME, strict=True):
        index = rows.schema.get_field_index(name)
        values = pa.array((place + draw.normal(0, 300, 400)).astype("int32"))
        rows = rows.set_column(index, rows.schema.field(index), values)
    return rows


ROWS = at_home()


def asks(level: int = LEVEL) -> Asks:
    """One run of the grant, narrowed to an area."""

    def ask(area: Area) -> bool:
        scope = Scope(streams={"location": ("ts_ms",)}, parameters={}, level=level)
        wanted = plan(LOG, scope, Ask(areas=(area,)), {"location": ("ts_ms",)}, {}, NOW_MS)
        return coarse(ROWS, "location", ("ts_ms",), wanted).num_rows > 0

    return ask


def square(south: int, west: int, size: int) -> Area:
    return Area(((south, west), (south, west + size), (south + size, west + size), (south + size, west)))


def search(ask: Asks, south: int, west: int, size: int) -> int:
    """How small a square the holder gets to, in e7 units, in which they know the home to lie. It halves it each time,
    and tries where halves overlap as well."""
    asked = 0
    while size > 64:
        half = size // 2
        offsets = (0, half // 2, half)
        found = None
        for down in offsets:
            for across in offsets:
                asked += 1
                if ask(square(south + down, west + across, half)):
                    found = (south + down, west + across)
        if found is None:
            return size
        (south, west), size = found, half
    return size


def start() -> tuple[int, int, int]:
    """Eight cells by eight around the one that is told."""
    south, west, _, _ = (int(edge[0]) for edge in grid.corners(np.array([HOME[0]]), np.array([HOME[1]]), LEVEL))
    return south - (4 << LEVEL), west - (4 << LEVEL), 8 << LEVEL


def test_a_search_by_areas_finds_nothing_finer_than_the_grid() -> None:
    found = search(asks(), *start())
    assert found >= 1 << LEVEL, "a cell is as far as it gets"
    assert grid.height_m(LEVEL) > 700


@pytest.mark.parametrize("level", [LEVEL + 1, LEVEL + 3])
def test_a_coarser_request_does_not_help(level: int) -> None:
    assert search(asks(level), *start()) >= 1 << LEVEL


def test_the_same_search_finds_the_house_where_the_filter_is_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """So it is a search that would succeed."""
    exact = cells.Cells.__init__
    monkeypatch.setattr(cells.Cells, "__init__", lambda self, lat, lon, level: exact(self, lat, lon, 0))
    found = search(asks(), *start())
    assert found * grid.UNIT_M < 50


def test_areas_that_only_overlap_in_the_home_find_nothing_either() -> None:
    """A chain of links, each with a large area around the cell: what they have in common is as small as a house."""
    lat, lon = HOME
    corners = [(lat - 500, lon - 500), (lat + 500 - (9 << LEVEL), lon - 500), (lat - 500, lon + 500 - (9 << LEVEL))]
    areas = [square(*corner, 9 << LEVEL) for corner in corners]
    assert all(asks()(area) is False for area in areas), "none holds the whole cell"
    granted = Scope(streams={"location": ("ts_ms",)}, level=LEVEL)
    scope = reduce(meet, (Scope(areas=(area,)) for area in areas), granted)
    assert len(scope.areas) == len(areas) < MAX_LINKS
    wanted = plan(LOG, scope, Ask(), {"location": ("ts_ms",)}, {}, NOW_MS)
    assert coarse(ROWS, "location", ("ts_ms",), wanted).num_rows == 0


def test_times_are_searched_in_vain_as_well() -> None:
    """When somebody comes home: windows that are narrowed to find the minute give whole steps or nothing."""
    rows = points(1, first_ms=NOW_MS + 1_234_567)
    scope = Scope(streams={"location": ("ts_ms",)}, step_ms=900_000)

    def ask(first: int, end: int) -> bool:
        wanted = plan(LOG, scope, Ask(from_ms=first, to_ms=end), {"location": ("ts_ms",)}, {}, NOW_MS)
        return coarse(rows, "location", ("ts_ms",), wanted).num_rows > 0

    step = NOW_MS + 1_234_567 - (NOW_MS + 1_234_567) % 900_000
    assert ask(step, step + 900_000)
    for first in range(step - 900_000, step + 900_000, 30_000):
        for length in (30_000, 450_000, 899_999):
            assert not ask(first, first + length)
