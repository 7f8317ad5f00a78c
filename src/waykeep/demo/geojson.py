"""Trips as GeoJSON (RFC 7946), for any map program."""

from __future__ import annotations

import itertools
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, TypeAlias

import msgspec

Position: TypeAlias = tuple[float, float]
"""Longitude and latitude in degrees (WGS 84), in this order, as RFC 7946 wants them."""

HALF_TURN_E7 = 1_800_000_000


class TrackPoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A recorded position: ms since 1970 UTC, degrees times 1e7."""

    ts_ms: int
    lat_e7: int
    lon_e7: int


class Trip(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A row of the result of the algorithm `trips`; `algorithms/trips/algorithm.toml` says what each field means."""

    start_ms: int
    end_ms: int
    start_lat_e7: int
    start_lon_e7: int
    end_lat_e7: int
    end_lon_e7: int
    duration_s: int
    distance_m: int
    points: int
    gap: bool


class Journeys(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One owner's trips, and the track from which they are cut, in the order of its times."""

    owner: str
    trips: tuple[Trip, ...]
    track: tuple[TrackPoint, ...]


def trips_geojson(people: Sequence[Journeys]) -> dict[str, Any]:
    """A FeatureCollection: per trip a line along the track, and a point for each end.

    A line that crosses the antimeridian is cut there, as section 3.1.9 of RFC 7946 asks.
    """
    features = [
        feature
        for person in people
        for number, trip in enumerate(person.trips, 1)
        for feature in _features(person, number, trip)
    ]
    return {"type": "FeatureCollection", "features": features}


def path(trip: Trip, track: Sequence[TrackPoint]) -> list[TrackPoint]:
    """The way of a trip: its start, the recorded positions between its times, and its end; two points or more.

    Args:
        trip: The trip.
        track: Positions in the order of their times.
    """
    first = bisect_right(track, trip.start_ms, key=lambda point: point.ts_ms)
    last = bisect_left(track, trip.end_ms, key=lambda point: point.ts_ms)
    return [
        TrackPoint(trip.start_ms, trip.start_lat_e7, trip.start_lon_e7),
        *track[first:last],
        TrackPoint(trip.end_ms, trip.end_lat_e7, trip.end_lon_e7),
    ]


def _features(person: Journeys, number: int, trip: Trip) -> Iterator[dict[str, Any]]:
    about = {"owner": person.owner, "trip": number}
    way = path(trip, person.track)
    yield _feature(
        _line(way),
        {
            "kind": "trip",
            **about,
            "start": _rfc3339(trip.start_ms),
            "end": _rfc3339(trip.end_ms),
            "duration_s": trip.duration_s,
            "distance_m": trip.distance_m,
            "points": trip.points,
            "gap": trip.gap,
        },
    )
    for kind, point in (("start", way[0]), ("end", way[-1])):
        place = {"type": "Point", "coordinates": _position(point.lon_e7, point.lat_e7)}
        yield _feature(place, {"kind": kind, **about, "time": _rfc3339(point.ts_ms)})


def _feature(geometry: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
    return {"type": "Feature", "geometry": geometry, "properties": properties}


def _line(way: Sequence[TrackPoint]) -> dict[str, Any]:
    parts: list[list[Position]] = [[_position(way[0].lon_e7, way[0].lat_e7)]]
    for before, point in itertools.pairwise(way):
        if abs(point.lon_e7 - before.lon_e7) > HALF_TURN_E7:
            side = HALF_TURN_E7 if before.lon_e7 > 0 else -HALF_TURN_E7
            lat = _crossing(before, point, side)
            parts[-1].append(_position(side, lat))
            parts.append([_position(-side, lat)])
        parts[-1].append(_position(point.lon_e7, point.lat_e7))
    if len(parts) == 1:
        return {"type": "LineString", "coordinates": parts[0]}
    return {"type": "MultiLineString", "coordinates": parts}


def _crossing(before: TrackPoint, point: TrackPoint, side: int) -> int:
    """The latitude at which the shorter way between two points crosses the antimeridian, degrees times 1e7."""
    to_side = side - before.lon_e7
    whole = to_side + (point.lon_e7 + side)
    return before.lat_e7 + round((point.lat_e7 - before.lat_e7) * (to_side / whole if whole else 0.5))


def _position(lon_e7: int, lat_e7: int) -> Position:
    return (lon_e7 / 1e7, lat_e7 / 1e7)


def _rfc3339(ms: int) -> str:
    return datetime.fromtimestamp(ms / 1000, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
