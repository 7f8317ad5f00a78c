"""What lies in an area, in the plane of degrees times 10**7."""

from __future__ import annotations

from collections.abc import Sequence

import h3
import shapely

from waykeep.authority.areas import Area


def shape(area: Area) -> shapely.Geometry:
    """The area in the plane of ``lon_e7`` and ``lat_e7``; nothing is within one that has no inside."""
    if area.polygon:
        found = shapely.Polygon([(lon, lat) for lat, lon in area.polygon])
        return found if found.is_valid else shapely.Polygon()
    rings = []
    for cell in area.cells:
        if h3.is_valid_cell(cell):
            ring = [(round(lon * 1e7), round(lat * 1e7)) for lat, lon in h3.cell_to_boundary(cell)]
            # One that reaches over the antimeridian would be the rest of the world.
            if max(x for x, _ in ring) - min(x for x, _ in ring) < 1_800_000_000:
                rings.append(shapely.Polygon(ring))
    return shapely.union_all(rings)


def covered(asked: Sequence[Area], allowed: Sequence[Area]) -> bool:
    """Whether all that lies in each of ``asked``, which is something, lies in each of ``allowed``."""
    both = shapely.intersection_all([shape(area) for area in asked])
    return all(area in asked or bool(shapely.covers(shape(area), both)) for area in allowed)
