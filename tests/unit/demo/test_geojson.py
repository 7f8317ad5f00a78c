from __future__ import annotations

import json
from typing import Any

import pytest
import shapely

from waykeep.demo.geojson import Journeys, TrackPoint, Trip, path, trips_geojson


def trip(*ends: tuple[int, int, int], gap: bool = False) -> Trip:
    (start, lat, lon), (end, to_lat, to_lon) = ends
    return Trip(start, end, lat, lon, to_lat, to_lon, (end - start) // 1000, 1234, 7, gap)


TRACK = tuple(TrackPoint(1_466_436_483_395 + n * 60_000, 373_898_049 + n * 9000, -1_220_857_861) for n in range(10))
TRIP = trip((TRACK[2].ts_ms, 373_900_000, -1_220_850_000), (TRACK[5].ts_ms, 373_950_000, -1_220_860_000))


def features(*people: Journeys) -> list[dict[str, Any]]:
    text = json.dumps(trips_geojson(people), allow_nan=False)
    collection = json.loads(text)
    assert collection["type"] == "FeatureCollection"
    return list(collection["features"])


def test_a_trip_is_a_line_and_its_two_ends() -> None:
    line, start, end = features(Journeys("alice", (TRIP,), TRACK))
    assert line["geometry"] == {
        "type": "LineString",
        "coordinates": [[-122.085, 37.39], [-122.0857861, 37.3925049], [-122.0857861, 37.3934049], [-122.086, 37.395]],
    }
    assert line["properties"] == {
        "kind": "trip",
        "owner": "alice",
        "trip": 1,
        "start": "2016-06-20T15:30:03Z",
        "end": "2016-06-20T15:33:03Z",
        "duration_s": 180,
        "distance_m": 1234,
        "points": 7,
        "gap": False,
    }
    assert start["geometry"] == {"type": "Point", "coordinates": [-122.085, 37.39]}
    assert (end["properties"]["kind"], end["properties"]["time"]) == ("end", "2016-06-20T15:33:03Z")


def test_geometries_are_read_by_another_program() -> None:
    for feature in features(Journeys("alice", (TRIP,), TRACK)):
        assert shapely.from_geojson(json.dumps(feature["geometry"])).is_valid


def test_a_trip_without_recorded_points_is_a_straight_line() -> None:
    assert len(path(TRIP, ())) == 2
    assert features(Journeys("alice", (TRIP,), ()))[0]["geometry"]["type"] == "LineString"


def test_trips_are_numbered_per_owner() -> None:
    found = features(
        Journeys("alice", (TRIP, TRIP), TRACK), Journeys("bob", (TRIP,), TRACK), Journeys("carol", (), TRACK)
    )
    numbers = [(f["properties"]["owner"], f["properties"]["trip"]) for f in found if f["properties"]["kind"] == "trip"]
    assert numbers == [("alice", 1), ("alice", 2), ("bob", 1)]


@pytest.mark.parametrize(("side", "sign"), [("east", 1), ("west", -1)])
def test_a_line_is_cut_at_the_antimeridian(side: str, sign: int) -> None:
    ends = (0, -170_000_000, sign * 1_799_000_000), (60_000, -171_000_000, sign * -1_797_000_000)
    geometry = features(Journeys(side, (trip(*ends),), ()))[0]["geometry"]
    assert geometry["type"] == "MultiLineString"
    (before, at), (again, after) = geometry["coordinates"]
    assert before == [sign * 179.9, -17.0]
    assert at == [sign * 180.0, -17.025]
    assert again == [sign * -180.0, -17.025]
    assert after == [sign * -179.7, -17.1]
