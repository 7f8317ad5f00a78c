"""Synthetic people: of a seed alone, as phones see them, and true to what really happened."""

from __future__ import annotations

import ast
import datetime
import itertools
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import waykeep
from tests.support.program import waykeep as program
from tests.unit.algorithms import bundles
from waykeep.formats import streams, table
from waykeep.formats.ids import sha256
from waykeep.synthetic import people, phone, trips, world
from waykeep.synthetic.people import Person

FIRST = datetime.date(2026, 6, 1)
FIRST_MS = 1_780_272_000_000
DAY_MS = 86_400_000
DAYS, COUNT = 7, 40


@pytest.fixture(scope="module")
def crowd() -> list[Person]:
    return [people.person(1, number, DAYS, FIRST) for number in range(COUNT)]


def digest(person: Person) -> str:
    every = {**person.tables, **person.truth}
    return sha256(b"".join(table.to_parquet(every[name]) for name in sorted(every)))


def test_the_same_seed_gives_the_same_people_also_in_another_process(crowd: list[Person]) -> None:
    code = (
        "import datetime; from tests.unit.synthetic.test_people import digest; from waykeep.synthetic import people; "
        "print(digest(people.person(1, 3, 7, datetime.date(2026, 6, 1))))"
    )
    root = Path(__file__).parents[3]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, check=True, text=True)
    assert done.stdout.strip() == digest(crowd[3]) == digest(people.person(1, 3, DAYS, FIRST))


def test_other_seeds_and_numbers_give_other_people(crowd: list[Person]) -> None:
    assert len({digest(person) for person in [*crowd, people.person(2, 0, DAYS, FIRST)]}) == COUNT + 1


def test_they_are_made_of_the_seed_alone() -> None:
    """The room reads no file, no clock and no randomness of the machine."""
    for path in (Path(waykeep.__file__).parent / "synthetic").glob("*.py"):
        tree = ast.parse(path.read_text())
        named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        asked = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        assert not {"open", "input"} & named and not {"now", "today", "read_bytes", "read_text", "urandom"} & asked
        seeded = [n for n in ast.walk(tree) if isinstance(n, ast.Call) and getattr(n.func, "attr", "") == "default_rng"]
        assert all(call.args for call in seeded)


def test_streams_are_those_of_real_phones(crowd: list[Person]) -> None:
    for person in crowd:
        assert set(person.tables) == set(streams.RECORDED)
        for stream, rows in person.tables.items():
            assert rows.schema == streams.schema(stream)
            rows.validate(full=True)
            times = rows["ts_ms"].to_numpy()
            assert (np.diff(times) >= 0).all()
            assert len(times) == 0 or FIRST_MS <= times[0] <= times[-1] < FIRST_MS + DAYS * DAY_MS
            assert table.from_parquet(table.to_parquet(rows)).num_rows == rows.num_rows


def test_nobody_is_where_anybody_lives(crowd: list[Person]) -> None:
    """On the Atlantic, within five kilometres of one spot."""
    for person in crowd:
        for name, centre in (("lat_e7", world.CENTRE[0]), ("lon_e7", world.CENTRE[1])):
            found = person.tables["location"][name].to_numpy() / 1e7
            assert (np.abs(found - centre) < 0.1).all()


def test_both_platforms_gaps_and_flat_batteries_are_there(crowd: list[Person]) -> None:
    assert {person.habits.platform for person in crowd} == {"android", "ios"}
    for platform in ("android", "ios"):
        steps = np.concatenate(
            [np.diff(p.tables["location"]["ts_ms"].to_numpy()) for p in crowd if p.habits.platform == platform]
        )
        moving = steps[steps < 200_000]
        assert (24_000 < np.median(moving) < 36_000) == (platform == "android")
    hours = [person.tables["battery"].num_rows for person in crowd]
    assert max(hours) == DAYS * 24 and min(hours) < DAYS * 24 - 1


