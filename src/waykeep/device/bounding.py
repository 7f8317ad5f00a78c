"""A bound of one person's contribution, chosen privately: from the noisy histogram of an earlier release.

A histogram of how much everybody has (such as `trip-statistics` with the measure ``total-distance``) is a question like
any other. What is computed of its release alone is post-processing: it costs nobody anything, however often it is done
(Dwork, Roth 2014, proposition 2.1). What the bound then takes away is told with it, as far as noise lets it be known.

Negative counts are taken for 0, so noise in bins that nobody is in adds people who are not there, on average
``noise_only`` of them; where that is more than what lies above the quantile, the quantile is the noise's.
"""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import accumulate

import msgspec

from waykeep.authority import questions
from waykeep.authority.queries import Answer, Checked
from waykeep.authority.studies import Question
from waykeep.errors import DeviceError
from waykeep.privacy.mechanisms import Mechanism
from waykeep.privacy.numbers import check_probability

_DOUBLING_M = 100
_OPEN = 16
"""Bins of ``total-distance``: number k is up to 100 m * 2**k, the last has no end, and there are none above it."""


class Suggested(msgspec.Struct, frozen=True):
    """A bound, and its bias.

    Attributes:
        bin: In words, the smallest so that at least ``quantile`` of the noisy counts lie in it or below.
        metres: Its upper end, where bins are distances; None where they are not, or it has none.
        above: The share of people above it by the noisy histogram: they would be cut.
        noise_only: See the module; as a share of all that is counted.
    """

    question: str
    quantile: float
    bin: str
    metres: int | None
    above: float
    noise_only: float

    @property
    def reliable(self) -> bool:
        """Whether noise alone could not have put the quantile there."""
        return self.noise_only <= 1 - self.quantile


def suggest(checked: Checked, name: str, quantile: float) -> Suggested:
    """A bound from the answer to a question with one key.

    Raises:
        PrivacyError: ``quantile-malformed`` unless it lies between 0 and 1.
        DeviceError: ``bounds-question`` for a question that the study does not have, or that is no histogram;
            ``bounds-empty`` where no count is positive.
    """
    check_probability("quantile-malformed", quantile)
    question, answer = _found(checked, name)
    doubles = question.bundle.startswith("trip-statistics ") and question.parameters.get("measure") == "total-distance"
    values = answer.values[: _OPEN + 1] if doubles else answer.values
    counts = [max(0, value or 0) for value in values]
    total = sum(counts)
    if not total:
        raise DeviceError(
            "bounds-empty", "found a histogram with nobody in it", hint="ask more people, or with less noise"
        )
    asked = Fraction(quantile).limit_denominator(10**6) * total
    number, below = next((n, sum_) for n, sum_ in enumerate(accumulate(counts)) if sum_ >= asked)
    return Suggested(
        question=name,
        quantile=quantile,
        bin=questions.labels(question)[number][0],
        metres=_DOUBLING_M << number if doubles and number < _OPEN else None,
        above=1 - below / total,
        noise_only=len(counts) * _positive(question.mechanism) / total,
    )


def _found(checked: Checked, name: str) -> tuple[Question, Answer]:
    asked = checked.signed.study.questions
    for question, answer in zip(asked, checked.release.answers, strict=True):
        if question.name == name and len(question.keys) == 1:
            return question, answer
    known = ", ".join(question.name for question in asked if len(question.keys) == 1)
    raise DeviceError(
        "bounds-question", "found no question of that name with one key", hint=f"there are: {known or 'none'}"
    )


def _positive(mechanism: Mechanism) -> float:
    """The mean of the noise where it is above 0, taken for 0 elsewhere; of the Gaussian the continuous one's."""
    if mechanism.kind == "gaussian":
        return mechanism.scale / math.sqrt(2 * math.pi)
    p = math.exp(-1 / mechanism.scale)
    return p / (1 - p) / (1 + p)
