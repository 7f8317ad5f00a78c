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

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from waykeep.authority.permissions import Withheld
from waykeep.authority.plans import ReadPlan
from waykeep.formats import grid, streams
from waykeep.formats.table import prune as pruned
from waykeep.vault.cells import Cells
from waykeep.vault.told import Rows, chosen, ordered
from waykeep.vault.told import table as as_table

Flags = npt.NDArray[np.bool_]


def coarse(rows: pa.Table, stream: str, columns: tuple[str, ...], plan: ReadPlan, newest: int = 0) -> pa.Table:
    """See the module.

    Args:
        rows: Of one stream, with all its columns. A derived stream's have no time of their own; which of its results
            are read `waykeep.vault.catalogue` decides.
        columns: That are given; none are all.
        newest: At most so many rows, by their time; 0 gives all.

    Raises:
        VaultError: ``column-unknown``, also for half a place.
    """
    found = Rows(rows, plan)
    names = columns or tuple(rows.column_names)
    derived, timed = streams.is_derived(stream), tuple(dict.fromkeys((*names, "ts_ms")))
    told = {name: found.told(name) for name in (names if derived or not newest else timed)}
    if not derived:
        passes = _passing(found, stream, plan)
        told = told if passes.all() else chosen(told, passes)
    if newest:
        given = ordered(told, rows.schema)
        given = given.slice(max(0, given.num_rows - newest)).select(names)
        told = {name: given.column(name) for name in names}
    sort = plan.step_ms > 1 or (not derived and "ts_ms" not in names)
    return pruned(ordered(told, rows.schema) if sort else as_table(told, rows.schema))


def _passing(rows: Rows, stream: str, plan: ReadPlan) -> Flags:
    steps = rows.steps("ts_ms")
    passes: Flags = (steps >= -(-plan.from_ms // plan.step_ms)) & (steps < plan.to_ms // plan.step_ms)
    placed, cells = streams.has_places(stream), None
    lines = [line for line in plan.withheld.values() if _overlaps(line, plan)]
    if plan.areas or (placed and any(line.area is not None for line in lines)):
        cells = Cells(rows.numbers("lat_e7"), rows.numbers("lon_e7"), plan.level)
        for area in plan.areas:
            passes &= cells.inside(area)
    for line in lines:
        timeless = line.from_ms is None and line.to_ms is None
        if line.area is not None and cells is not None:
            touched = cells.touching(line.area)
            passes &= ~(touched if timeless else touched & _touched(line, steps, plan))
        elif line.area is None or not timeless or stream.startswith("json/"):
            passes &= ~_touched(line, steps, plan)
    return passes


def _overlaps(line: Withheld, plan: ReadPlan) -> bool:
    begins, ends = line.span
    return ends > plan.from_ms and begins < plan.to_ms


def _touched(line: Withheld, steps: grid.Places, plan: ReadPlan) -> Flags:
    begins, ends = line.span
    first, after = begins // plan.step_ms, -(-ends // plan.step_ms)
    found: Flags = (steps >= first) & (steps < after)
    return found
