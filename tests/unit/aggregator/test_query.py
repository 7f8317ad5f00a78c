"""One query in an aggregator: who is counted, once each, and when something is released."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.builders import NOW_MS, key, refused
from tests.unit.studying import HOUR_MS, a_query, a_question, a_study, signed
from waykeep.aggregator.query import Gathering
from waykeep.authority.queries import ANSWERING, ENDED, GATHERING, RELEASED, Contribution, Release
from waykeep.authority.studies import Axis, Study
from waykeep.errors import AggregatorError
from waykeep.formats.ids import OwnerId, sha256
from waykeep.privacy import mechanisms
from waykeep.privacy.bounds import Bounds
from waykeep.privacy.mechanisms import Mechanism

HARDLY_ANY = Mechanism("laplace", mechanisms.MIN_SCALE)
"""Noise that is 0, but for once in four million times."""


def owner(number: int) -> OwnerId:
    return OwnerId("abcdefghij"[number] * 52)


class Asked:
    """A query, and members who are named by numbers."""

    def __init__(self, study: Study | None = None, now_ms: int = NOW_MS) -> None:
        study = study or a_study(questions=(a_question(mechanism=HARDLY_ANY),))
        self.query = a_query(sha256(signed(study)))
        self.gathering = Gathering(study, self.query, now_ms)

    def intend(self, *numbers: int, by: str = "") -> None:
        for number in numbers:
            self.gathering.intend(owner(number), key(f"{number}{by}").public, [("user-cloud", "code")])

    def answer(self, number: int, *values: int, by: str = "") -> None:
        said = Contribution(self.query.id, (tuple(enumerate(values)),), {"algorithm": "code"})
        self.gathering.contribute(key(f"{number}{by}").public, sha256(repr(values).encode()), said)

    def pass_time(self, ms: int) -> None:
        self.gathering.pass_time(NOW_MS + ms)

    @property
    def phase(self) -> str:
        return self.gathering.phase

    @property
    def release(self) -> Release:
        assert self.gathering.release is not None
        return self.gathering.release


def frozen(*numbers: int, study: Study | None = None) -> Asked:
    asked = Asked(study)
    asked.intend(*numbers)
    asked.gathering.freeze()
    assert asked.phase == ANSWERING
    return asked


def test_what_all_answered_is_released_at_once() -> None:
    asked = frozen(0, 1, 2)
    for number, value in enumerate((5, 7, 40)):
        asked.answer(number, value)
        assert asked.gathering.release is None
    asked.pass_time(1)
    assert asked.phase == RELEASED
    assert asked.release.answers[0].values == (52,)
    assert asked.release.measured == {"user-cloud": ("code",), "algorithm": ("code",)}


def test_the_target_freezes_the_cohort() -> None:
    asked = Asked(a_study(target=2))
    asked.intend(0, 1)
    asked.pass_time(0)
    assert asked.phase == ANSWERING
    with refused("query-frozen", AggregatorError):
        asked.intend(2)


def test_the_end_of_gathering_freezes_the_cohort() -> None:
    asked = Asked()
    asked.intend(0, 1)
    asked.pass_time(HOUR_MS - 1)
    assert asked.phase == GATHERING
    asked.pass_time(HOUR_MS)
    assert asked.phase == ANSWERING


def test_a_cohort_one_below_the_minimum_ends_with_that_word_alone() -> None:
    asked = Asked()
    asked.intend(0)
    asked.pass_time(HOUR_MS)
    assert (asked.phase, asked.gathering.ended, asked.gathering.release) == (ENDED, "too-few", None)
    assert asked.gathering.status().cohort == 0
    with refused("query-over", AggregatorError):
        asked.intend(1)


def test_a_query_that_begins_too_late_ends() -> None:
    assert Asked(now_ms=NOW_MS + HOUR_MS).phase == ENDED


def test_one_owner_id_is_counted_once() -> None:
    asked = Asked()
    asked.intend(0, 0, 0)
    with refused("member-repeated", AggregatorError):
        asked.intend(0, by="another user cloud")
    asked.gathering.freeze()
    assert asked.gathering.ended == "too-few"


def test_an_intent_that_is_repeated_is_the_same_one_also_later() -> None:
    asked = frozen(0, 1)
    asked.intend(0)
    asked.answer(0, 3)
    assert asked.gathering.status(owner(0)).counted and not asked.gathering.status(owner(1)).counted
    asked.intend(0)


def test_a_second_answer_is_refused_and_the_same_again_counts_once() -> None:
    asked = frozen(0, 1)
    asked.answer(0, 3)
    asked.answer(0, 3)
    with refused("contribution-repeated", AggregatorError):
        asked.answer(0, 4)
    asked.answer(1, 10)
    asked.pass_time(1)
    assert asked.release.answers[0].values == (13,)


def test_an_answer_before_the_cohort_is_frozen_is_refused() -> None:
    asked = Asked()
    asked.intend(0, 1)
    with refused("contribution-early", AggregatorError):
        asked.answer(0, 3)


def test_an_answer_of_a_stranger_is_refused() -> None:
    asked = frozen(0, 1)
    with refused("contribution-foreign", AggregatorError):
        asked.answer(2, 3)
    with refused("contribution-foreign", AggregatorError):
        asked.answer(0, 3, by="another user cloud")


def test_an_answer_that_comes_late_is_refused() -> None:
    asked = frozen(0, 1, 2)
    asked.answer(0, 3)
    asked.answer(1, 3)
    asked.pass_time(2 * HOUR_MS)
    with refused("query-over", AggregatorError):
        asked.answer(2, 3)


def test_who_does_not_answer_counts_as_the_default() -> None:
    bound = Bounds(1, -10, 10, default=4)
    asked = frozen(0, 1, 2, 3, study=a_study(questions=(a_question(bounds=bound, mechanism=HARDLY_ANY),)))
    asked.answer(0, 10)
    asked.answer(1, -10)
    asked.pass_time(2 * HOUR_MS)
    assert asked.release.answers[0].values == (8,)


def test_fewer_answers_than_the_minimum_release_nothing() -> None:
    asked = frozen(0, 1, 2)
    asked.answer(0, 10)
    asked.pass_time(2 * HOUR_MS)
    assert (asked.phase, asked.gathering.ended, asked.gathering.release) == (ENDED, "too-few", None)


def test_there_is_one_release() -> None:
    asked = frozen(0, 1)
    asked.answer(0, 10)
    asked.answer(1, 10)
    asked.pass_time(1)
    first = asked.release
    for ms in (2, HOUR_MS, 2 * HOUR_MS):
        asked.pass_time(ms)
    assert asked.release is first
    with refused("query-over", AggregatorError):
        asked.gathering.stop()


def test_nothing_of_anybody_is_kept_once_it_is_over() -> None:
    asked = frozen(0, 1)
    asked.answer(0, 10)
    asked.answer(1, 10)
    asked.pass_time(1)
    held: dict[str, Any] = vars(asked.gathering)
    assert [held[name] for name in ("_cohort", "_owners", "_answered", "_sums")] == [{}, {}, {}, []]


def test_the_researcher_stops_it() -> None:
    asked = frozen(0, 1)
    asked.gathering.stop()
    assert (asked.phase, asked.gathering.ended) == (ENDED, "stopped")


def test_sizes_are_told_in_tens() -> None:
    asked = Asked()
    asked.intend(*range(9))
    assert asked.gathering.status().cohort == 0
    asked.intend(9)
    assert asked.gathering.status().cohort == 10
    asked.gathering.freeze()
    for number in range(10):
        asked.answer(number, 1)
    asked.pass_time(1)
    assert asked.release.cohort == 10


def test_cells_below_the_threshold_are_left_out() -> None:
    question = a_question(keys=(Axis("hour", 3),), bounds=Bounds(3, 0, 40, 3, 120), mechanism=HARDLY_ANY, threshold=30)
    asked = frozen(0, 1, study=a_study(questions=(question,)))
    asked.answer(0, 10, 20, 30)
    asked.answer(1, 10, 20, 0)
    asked.pass_time(1)
    assert asked.release.answers[0].values == (None, 40, 30)


@pytest.mark.parametrize("kind", ["laplace", "gaussian"])
def test_noise_is_in_what_is_released(kind: Any) -> None:
    question = a_question(keys=(Axis("cell", 200),), bounds=Bounds(200, 0, 1, 1, 1), mechanism=Mechanism(kind, 50.0))
    asked = frozen(0, 1, study=a_study(questions=(question,)))
    asked.answer(0, *[0] * 200)
    asked.answer(1, *[0] * 200)
    asked.pass_time(1)
    assert len(set(asked.release.answers[0].values)) > 50
