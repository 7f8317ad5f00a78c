"""The made-up town, moved: questions about a place, and areas, mean something only where the people are."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from waykeep.errors import DeviceError
from waykeep.formats import streams
from waykeep.synthetic.world import CENTRE

MAX_LATITUDE = 80.0
"""Beyond it a grid of streets has no room on the lines of longitude."""


class Place(NamedTuple):
    """Degrees (WGS 84)."""

    lat: float
    lon: float


def parse(text: str) -> Place:
    """A place that somebody typed. Raises: DeviceError: ``place-malformed``."""
    try:
        found = Place(*map(float, text.split(",")))
    except (ValueError, TypeError):
        found = Place(math.nan, math.nan)
    if not (abs(found.lat) <= MAX_LATITUDE and abs(found.lon) < 180):
        raise DeviceError(
            "place-malformed",
            f"found no place up to {MAX_LATITUDE:.0f} degrees north or south",
            hint="write latitude and longitude in degrees, as 59.91,10.75",
        )
    return found


def moved(stream: str, rows: pa.Table, to: Place) -> pa.Table:
    """Rows of a stream, with the centre of the town at ``to``; distances stay, but for what the earth is curved."""
    if not streams.has_places(stream):
        return rows
    lat, lon = (rows[name].to_numpy() / 1e7 for name in ("lat_e7", "lon_e7"))
    there = lat - CENTRE[0] + to.lat
    wider = math.cos(math.radians(CENTRE[0])) / np.cos(np.radians(there))
    across = (lon - CENTRE[1]) * wider + to.lon
    for name, degrees in (("lat_e7", there), ("lon_e7", (across + 180) % 360 - 180)):
        rows = _replaced(rows, name, np.rint(degrees * 1e7))
    return rows


def _replaced(rows: pa.Table, name: str, values: Any) -> pa.Table:
    index = rows.schema.get_field_index(name)
    field = rows.schema.field(index)
    return rows.set_column(index, field, pa.array(values.astype(field.type.to_pandas_dtype()), field.type))
