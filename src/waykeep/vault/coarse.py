"""Rows as a read plan lets them leave the vault: rounded first, then filtered by what was rounded, by nothing finer.

1. Columns ``*_ms`` are rounded to the plan's step, pairs of columns ``<name>lat_e7`` and ``<name>lon_e7`` to its level,
   as `waykeep.formats.grid` has it.
2. A row passes if the whole step of its ``ts_ms`` lies within the window, and the whole cell of its place within each
   area. A coarser step or cell is within only if all finer ones of it are, so no narrowing lets in another row.
3. It does not pass if its step touches a time that the owner withholds, and its cell an area that goes with it. Where a
   stream has no places, time alone decides; entries kept as JSON may hold some, so an area alone withholds them all.
4. Where times are rounded or not given, rows are sorted by all that is left of them: their order tells nothing more.
5. What a row that does not pass holds is nowhere in the table, nor in its dictionaries.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import shapely

from waykeep.authority.areas import Area
from waykeep.authority.geometry import shape
from waykeep.authority.permissions import Withheld
from waykeep.authority.plans import ReadPlan
from waykeep.errors import VaultError
from waykeep.formats import grid, streams, table
from waykeep.vault import segments

Flags = npt.NDArray[np.bool_]
_HALF, _WORD = 1 << 31, (1 << 32) - 1


def coarse(rows: pa.Table, stream: str, plan: ReadPlan) -> pa.Table:
    """See the module.

    Args:
        rows: Of one stream, with all its columns. A derived stream's have no time of their own; which of its results
            are read `waykeep.vault.catalogue` decides.

    Raises:
        VaultError: ``column-unknown`` for half a place.
    """
    if not streams.is_derived(stream):
        passes = _passing(rows, stream, plan)
        if not passes.all():
            rows = rows.take(pa.array(np.flatnonzero(passes)))
    if plan.step_ms > 1:
        for name in rows.column_names:
            if name.endswith("_ms"):
                rows = _put(rows, name, grid.times(_whole(rows, name), plan.step_ms))
    if plan.level:
        for name in rows.column_names:
            if name.endswith("lat_e7"):
                other = f"{name.removesuffix('lat_e7')}lon_e7"
                lat, lon = grid.places(_whole(rows, name), _whole(rows, other), plan.level)
                rows = _put(_put(rows, name, lat), other, lon)
    return table.prune(rows)


def given(rows: pa.Table, stream: str, columns: tuple[str, ...], plan: ReadPlan, newest: int = 0) -> pa.Table:
    """Rows that `coarse` let pass, in the given columns; none are all.

    Args:
        newest: At most so many, by their time; 0 takes all.

    Raises:
        VaultError: ``column-unknown``.
    """
    if newest and rows.num_rows > newest:
        rows = ordered(rows).slice(rows.num_rows - newest)
    found = segments.select(rows, stream, columns)
    untimed = not streams.is_derived(stream) and "ts_ms" not in found.column_names
    return table.prune(ordered(found) if plan.step_ms > 1 or untimed else found)


def ordered(rows: pa.Table) -> pa.Table:
    """Rows sorted by their columns, by time first."""
    names = sorted(rows.column_names, key=lambda name: (name != "ts_ms", name))
    keys = [_ranks(rows.column(name)) for name in reversed(names)]
    return rows.take(pa.array(np.lexsort(keys))) if keys and rows.num_rows else rows


def _passing(rows: pa.Table, stream: str, plan: ReadPlan) -> Flags:
    times = grid.times(_whole(rows, "ts_ms"), plan.step_ms)
    passes: Flags = (times >= plan.from_ms) & (times + plan.step_ms <= plan.to_ms)
    cells = None
    if plan.areas or (streams.has_places(stream) and any(line.area is not None for line in plan.withheld.values())):
        cells = _Cells(_whole(rows, "lat_e7"), _whole(rows, "lon_e7"), plan.level)
        passes &= cells.inside(plan.areas)
    for line in plan.withheld.values():
        touched = _touched(line, times, plan.step_ms)
        if line.area is not None and cells is not None:
            touched &= cells.touching(line.area)
        elif line.area is not None and not stream.startswith("json/") and line.from_ms is line.to_ms is None:
            continue
        passes &= ~touched
    return passes


def _touched(line: Withheld, times: grid.Places, step_ms: int) -> Flags:
    to_ms = streams.MAX_TS_MS if line.to_ms is None else line.to_ms
    found: Flags = (times < to_ms) & (times + step_ms > (line.from_ms or 0))
    return found


class _Cells:
    """The cells in which places are told, each once."""

    def __init__(self, lat: grid.Places, lon: grid.Places, level: int) -> None:
        told = grid.places(lat, lon, level)
        unique, self._which = np.unique((told[0] << 32) + told[1], return_inverse=True)
        lon_of = ((unique + _HALF) & _WORD) - _HALF
        south, west, north, east = grid.corners((unique - lon_of) >> 32, lon_of, level)
        self._boxes = shapely.box(west, south, east, north)

    def inside(self, areas: Iterable[Area]) -> Flags:
        """Whether each place's cell lies within each area."""
        inside = np.ones(len(self._boxes), dtype=np.bool_)
        for area in areas:
            found = shape(area)
            shapely.prepare(found)
            inside &= shapely.covers(found, self._boxes)
        return self._of(inside)

    def touching(self, area: Area) -> Flags:
        """Whether each place's cell touches an area; of one that cannot be drawn, every one does."""
        found = shape(area)
        if found.is_empty:
            return np.ones(len(self._which), dtype=np.bool_)
        shapely.prepare(found)
        return self._of(shapely.intersects(found, self._boxes))

    def _of(self, flags: Flags) -> Flags:
        found: Flags = flags[self._which]
        return found


def _whole(rows: pa.Table, name: str) -> grid.Places:
    if name not in rows.column_names or rows.column(name).null_count:
        raise VaultError("column-unknown", f"found half a place, or a gap, in column {name}", status=400)
    found: grid.Places = rows.column(name).to_numpy().astype(np.int64)
    return found


def _put(rows: pa.Table, name: str, values: grid.Places) -> pa.Table:
    index = rows.schema.get_field_index(name)
    return rows.set_column(index, rows.schema.field(index), pa.array(values).cast(rows.schema.field(index).type))


def _ranks(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    """Numbers in the order of a column's values; gaps come first."""
    # numpy, not pyarrow.compute: a compute kernel may start Arrow's thread pool.
    if pa.types.is_integer(column.type) and not column.null_count:
        found: npt.NDArray[np.int64] = column.to_numpy().astype(np.int64)
        return found
    values = [(value is not None, value if value is not None else 0) for value in column.to_pylist()]
    order = {value: rank for rank, value in enumerate(sorted(set(values), key=lambda pair: (pair[0], pair[1])))}
    return np.array([order[value] for value in values], dtype=np.int64)
