"""Presence: whether somebody was there. Where and when *there* is, the grant says: nothing else leaves the vault."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

Row = dict[str, int | str | bool]


def run(tables: dict[str, pa.Table], parameters: dict[str, int | str | bool]) -> list[Row]:
    """Counts the places that the grant lets through.

    Args:
        tables: `filtered-location` with ts_ms, rows in any order; a repeated time counts once.
        parameters: Those of algorithm.toml, all of them.

    Returns:
        One row.
    """
    times = pc.count_distinct(tables["filtered-location"].column("ts_ms")).as_py()
    return [{"present": int(times >= int(parameters["min_fixes"]))}]
