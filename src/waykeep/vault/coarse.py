"""Rows as a scope lets them leave the vault: rounded first, then filtered by what was rounded, and by nothing finer.

1. Columns ``*_ms`` are rounded to the scope's step, pairs of columns ``<name>lat_e7`` and ``<name>lon_e7`` to its
   level, as `waykeep.formats.grid` has it.
2. A row passes if the whole step of its ``ts_ms`` lies within the window, and the whole cell of its place within each
   area. A coarser step or cell is within only if all finer ones of it are, so no narrowing lets in another row.
3. Where times are rounded, rows are sorted by all that is left of them: their order tells nothing that they do not.
"""

from __future__ import annotations

from collections.abc import Sequence

import h3
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely

from waykeep.authority.scopes import Area
from waykeep.formats import grid

Flags = npt.NDArray[np.bool_]
_HALF, _WORD = 1 << 31, (1 << 32) - 1


def coarse(
    rows: pa.Table, window: tuple[int, int], *, level: int = 0, step_ms: int = 1, areas: Sequence[Area] = ()
) -> pa.Table:
    """See the module.

    Args:
        rows: With ``ts_ms``; and ``lat_e7`` and ``lon_e7`` where there are areas.
        window: Half open, in ms.
        level, step_ms: Of the grid and of the ladder of times.
    """
    if not rows.num_rows:
        return rows
    times = grid.times(rows.column("ts_ms").to_numpy(), step_ms)
    passes: Flags = (times >= window[0]) & (times + step_ms <= window[1])
    if areas:
        passes &= _inside(rows.column("lat_e7").to_numpy(), rows.column("lon_e7").to_numpy(), level, areas)
    if not passes.all():
        rows = rows.take(pa.array(np.flatnonzero(passes)))
    if step_ms > 1:
        for name in rows.column_names:
            if name.endswith("_ms"):
                rows = _put(rows, name, grid.times(rows.column(name).to_numpy(), step_ms))
    if level:
        for name in rows.column_names:
            if name.endswith("lat_e7"):
                other = f"{name.removesuffix('lat_e7')}lon_e7"
                lat, lon = grid.places(_whole(rows, name), _whole(rows, other), level)
                rows = _put(_put(rows, name, lat), other, lon)
    return rows if step_ms == 1 else rows.sort_by([(name, "ascending") for name in rows.column_names])


def _inside(lat: grid.Places, lon: grid.Places, level: int, areas: Sequence[Area]) -> Flags:
    """Whether each place's cell lies within each area."""
    told = grid.places(lat.astype(np.int64), lon.astype(np.int64), level)
    unique, which = np.unique((told[0] << 32) + told[1], return_inverse=True)
    lon_of = ((unique + _HALF) & _WORD) - _HALF
    south, west, north, east = grid.corners((unique - lon_of) >> 32, lon_of, level)
    boxes, inside = shapely.box(west, south, east, north), np.ones(len(unique), dtype=np.bool_)
    for area in areas:
        shape = _shape(area)
        shapely.prepare(shape)
        inside &= shapely.covers(shape, boxes)
    found: Flags = inside[which]
    return found


def _shape(area: Area) -> shapely.Geometry:
    """The area in the plane of ``lon_e7`` and ``lat_e7``; nothing is within one that has no inside."""
    if area.polygon:
        shape = shapely.Polygon([(lon, lat) for lat, lon in area.polygon])
        return shape if shape.is_valid else shapely.Polygon()
    rings = []
    for cell in area.cells:
        if h3.is_valid_cell(cell):
            ring = [(round(lon * 1e7), round(lat * 1e7)) for lat, lon in h3.cell_to_boundary(cell)]
            # One that reaches over the antimeridian would be the rest of the world.
            if max(x for x, _ in ring) - min(x for x, _ in ring) < 1_800_000_000:
                rings.append(shapely.Polygon(ring))
    return shapely.union_all(rings)


def _whole(rows: pa.Table, name: str) -> grid.Places:
    found: grid.Places = rows.column(name).to_numpy().astype(np.int64)
    return found


def _put(rows: pa.Table, name: str, values: grid.Places) -> pa.Table:
    index = rows.schema.get_field_index(name)
    return rows.set_column(index, rows.schema.field(index), pa.array(values).cast(rows.schema.field(index).type))
