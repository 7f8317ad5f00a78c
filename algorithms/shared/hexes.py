"""H3 cells of an area, numbered. This file is the same in every bundle that has one; a test compares the copies."""

from __future__ import annotations

import h3


def cells(lat_e7: int, lon_e7: int, resolution: int, rings: int) -> list[str]:
    """The names of the cells around a place, in the order of their numbers.

    Args:
        lat_e7: Latitude, degrees times 1e7.
        lon_e7: Longitude, likewise.
        resolution: Of H3.
        rings: How many rings lie around the middle cell.

    Returns:
        ``1 + 3 * rings * (rings + 1)`` names, in ascending order (fewer around one of H3's twelve pentagons).
    """
    return sorted(h3.grid_disk(h3.latlng_to_cell(lat_e7 / 1e7, lon_e7 / 1e7, resolution), rings))


class Area:
    """Numbers of cells by place."""

    def __init__(self, parameters: dict[str, int | str | bool]) -> None:
        lat_e7, lon_e7, self._resolution, rings = (
            int(parameters[name]) for name in ("lat_e7", "lon_e7", "resolution", "rings")
        )
        self._numbers = {name: number for number, name in enumerate(cells(lat_e7, lon_e7, self._resolution, rings))}

    def number(self, lat_e7: int, lon_e7: int) -> int | None:
        """The number of the cell that holds a place, None for one outside."""
        return self._numbers.get(h3.latlng_to_cell(lat_e7 / 1e7, lon_e7 / 1e7, self._resolution))
