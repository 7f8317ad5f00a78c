"""Heat map: how long somebody was in each cell of an area."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa

from hexes import Area
from track import clean, to_e7

MAX_MINUTES = 10_000_000
MAX_VISITS = 10_000_000

Row = dict[str, int | str | bool]


def run(tables: dict[str, pa.Table], parameters: dict[str, int | str | bool]) -> list[Row]:
    """Adds up time by cell: from each fix to the next, but no longer than ``hold_minutes``.

    Args:
        tables: `filtered-location` with ts_ms, lat_e7, lon_e7, accuracy_cm, rows in any order.
        parameters: Those of algorithm.toml, all of them.

    Returns:
        One row per cell with at least one fix, in ascending order. A visit begins where the cell was another before.
    """
    number = {key: int(value) for key, value in parameters.items()}
    track = clean(tables["filtered-location"], number["max_accuracy_m"], number["max_speed_m_s"])
    area = Area(parameters)
    cells = [area.number(*to_e7(point)) for point in track.xyz]
    held = np.minimum(np.diff(track.t, append=track.t[-1:]), number["hold_minutes"] * 60_000).tolist()
    spent, visits = Counter[int](), Counter[int]()
    before: int | None = None
    for cell, ms in zip(cells, held, strict=True):
        if cell is not None:
            spent[cell] += ms
            visits[cell] += cell != before
        before = cell
    return [
        {
            "cell": cell,
            "minutes": min(round(ms / 60_000), MAX_MINUTES),
            "visits": min(visits[cell], MAX_VISITS),
        }
        for cell, ms in sorted(spent.items())
    ]
