"""What to expect of a release: with known numbers each cause of error is exact, and a bound too small shows as bias."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pytest

from tests.unit.studying import a_question
from waykeep.authority import queries
from waykeep.authority.studies import Axis
from waykeep.privacy import mechanisms
from waykeep.privacy.bounds import Bounds
from waykeep.privacy.mechanisms import Mechanism
from waykeep.trial import expecting
from waykeep.trial.expecting import Expectation, Tally

HARDLY_ANY = Mechanism("laplace", mechanisms.MIN_SCALE)
"""Noise that is 0, but for once in four million times."""


def tallied(vectors: Sequence[Sequence[int]], bounds: Bounds, **changes: Any) -> Tally:
    keys = () if bounds.cells == 1 else (Axis("bin", bounds.cells),)
    made = Tally(a_question(bounds=bounds, keys=keys, **{"mechanism": HARDLY_ANY, **changes}))
    for vector in vectors:
        made.add(vector)
    return made


def expected(tally: Tally, response: float = 1.0, releases: int = 20) -> Expectation:
    return expecting.expect(tally, response, releases, seed=7)


def test_where_bounds_hold_and_all_answer_nothing_is_wrong() -> None:
    found = expected(tallied([[10], [20], [30]], Bounds(1, 0, 30)))
    (cell,) = found.cells
    assert (cell.true, cell.clamped, cell.bias, cell.nonresponse, cell.rms, cell.quantile95) == (60, 60, 0, 0, 0, 0)
    assert (found.people, found.cut, found.defaulted) == (3, 0, {})
    assert "bounds change nothing; those who do not answer change nothing" in found.judgement


def test_a_bound_that_is_too_small_shows_as_bias_and_as_error() -> None:
    found = expected(tallied([[10], [20], [30]], Bounds(1, 0, 15)))
    assert (found.whole.true, found.whole.clamped, found.whole.bias, found.cut) == (60, 40, -20, 2)
    assert found.whole.bias_share == -1 / 3
    assert (found.whole.rms, found.whole.quantile95) == (20, 20)
    assert "bounds take away 33.3 %" in found.judgement


def test_a_lower_bound_that_is_too_large_adds() -> None:
    found = expected(tallied([[10], [20]], Bounds(1, 15, 40, default=15)))
    assert (found.whole.bias, found.cut) == (5, 1)
    assert "bounds add 16.7 %" in found.judgement


def test_of_several_cells_those_that_the_bounds_drop_are_bias() -> None:
    bounds = Bounds(3, 0, 10, most_cells=2, total=15)
    found = expected(tallied([[12, 9, 3], [1, 0, 0]], bounds))
    assert [cell.true for cell in found.cells] == [13, 9, 3]
    assert [cell.clamped for cell in found.cells] == [11, 5, 0]
    assert [cell.cell for cell in found.cells] == [("0",), ("1",), ("2",)]
    assert (found.whole.true, found.whole.bias, found.cut) == (25, -9, 1)
    assert found.whole.rms == pytest.approx(math.sqrt((2**2 + 4**2 + 3**2) / 3))


def test_non_response_is_the_default_of_those_who_do_not_answer() -> None:
    tally = tallied([[10]] * 4, Bounds(1, 0, 30, default=2))
    found = expected(tally, response=0.75)
    assert found.whole.nonresponse == 0.25 * (4 * 2 - 4 * 10)
    missing = [4 - int(answers.sum()) for answers in expecting.answering(4, 0.75, 20, seed=7)]
    assert 0 < sum(missing) < 4 * 20
    assert found.whole.rms == pytest.approx(math.sqrt(sum((8 * each) ** 2 for each in missing) / 20))
    assert found.whole.quantile95 == sorted(8 * each for each in missing)[18]


def test_where_nobody_answers_the_release_is_the_default() -> None:
    found = expected(tallied([[10]] * 4, Bounds(1, 0, 30, default=2)), response=0.0)
    assert (found.whole.nonresponse, found.whole.rms) == (-32, 32)


def test_whoever_has_no_data_is_the_default_in_the_truth_as_well() -> None:
    tally = tallied([[10]], Bounds(1, 0, 30, default=2))
    for why in ("no-data", "no-data", "run-failed: why"):
        tally.add_default(why)
    found = expected(tally)
    assert (found.people, found.whole.true, found.whole.bias, found.whole.rms) == (4, 16, 0, 0)
    assert found.defaulted == {"no-data": 2, "run-failed: why": 1}


@pytest.mark.parametrize("kind", ["laplace", "gaussian"])
def test_noise_is_in_the_error_as_its_distribution_has_it(kind: Any) -> None:
    """Within a quarter: ten times what 2000 draws of the Laplace distribution are off by."""
    tally = tallied([[10]] * 4, Bounds(1, 0, 30), mechanism=Mechanism(kind, 50.0))
    found = expected(tally, releases=2000)
    deviation = 50.0 * (math.sqrt(2) if kind == "laplace" else 1)
    assert found.whole.rms == pytest.approx(deviation, rel=0.25)
    assert found.interval == queries.interval(tally.question)
    assert found.whole.quantile95 == pytest.approx(found.interval, rel=0.25)
    assert found.judgement.startswith(f"noise is {100 * found.interval / 40:.3g} % of the sum")


def test_a_hidden_cell_counts_as_nothing() -> None:
    found = expected(tallied([[9, 2]], Bounds(2, 0, 10, most_cells=2, total=20), threshold=5))
    assert [(cell.hidden, cell.rms) for cell in found.cells] == [(0, 0), (1, 2)]
    assert found.whole.hidden == 0.5


def test_the_twelve_largest_cells_are_told_in_their_order() -> None:
    vector = [number * 7 % 20 for number in range(20)]
    found = expected(tallied([vector], Bounds(20, 0, 20, most_cells=20, total=400)), releases=2)
    assert [cell.cell for cell in found.cells] == [(str(n),) for n, value in enumerate(vector) if value >= 8]
    assert found.whole.true == sum(vector)


def test_nothing_is_compared_with_a_sum_of_nothing() -> None:
    found = expected(tallied([[0], [0]], Bounds(1, 0, 30)))
    assert found.whole.bias_share is None
    assert found.judgement == "the true sum is 0: there is nothing to compare with"


def test_the_same_answer_all_questions_and_too_few_of_them_release_nothing() -> None:
    drawn = [list(answers) for answers in expecting.answering(10, 0.5, 40, seed=3)]
    assert drawn == [list(answers) for answers in expecting.answering(10, 0.5, 40, seed=3)]
    assert drawn != [list(answers) for answers in expecting.answering(10, 0.5, 40, seed=4)]
    few = sum(sum(answers) < 5 for answers in drawn)
    assert 0 < few < 40
    assert expecting.too_few(10, 0.5, 40, 3, minimum=5) == few / 40
    assert expecting.too_few(10, 1.0, 40, 3, minimum=10) == 0
    assert expecting.too_few(10, 1.0, 40, 3, minimum=11) == 1


def test_sums_beyond_64_bits_of_what_an_algorithm_says_are_exact() -> None:
    found = expected(tallied([[2**62]] * 4, Bounds(1, 0, 30)), releases=2)
    assert found.whole.bias == 120 - 2**64
