"""A result's rows for people: a table where it fits the terminal, otherwise one block a row."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from waykeep.cli import output
from waykeep.formats.manifest import Field, Integer
from waykeep.formats.messages import Value

SHOWN = 20
"""Rows of a read that are printed; a file holds all."""
_E7 = 10_000_000
_ANY_WIDTH = 100_000
_LAST_MS = 253_402_300_799_999  # the end of the year 9999, after which a date has no four-digit year


def show(fields: Sequence[Field], rows: Sequence[dict[str, Value]], console: Console) -> None:
    """Print rows; where nobody looks (a pipe) always in blocks, whose lines a program can still cut apart."""
    names = [field.name for field in fields]
    cells = [[words(field, row[field.name]) for field in fields] for row in rows]
    shown = output.table(*names)
    for line in cells:
        shown.add_row(*map(Text, line))
    if console.is_terminal and _width(shown, console) <= console.width:
        console.print(shown)
        return
    for line in cells:
        for name, cell in zip(names, line, strict=True):
            console.print(f"{name}: {cell}", markup=False, soft_wrap=True)
        console.print()


def words(field: Field, value: Value) -> str:
    """A value for people: times since 1970 also as a date in UTC, coordinates as degrees with seven decimals.

    What a number is, its name (``..._ms``, ``..._lat_e7``, ``..._lon_e7``) says, and for a time its unit: a duration
    is no date.
    """
    if not isinstance(field.domain, Integer) or isinstance(value, bool) or not isinstance(value, int):
        return str(value)
    if field.name.endswith("_ms") and "since 1970" in field.domain.unit and 0 <= value <= _LAST_MS:
        return f"{value} ({output.when(value)} UTC)"
    if field.name.endswith(("lat_e7", "lon_e7")):
        return _degrees(value)
    return str(value)


def _degrees(value: int) -> str:
    whole, rest = divmod(abs(value), _E7)
    return f"{'-' if value < 0 else ''}{whole}.{rest:07d}°"


def _width(shown: Table, console: Console) -> int:
    return Measurement.get(console, console.options.update(max_width=_ANY_WIDTH), shown).maximum


def show_table(stream: str, found: pa.Table, console: Console) -> None:
    """Print the newest rows of a stream that was read."""
    lines = found.slice(max(0, found.num_rows - SHOWN)).to_pylist()
    console.print(f"[bold]{stream}[/]: {found.num_rows} rows" + (f", the newest {SHOWN}" if lines else ""))
    shown = output.table(*found.column_names)
    for line in lines:
        shown.add_row(*(Text(_cell(name, value)) for name, value in line.items()))
    console.print(shown)


def _cell(name: str, value: Value | None) -> str:
    if value is None:
        return ""
    if name.endswith("_ms") and isinstance(value, int):
        return output.when(value)
    return _degrees(value) if name.endswith(("lat_e7", "lon_e7")) and isinstance(value, int) else str(value)
