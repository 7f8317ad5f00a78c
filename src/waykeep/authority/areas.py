"""Areas: polygons and sets of H3 cells. `waykeep.authority.geometry` has what lies in them."""

from __future__ import annotations

from typing import Annotated

import msgspec

MAX_VERTICES = 256
MAX_CELLS = 1024

Vertex = tuple[
    Annotated[int, msgspec.Meta(ge=-900_000_000, le=900_000_000)],
    Annotated[int, msgspec.Meta(ge=-1_800_000_000, le=1_800_000_000)],
]


class Area(msgspec.Struct, frozen=True, forbid_unknown_fields=True, order=True):
    """Either a polygon or a set of H3 cells.

    Attributes:
        polygon: Its corners as (``lat_e7``, ``lon_e7``), joined by straight lines in degrees; the last joins the first.
        cells: Of any resolution, as text, in ascending order.
    """

    polygon: Annotated[tuple[Vertex, ...], msgspec.Meta(max_length=MAX_VERTICES)] = ()
    cells: Annotated[tuple[Annotated[str, msgspec.Meta(max_length=16)], ...], msgspec.Meta(max_length=MAX_CELLS)] = ()


def well_formed(area: Area) -> bool:
    """Whether it is one polygon of three corners or more, or one set of cells."""
    return bool(area.cells) != bool(area.polygon) and not 0 < len(area.polygon) < 3
