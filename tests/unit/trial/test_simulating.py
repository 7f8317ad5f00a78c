"""A study of people who are not there: what they contribute is counted here by other means as well."""

from __future__ import annotations

import datetime
from typing import Any

import msgspec
import pytest

from tests.support import algorithms
from tests.unit.builders import refused
from tests.unit.studying import a_question, a_study, opened
from waykeep.authority.areas import Area
from waykeep.authority.scopes import Scope
from waykeep.authority.studies import Question
from waykeep.formats.bundle import Bundle
from waykeep.privacy import mechanisms
from waykeep.privacy.bounds import MAX_VALUE, Bounds
from waykeep.privacy.mechanisms import Mechanism
from waykeep.synthetic import people
from waykeep.trial import moving, simulating
from waykeep.trial.simulating import Days, Settings, Simulated

FIRST = datetime.date(2026, 6, 1)
DAY_MS = people.DAY_MS
BEGIN_MS = (FIRST - datetime.date(1970, 1, 1)).days * DAY_MS
SETTINGS = Settings(people=4, response=1.0, releases=3, seed=5)
EVERYBODY = Bounds(1, 0, MAX_VALUE)


def asked(
    bundle: Bundle, bounds: Bounds = EVERYBODY, stream: str = "location", name: str = "rows", **scope: Any
) -> Question:
    """How many rows there are on the first two days."""
    given = {"from_ms": BEGIN_MS, "to_ms": BEGIN_MS + 2 * DAY_MS, "parameters": {}, **scope}
    return a_question(
        name=name,
        algorithm=bundle.digest,
        scope=Scope(streams={stream: ("ts_ms",)}, stores=False, **given),
        bounds=bounds,
        mechanism=Mechanism("laplace", mechanisms.MIN_SCALE),
    )


def simulated(bundle: Bundle, *questions: Question, settings: Settings = SETTINGS) -> Simulated:
    return simulating.simulate(opened(a_study(questions=questions)), {bundle.digest: bundle}, settings)


def reading(stream: str = "location") -> Bundle:
    return algorithms.reader(stream, "ts_ms")[0]


def lived(days: int, until_ms: int, stream: str = "location") -> list[int]:
    """How many rows each of the four has before a time."""
    found = [people.person(5, number, days, FIRST).tables[stream]["ts_ms"].to_pylist() for number in range(4)]
    return [sum(time < until_ms for time in times) for times in found]


def test_truth_and_bias_are_those_of_the_people_that_were_made() -> None:
    bundle, rows = reading(), lived(2, BEGIN_MS + 2 * DAY_MS)
    most = sorted(rows)[1]
    told = simulated(bundle, asked(bundle), asked(bundle, Bounds(1, 0, most), name="bounded"))
    free, bounded = (each.expected for each in told.questions)
    assert (free.whole.true, free.whole.bias, free.whole.rms) == (sum(rows), 0, 0)
    assert bounded.whole.true == sum(rows)
    assert bounded.whole.clamped == sum(min(count, most) for count in rows) < sum(rows)
    assert bounded.cut == sum(count > most for count in rows) > 0
    assert told.questions[0].days == Days(FIRST, 2, clipped=False)


