"""Columns as they are told: rounded to the grid and the ladder of times, and rows in an order that tells nothing more.

A rounded column is kept as the numbers of its cells or steps until the end: they are what is sorted, packed into one
number a row where they fit, since sorting numbers is five times faster than sorting rows.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from waykeep.authority.plans import ReadPlan
from waykeep.errors import VaultError
from waykeep.formats import grid

Numbers = npt.NDArray[np.int64]
_PACKED_BITS = 62
_HALVES = ("lat_e7", "lon_e7")


class Column:
    """A column of whole numbers: ``numbers * step << shift + offset``, in ascending order of ``numbers``."""

    def __init__(self, kind: pa.Field, numbers: Numbers, step: int = 1, shift: int = 0, offset: int = 0) -> None:
        self.kind, self.numbers, self._scale = kind, numbers, (step, shift, offset)

    def replaced(self, numbers: Numbers) -> Column:
        return Column(self.kind, numbers, *self._scale)

    def values(self) -> pa.Array:
        """The values themselves. The numbers are used up: memory that is taken anew costs more than counting."""
        step, shift, offset = self._scale
        if step != 1:
            self.numbers *= step
        if shift:
            self.numbers <<= shift
        if offset:
            self.numbers += offset
        return pa.array(self.numbers.astype(self.kind.type.to_pandas_dtype(), copy=False), self.kind.type)


Told: TypeAlias = Column | pa.ChunkedArray


class Rows:
    """Rows of one stream with all their columns, and the numbers in them."""

    def __init__(self, rows: pa.Table, plan: ReadPlan) -> None:
        self.rows, self._plan = rows, plan
        self._numbers: dict[str, Numbers] = {}

    def numbers(self, name: str) -> Numbers:
        """A column without gaps. Raises: VaultError: ``column-unknown``."""
        if name not in self._numbers:
            if name not in self.rows.column_names or self.rows.column(name).null_count:
                raise VaultError("column-unknown", f"found half a place, or a gap, in column {name}", status=400)
            found = self.rows.column(name).to_numpy()
            self._numbers[name] = found if found.dtype in (np.int32, np.int64) else found.astype(np.int64)
        return self._numbers[name]

    def steps(self, name: str) -> Numbers:
        """The numbers of the steps of a time."""
        return self.numbers(name) if self._plan.step_ms == 1 else self.numbers(name) // self._plan.step_ms

    def told(self, name: str) -> Told:
        """A column as the plan has it told; what is neither time nor place as it is.

        Raises: VaultError: ``column-unknown``, also for half a place.
        """
        if name not in self.rows.column_names:
            raise VaultError("column-unknown", f"found no column {name}", status=400)
        kind, start = self.rows.schema.field(name), start_of(name)
        if self._plan.step_ms > 1 and name.endswith("_ms"):
            return Column(kind, self.steps(name), self._plan.step_ms)
        if self._plan.level and start is not None:
            lat, lon = (self.numbers(start + half) for half in _HALVES)
            return _half(kind, lat, lon, self._plan.level, name.endswith("lon_e7"))
        return self.rows.column(name)


def _half(kind: pa.Field, lat: Numbers, lon: Numbers, level: int, east: bool) -> Column:
    shifts = grid.doublings(lat) + level if east else np.array([level])
    if len(shifts) != 1 or not grid.within_bounds(lon if east else lat, level, east=east):
        return Column(kind, grid.places(lat.astype(np.int64), lon.astype(np.int64), level)[east])
    shift = int(shifts[0])
    return Column(kind, (lon if east else lat) >> shift, shift=shift, offset=1 << shift >> 1)


def ordered(columns: dict[str, Told], schema: pa.Schema) -> pa.Table:
    """A table of columns, its rows sorted by them, by time first."""
    by = sorted(columns, key=lambda name: (name != "ts_ms", name))
    numbers = {name: _numbers(columns[name]) for name in by}
    if not by or len(numbers[by[0]]) < 2:
        return table(columns, schema)
    lows = {name: int(values.min()) for name, values in numbers.items()}
    bits = {name: (int(values.max()) - lows[name]).bit_length() for name, values in numbers.items()}
    if sum(bits.values()) > _PACKED_BITS or any(not isinstance(c, Column) and not _plain(c) for c in columns.values()):
        order = pa.array(np.lexsort([numbers[name] for name in reversed(by)]))  # before `table` uses the numbers up
        return table(columns, schema).take(order)
    packed = np.subtract(numbers[by[0]], lows[by[0]], dtype=np.int64)  # a half of a place is kept in 32 bits
    for name in by[1:]:
        packed <<= bits[name]
        packed += numbers[name]
        packed -= lows[name]
    packed.sort()
    found = dict(columns)
    for name in reversed(by):
        column, values = columns[name], packed & ((1 << bits[name]) - 1)
        values += lows[name]
        found[name] = (column if isinstance(column, Column) else Column(schema.field(name), values)).replaced(values)
        packed >>= bits[name]
    return table(found, schema)


def table(columns: dict[str, Told], schema: pa.Schema) -> pa.Table:
    """A table of columns in the types that they have in ``schema``."""
    arrays = [column.values() if isinstance(column, Column) else column for column in columns.values()]
    return pa.table(arrays, schema=pa.schema([schema.field(name) for name in columns]))


def chosen(columns: dict[str, Told], passes: npt.NDArray[np.bool_]) -> dict[str, Told]:
    """Those rows of columns that pass."""
    index: list[pa.Array] = []

    def of(column: Told) -> Told:
        if isinstance(column, Column):
            return column.replaced(column.numbers[passes])
        if not index:
            index.append(pa.array(np.flatnonzero(passes)))
        return column.take(index[0])

    return {name: of(column) for name, column in columns.items()}


def start_of(name: str) -> str | None:
    """What stands before ``lat_e7`` or ``lon_e7``; None for what is no half of a place."""
    return name[: -len(_HALVES[0])] if name.endswith(_HALVES) else None


def _plain(column: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_integer(column.type) and not column.null_count)


def _numbers(column: Told) -> Numbers:
    """Numbers in the order of a column's values; gaps come first."""
    if isinstance(column, Column):
        return column.numbers
    # numpy, not pyarrow.compute: a compute kernel may start Arrow's thread pool.
    if _plain(column):
        found: Numbers = column.to_numpy().astype(np.int64, copy=False)
        return found
    values = [(value is not None, value if value is not None else 0) for value in column.to_pylist()]
    order = {value: rank for rank, value in enumerate(sorted(set(values), key=lambda pair: (pair[0], pair[1])))}
    return np.array([order[value] for value in values], dtype=np.int64)
