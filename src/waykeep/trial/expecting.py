"""How far a release of a question will be from the truth, and what takes it there: bounds, non-response, noise.

The truth is the sum of what the algorithm says of everybody, before the bounds: a simulation alone knows it. Whoever
has no data counts as the default in it as well. Each simulated release draws anew who answers (who does not counts as
the default, as `waykeep.aggregator.query` has it) and its noise, which comes from OpenDP and so from no seed. A cell
that a release hides, since it is below the threshold, counts as 0.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

import msgspec
import numpy as np
import numpy.typing as npt

from waykeep.authority import queries, questions
from waykeep.authority.studies import Question
from waykeep.privacy import bounds, noise

MOST_SHOWN = 12
"""Cells that are told one by one: those with the largest true sums."""
QUANTILE = 0.95
Bools = npt.NDArray[np.bool_]
Floats = npt.NDArray[np.float64]


class Expected(msgspec.Struct, frozen=True):
    """Of one cell, or of all together; not yet divided by ``per``.

    Attributes:
        cell: What its keys are; empty for all together and where there are no keys.
        true, clamped: Sums over all people, before and after the bounds.
        bias, bias_share: What the bounds do to the sum, and of it; the share is None where the true sum is 0.
        nonresponse: What those who do not answer do to it, on average.
        hidden: How often the cell was below the threshold; of all together the share of cells.
        rms, quantile95: Of ``released - true`` the root mean square, and the 95 % quantile of its size; of all together
            over all cells.
    """

    cell: tuple[str, ...]
    true: int
    clamped: int
    bias: int
    bias_share: float | None
    nonresponse: float
    hidden: float
    rms: float
    quantile95: float


class Expectation(msgspec.Struct, frozen=True):
    """Of one question.

    Attributes:
        cut: People whose contribution the bounds changed.
        defaulted: People who count as the default, by why: ``no-data``, or how the algorithm failed.
        interval: The noise of a cell lies within plus and minus this 19 times of 20.
        cells: `MOST_SHOWN` at most. whole: All together.
        judgement: In words.
    """

    question: str
    unit: str
    per: int
    people: int
    cut: int
    defaulted: dict[str, int]
    interval: int
    cells: tuple[Expected, ...]
    whole: Expected
    judgement: str


class Tally:
    """What everybody would contribute to a question, added one person after the other."""

    def __init__(self, question: Question) -> None:
        self.question = question
        self.people = self.cut = 0
        self.true = [0] * question.bounds.cells
        self.defaulted: Counter[str] = Counter()
        self._differences: list[tuple[int, int, int]] = []

    def add(self, vector: Sequence[int]) -> None:
        """Somebody whose rows make this vector. Raises: PrivacyError: ``vector-malformed``."""
        bound = self.question.bounds
        clamped = bounds.clamp(vector, bound)
        self.cut += clamped != list(vector)
        for cell, (wanted, given) in enumerate(zip(vector, clamped, strict=True)):
            self.true[cell] += wanted
            if given != bound.default:
                self._differences.append((self.people, cell, given - bound.default))
        self.people += 1

    def add_default(self, why: str) -> None:
        """Somebody who has no data, or for whom the algorithm failed."""
        self.defaulted[why] += 1
        self.add(bounds.default(self.question.bounds))

    def differences(self) -> npt.NDArray[np.int64]:
        """What a sum has beyond the default of everybody: rows of person, cell and difference; shape (n, 3)."""
        return np.array(self._differences, np.int64).reshape(-1, 3)


def answering(people: int, response: float, releases: int, seed: int) -> Iterator[Bools]:
    """For each release who answers; the same for each question of a study, as a member answers all of them."""
    rng = np.random.default_rng([seed, people])
    for _ in range(releases):
        yield rng.random(people) < response


def too_few(people: int, response: float, releases: int, seed: int, minimum: int) -> float:
    """The share of queries that would release nothing, since fewer than the minimum answer."""
    return sum(int(a.sum()) < minimum for a in answering(people, response, releases, seed)) / releases


def expect(
    tally: Tally, response: float, releases: int, seed: int, done: Callable[[], None] = lambda: None
) -> Expectation:
    """What to expect of a release.

    Args:
        response: How likely it is that a member answers.
        releases: How many are drawn. done: Is told of each.

    Raises: PrivacyError: As `noise.release`.
    """
    question, bound = tally.question, tally.question.bounds
    differences = tally.differences()
    wrong, hidden = np.empty((releases, bound.cells)), np.zeros(bound.cells)
    for number, answers in enumerate(answering(tally.people, response, releases, seed)):
        sums = _sums(tally, differences[answers[differences[:, 0]]])
        noisy = noise.release(sums, question.mechanism, bound)
        shown = [question.threshold is None or value >= question.threshold for value in noisy]
        wrong[number] = [v * s - true for v, s, true in zip(noisy, shown, tally.true, strict=True)]
        hidden += ~np.array(shown)
        done()
    clamped = _sums(tally, differences)
    nonresponse = [(1 - response) * (tally.people * bound.default - value) for value in clamped]
    labels = questions.labels(question)

    def cell(number: int) -> Expected:
        figures = (tally.true[number], clamped[number], nonresponse[number])
        return _expected(labels[number], *figures, float(hidden[number]) / releases, wrong[:, number])

    largest = sorted(range(bound.cells), key=lambda n: (-abs(tally.true[n]), n))[:MOST_SHOWN]
    whole = _expected(
        (), sum(tally.true), sum(clamped), math.fsum(nonresponse), float(hidden.sum()) / releases / bound.cells, wrong
    )
    interval = queries.interval(question)
    return Expectation(
        question=question.name,
        unit=question.unit or question.value,
        per=question.per,
        people=tally.people,
        cut=tally.cut,
        defaulted=dict(tally.defaulted),
        interval=interval,
        cells=tuple(cell(number) for number in sorted(largest)),
        whole=whole,
        judgement=_judgement(whole, interval, max(map(abs, tally.true)), bound.cells),
    )


def _sums(tally: Tally, differences: npt.NDArray[np.int64]) -> list[int]:
    bound = tally.question.bounds
    sums = np.full(bound.cells, tally.people * bound.default, np.int64)
    np.add.at(sums, differences[:, 1], differences[:, 2])
    return [int(value) for value in sums]


def _expected(
    label: tuple[str, ...], true: int, clamped: int, nonresponse: float, hidden: float, wrong: Floats
) -> Expected:
    bias = clamped - true
    return Expected(
        cell=label,
        true=true,
        clamped=clamped,
        bias=bias,
        bias_share=bias / true if true else None,
        nonresponse=nonresponse,
        hidden=hidden,
        rms=float(np.sqrt(np.mean(wrong**2))),
        quantile95=float(np.quantile(np.abs(wrong), QUANTILE, method="inverted_cdf")),
    )


def _judgement(whole: Expected, interval: int, largest: int, cells: int) -> str:
    if whole.bias_share is None:
        return "the true sum is 0: there is nothing to compare with"
    of = "the sum" if cells == 1 else "the largest cell"
    return "; ".join(
        (
            f"noise is {_percent(interval / largest)} of {of}",
            f"bounds {_moves(whole.bias_share)}",
            f"those who do not answer {_moves(whole.nonresponse / whole.true)}",
        )
    )


def _moves(share: float) -> str:
    if not share:
        return "change nothing"
    return f"{'take away' if share < 0 else 'add'} {_percent(abs(share))}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"