def test_times_are_as_coarse_as_in_a_vault() -> None:
    """A step of a day that the window holds half of is not read."""
    bundle = reading()
    question = asked(bundle, to_ms=BEGIN_MS + 3 * DAY_MS // 2, step_ms=DAY_MS)
    (told,) = simulated(bundle, question).questions
    assert told.expected.whole.true == sum(lived(2, BEGIN_MS + DAY_MS)) < sum(lived(2, BEGIN_MS + 3 * DAY_MS // 2))


def test_of_a_long_window_the_first_days_are_simulated() -> None:
    bundle = reading("battery")
    question = asked(bundle, stream="battery", to_ms=BEGIN_MS + 40 * DAY_MS)
    (told,) = simulated(bundle, question).questions
    assert told.days == Days(FIRST, 28, clipped=True)
    assert told.expected.whole.true == sum(lived(28, BEGIN_MS + 40 * DAY_MS, "battery"))


def test_a_moving_window_is_that_of_the_first_query() -> None:
    bundle = reading()
    study = a_study(starts_ms=BEGIN_MS + 5 * DAY_MS, gather_ms=3_600_000)
    question = msgspec.structs.replace(asked(bundle, from_ms=None, to_ms=None, last_ms=2 * DAY_MS))
    signed = opened(msgspec.structs.replace(study, questions=(question,)))
    (told,) = simulating.simulate(signed, {bundle.digest: bundle}, SETTINGS).questions
    # From 1 o'clock on the fourth day to 1 o'clock on the sixth.
    assert told.days == Days(FIRST + datetime.timedelta(3), 3, clipped=False)


def test_code_that_fails_and_streams_that_nobody_has_are_the_default_and_said_so() -> None:
    broken, _ = algorithms.slow("broken", b"def run(tables, parameters):\n    return {}['x']\n")
    default = Bounds(1, 0, 40, default=3)
    (told,) = simulated(broken, asked(broken, default, parameters={"rounds": (0,)})).questions
    assert told.expected.defaulted == {"run-failed: found code that raised KeyError": 4}
    assert told.expected.whole.true == 12
    unmade = reading("json/manual/mode_confirm")
    found = simulated(unmade, asked(unmade, default, stream="json/manual/mode_confirm"))
    assert found.questions[0].expected.defaulted == {"no-data": 4}
    assert "json/manual/mode_confirm: nobody has any" in found.left_out


def test_areas_are_not_simulated_and_it_says_so() -> None:
    bundle, area = reading(), Area(((0, 0), (0, 10), (10, 10)), ())
    found = simulated(bundle, asked(bundle, areas=(area,)))
    assert found.questions[0].expected.whole.true == sum(lived(2, BEGIN_MS + 2 * DAY_MS))
    assert any(words.startswith("areas") for words in found.left_out)
    assert not any(words.startswith("areas") for words in simulated(bundle, asked(bundle)).left_out)


def test_where_the_town_is_moved_areas_count() -> None:
    """Of the square of half a degree north and east of the centre only what lies in it."""
    bundle, there = reading(), Settings(4, 1.0, 2, 5, at=moving.Place(60.0, 10.0))
    corners = (
        (600_000_000, 100_000_000),
        (600_000_000, 105_000_000),
        (605_000_000, 105_000_000),
        (605_000_000, 100_000_000),
    )
    found = simulated(bundle, asked(bundle, areas=(Area(corners, ()),)), settings=there)
    rows = [people.person(5, number, 2, FIRST).tables["location"] for number in range(4)]
    inside = [
        row["lat_e7"] >= 5_000_000 and row["lon_e7"] >= -300_000_000 for table in rows for row in table.to_pylist()
    ]
    assert 0 < sum(inside) < len(inside)
    assert found.questions[0].expected.whole.true == pytest.approx(sum(inside), abs=2)
    assert found.left_out == ("limits of time and memory",)


def test_fewer_people_than_the_minimum_release_nothing() -> None:
    bundle = reading()
    study = opened(a_study(questions=(asked(bundle),), minimum=5))
    assert simulating.simulate(study, {bundle.digest: bundle}, SETTINGS).too_few == 1
    assert simulated(bundle, asked(bundle)).too_few == 0


def test_progress_is_told_of_each_person_and_release() -> None:
    bundle, seen = reading(), []
    simulating.simulate(opened(a_study(questions=(asked(bundle),))), {bundle.digest: bundle}, SETTINGS, seen.append)
    assert seen == ["people"] * 4 + ["releases"] * 3


def test_a_bundle_that_does_not_answer_the_question_is_refused() -> None:
    bundle = reading()
    with refused("study-mismatch"):
        simulated(bundle, msgspec.structs.replace(asked(bundle), value="other"))


@pytest.mark.parametrize("seed", [1, 2])
def test_the_same_seed_makes_the_same_people(seed: int) -> None:
    bundle, settings = reading(), Settings(4, 1.0, 2, seed)
    first, again = (simulated(bundle, asked(bundle), settings=settings).questions[0].expected for _ in range(2))
    assert first.whole.true == again.whole.true != sum(lived(2, BEGIN_MS + 2 * DAY_MS))
