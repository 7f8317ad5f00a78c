"""People: a home, a place of work, habits, a phone; and what they do in some days.

A person is made from the seed and their number alone: the same whatever how many others there are.
"""

from __future__ import annotations

import datetime
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from waykeep.synthetic import phone, trips, truth, world
from waykeep.synthetic.trips import BICYCLE, BUS, CAR, WALK, Trip
from waykeep.synthetic.world import Ints

DAY_MS = 86_400_000
VERSION = 1
"""Of this generator: another one makes other people of the same seed."""


class Habits(NamedTuple):
    """What somebody is like.

    Attributes:
        home, work, others: Crossings; ``others`` are where they shop and meet.
        car, bicycle: Whether they have one.
        pace: Of walking and cycling, against others.
        platform: ``android`` or ``ios``.
    """

    home: Ints
    work: Ints
    others: Ints
    car: bool
    bicycle: bool
    pace: float
    platform: str


class Person(NamedTuple):
    """Somebody's days.

    Attributes:
        tables: By stream what their phone recorded, in the schemas of `waykeep.formats.streams`.
        truth: ``trips`` and ``legs`` as they were (`waykeep.synthetic.truth`).
    """

    number: int
    habits: Habits
    tables: dict[str, pa.Table]
    truth: dict[str, pa.Table]


def person(seed: int, number: int, days: int, first: datetime.date) -> Person:
    """The person of a seed and number, and their days from ``first`` on (UTC)."""
    rng = np.random.default_rng([VERSION, seed, number])
    habits = _habits(rng)
    first_ms = int(datetime.datetime(first.year, first.month, first.day, tzinfo=datetime.UTC).timestamp() * 1000)
    journeys: list[Trip] = []
    for day in range(days):
        weekend = (first + datetime.timedelta(days=day)).weekday() >= 5
        journeys += _day(rng, habits, day * 86_400.0, weekend=weekend)
    # Whoever is on the way at midnight of the last day arrives on another one.
    journeys = [trip for trip in journeys if trip.end_s < days * 86_400.0]
    tables = phone.record(rng, habits.platform, habits.home, journeys, days, first_ms)
    return Person(number, habits, tables, truth.tables(journeys, first_ms))


def _habits(rng: np.random.Generator) -> Habits:
    spread = world.REACH / 2.5
    home = np.clip(np.rint(rng.normal(0, spread, 2)), -world.REACH, world.REACH).astype(np.int64)
    work = home
    while np.abs(work - home).sum() < 4:
        work = np.clip(np.rint(rng.normal(0, spread / 2, 2)), -world.REACH, world.REACH).astype(np.int64)
    others = np.clip(home + np.rint(rng.normal(0, 6, (5, 2))), -world.REACH, world.REACH).astype(np.int64)
    others[np.abs(others - home).sum(1) < 3] = work
    car, bicycle = bool(rng.random() < 0.55), bool(rng.random() < 0.6)
    platform = "android" if rng.random() < 0.6 else "ios"
    return Habits(home, work, others, car, bicycle, float(rng.uniform(0.85, 1.2)), platform)


def _day(rng: np.random.Generator, habits: Habits, begin_s: float, *, weekend: bool) -> list[Trip]:
    """The trips of a day, one after the other, which begins and ends at home."""
    stops: list[tuple[float, Ints]] = []
    if not weekend and rng.random() < 0.92:
        stops.append((rng.normal(8.0, 0.7), habits.work))
        if rng.random() < 0.15:
            stops.append((rng.normal(12.3, 0.2), habits.others[0]))
            stops.append((rng.normal(13.2, 0.2), habits.work))
        if rng.random() < 0.25:
            stops.append((rng.normal(17.0, 0.6), habits.others[int(rng.integers(5))]))
        stops.append((rng.normal(18.3, 0.7), habits.home))
    if rng.random() < (0.8 if weekend else 0.2):
        at = rng.uniform(10, 16) if weekend else rng.normal(20.0, 0.3)
        stops.append((at, habits.others[int(rng.integers(5))]))
        stops.append((at + rng.uniform(0.7, 2.5), habits.home))
    here, now = habits.home, begin_s
    found: list[Trip] = []
    for hour, there in stops:
        if np.array_equal(here, there):
            continue
        # Nobody leaves before they have been there for a while.
        start = max(begin_s + float(hour) * 3600, now + 900)
        trip = trips.travel(rng, _mode(rng, habits, here, there), here, there, start, habits.pace)
        found.append(trip)
        here, now = there, trip.end_s
    return found


def _mode(rng: np.random.Generator, habits: Habits, here: Ints, there: Ints) -> str:
    """By distance, and by what somebody has."""
    km = float(np.abs(there - here).sum()) * world.BLOCK_M / 1000
    if km < 0.9 or (km < 1.6 and rng.random() < 0.5):
        return WALK
    weights = {
        WALK: 0.3 if km < 2.5 else 0.0,
        BICYCLE: (1.2 if km < 5 else 0.3) if habits.bicycle else 0.0,
        CAR: (0.6 if km < 2.5 else 1.6) if habits.car else 0.0,
        BUS: 0.9,
    }
    names = list(weights)
    total = np.array([weights[name] for name in names])
    return names[int(rng.choice(len(names), p=total / total.sum()))]
