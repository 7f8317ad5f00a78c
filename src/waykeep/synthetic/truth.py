"""What really happened: the trips of a person and their legs, which no phone knows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from waykeep.synthetic import world
from waykeep.synthetic.trips import Trip

TRIPS = pa.schema(
    [
        ("trip", pa.int64()),
        ("start_ms", pa.int64()),
        ("end_ms", pa.int64()),
        ("mode", pa.string()),
        ("distance_m", pa.int64()),
        ("origin_lat_e7", pa.int64()),
        ("origin_lon_e7", pa.int64()),
        ("destination_lat_e7", pa.int64()),
        ("destination_lon_e7", pa.int64()),
    ]
)
LEGS = pa.schema(
    [
        ("trip", pa.int64()),
        ("mode", pa.string()),
        ("start_ms", pa.int64()),
        ("end_ms", pa.int64()),
        ("distance_m", pa.int64()),
    ]
)


def tables(journeys: Sequence[Trip], first_ms: int) -> dict[str, pa.Table]:
    """``trips`` and ``legs``, numbered from 0 on."""
    whole, parts = list[dict[str, object]](), list[dict[str, object]]()
    for number, trip in enumerate(journeys):
        lengths = [round(world.length(leg.path)) for leg in trip.legs]
        ends = np.stack((trip.origin, trip.destination)).astype(np.float64) * world.BLOCK_M
        (from_lat, to_lat), (from_lon, to_lon) = world.e7(ends)
        whole.append(
            {
                "trip": number,
                "start_ms": first_ms + round(trip.start_s * 1000),
                "end_ms": first_ms + round(trip.end_s * 1000),
                "mode": trip.mode,
                "distance_m": sum(lengths),
                "origin_lat_e7": int(from_lat),
                "origin_lon_e7": int(from_lon),
                "destination_lat_e7": int(to_lat),
                "destination_lon_e7": int(to_lon),
            }
        )
        parts += [
            {
                "trip": number,
                "mode": leg.mode,
                "start_ms": first_ms + round((trip.start_s + float(leg.times[0])) * 1000),
                "end_ms": first_ms + round((trip.start_s + float(leg.times[-1])) * 1000),
                "distance_m": metres,
            }
            for leg, metres in zip(trip.legs, lengths, strict=True)
        ]
    return {"trips": pa.Table.from_pylist(whole, TRIPS), "legs": pa.Table.from_pylist(parts, LEGS)}