def test_ways_lie_on_streets_and_turn_at_crossings(crowd: list[Person]) -> None:
    rng = np.random.default_rng(5)
    for _ in range(200):
        start, end = rng.integers(-20, 20, (2, 2))
        if np.array_equal(start, end):
            continue
        path = world.route(rng, start, end) / world.BLOCK_M
        assert np.array_equal(path[0], start) and np.array_equal(path[-1], end)
        assert np.array_equal(path, np.rint(path))
        assert (np.count_nonzero(np.diff(path, axis=0), axis=1) == 1).all()
        assert world.length(path) == np.abs(end - start).sum()


def test_speeds_are_those_of_their_modes() -> None:
    rng = np.random.default_rng(6)
    for mode in trips.MODES:
        trip = trips.travel(rng, mode, np.array([0, 0]), np.array([24, 16]), 0.0, 1.0)
        assert trip.mode == mode
        (leg,) = [leg for leg in trip.legs if leg.mode == mode]
        spent, way = np.diff(leg.times), np.hypot(*np.diff(leg.path, axis=0).T)
        assert (spent >= 0).all()
        speed = way[way > 0] / spent[way > 0]
        assert 0.8 * trips.PACE[mode] < speed.min() <= speed.max() < 1.2 * trips.PACE[mode]


def test_the_truth_is_one_trip_after_another(crowd: list[Person]) -> None:
    for person in crowd:
        whole, legs = person.truth["trips"].to_pylist(), person.truth["legs"].to_pylist()
        for before, after in itertools.pairwise(whole):
            assert before["end_ms"] <= after["start_ms"]
            assert before["destination_lat_e7"] == after["origin_lat_e7"]
        for trip in whole:
            parts = [leg for leg in legs if leg["trip"] == trip["trip"]]
            assert sum(leg["distance_m"] for leg in parts) == trip["distance_m"]
            # Whoever begins at a stop waits for the bus first.
            assert parts[0]["start_ms"] >= trip["start_ms"] and parts[-1]["end_ms"] == trip["end_ms"]


def test_places_lie_about_where_somebody_is(crowd: list[Person]) -> None:
    """As far off as they say themselves, more or less."""
    person = crowd[0]
    home = person.habits.home[None] * world.BLOCK_M
    (lat,), (lon,) = world.e7(home.astype(float))
    rows = person.tables["filtered-location"]
    night = rows["ts_ms"].to_numpy() % DAY_MS < 5 * 3_600_000
    off = np.hypot(rows["lat_e7"].to_numpy()[night] - lat, rows["lon_e7"].to_numpy()[night] - lon) / 1e7 * 111_195
    assert off.max() < 120


def test_algorithms_find_about_what_happened(crowd: list[Person]) -> None:
    """Trips and metres of all forty, against the truth."""
    found = {"trips": 0, "metres": 0}
    for person in crowd:
        found["trips"] += len(_run("trips", person))
        found["metres"] += sum(int(row["distance_m"]) for row in _run("mode-share", person))
    true = [row for person in crowd for row in person.truth["trips"].to_pylist()]
    assert found["trips"] == pytest.approx(len(true), rel=0.15)
    assert found["metres"] == pytest.approx(sum(row["distance_m"] for row in true), rel=0.15)


def _run(name: str, person: Person) -> list[bundles.Row]:
    return bundles.run(name, person.tables)


def test_an_error_that_wanders_forgets_itself() -> None:
    keep = np.array([0.0, 0.5, 0.5])
    fresh = np.array([[1.0, 2.0], [0.0, 0.0], [1.0, 0.0]])
    assert phone._wandering(keep, fresh).tolist() == [[1.0, 2.0], [0.5, 1.0], [1.25, 0.5]]


def test_the_verb_writes_folders_and_says_what_they_are(tmp_path: Path) -> None:
    made = [tmp_path / "one", tmp_path / "two"]
    for folder in made:
        arguments = ("--people", "3", "--days", "2", "--seed", "9", "-o", str(folder))
        said = json.loads(program("simulate", *arguments, "--json").stdout)
        assert said["people"] == 3 and said["points"] > 100
    files = [{str(p.relative_to(f)): p.read_bytes() for p in f.rglob("*") if p.is_file()} for f in made]
    assert files[0] == files[1]
    assert {"00002/location.parquet", "00002/truth-trips.parquet", "synthetic.json"} <= set(files[0])
    assert isinstance(table.from_parquet(files[0]["00000/location.parquet"]), pa.Table)
