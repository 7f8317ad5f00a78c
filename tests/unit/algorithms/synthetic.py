"""Days whose truth is known: somebody stays, and moves on along a straight line, and a phone records it.

Positions are laid out with pyproj's geodesics on the WGS 84 ellipsoid, which the algorithms do not use.
"""

from __future__ import annotations

import random
from typing import NamedTuple

from pyproj import Geod

WGS84 = Geod(ellps="WGS84")
START_MS = 1_700_000_000_000
Fix = tuple[int, float, float, float | None]


class Step(NamedTuple):
    """Some seconds at one speed (m/s) in one direction (degrees from north); a stay has speed 0."""

    seconds: int
    speed: float = 0.0
    azimuth: float = 90.0


DAY = (Step(3600), Step(900, 1.4, 60.0), Step(2400), Step(720, 15.0, 95.0), Step(3600))
"""Stay an hour, walk 1,260 m, stay 40 minutes, drive 10,800 m, stay an hour."""


def positions(steps: tuple[Step, ...], latitude: float, longitude: float) -> list[tuple[float, float]]:
    """Latitude and longitude at every second, both ends included."""
    path = [(latitude, longitude)]
    for step in steps:
        latitude, longitude = path[-1]
        for second in range(1, step.seconds + 1):
            lon, lat, _ = WGS84.fwd(longitude, latitude, step.azimuth, step.speed * second)
            path.append((lat, lon))
    return path


def noisy(at: int, place: tuple[float, float], noise_m: float, source: random.Random) -> Fix:
    lon, lat, _ = WGS84.fwd(place[1], place[0], source.uniform(0, 360), abs(source.gauss(0, noise_m)))
    return START_MS + at * 1000, lat, lon, 15.0


def android(
    steps: tuple[Step, ...] = DAY,
    place: tuple[float, float] = (52.5, 13.4),
    *,
    noise_m: float = 10.0,
    sleeps: bool = True,
) -> list[Fix]:
    """A fix every 30 s; asleep ten minutes after standing still (if it `sleeps`), awake again 120 m from there."""
    source = random.Random(7)
    path = positions(steps, *place)
    record: list[Fix] = []
    still_since, anchor, asleep = 0, path[0], False
    for at, here in enumerate(path):
        if WGS84.inv(anchor[1], anchor[0], here[1], here[0])[2] > 120.0:
            still_since, anchor, asleep = at, here, False
        elif at - still_since > 600:
            asleep = sleeps
        if not asleep and at % 30 == 0:
            record.append(noisy(at, here, noise_m, source))
    return record


def ios(steps: tuple[Step, ...] = DAY, place: tuple[float, float] = (52.5, 13.4), *, noise_m: float = 5.0) -> list[Fix]:
    """A fix after every 50 m, and none while nothing moves."""
    source = random.Random(7)
    record: list[Fix] = []
    last: tuple[float, float] | None = None
    for at, here in enumerate(positions(steps, *place)):
        if last is None or WGS84.inv(last[1], last[0], here[1], here[0])[2] >= 50.0:
            record.append(noisy(at, here, noise_m, source))
            last = here
    return record
