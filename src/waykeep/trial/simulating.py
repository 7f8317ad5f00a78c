"""A study before anybody is asked: synthetic people answer it here, and what to expect of a release is told.

What a user cloud does is done with the same functions: rows as coarse as the question has them, the bundle's function,
the vector of its rows, the bounds, the default. Left out are sandbox, attestation, journal and network, which change no
number; limits of time and memory, which might; and areas, unless it is said where the made-up town shall be.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping

import msgspec
import pyarrow as pa

from waykeep.authority import plans, questions, scopes
from waykeep.authority.asking import Ask
from waykeep.authority.studies import Question, Signed, Study
from waykeep.errors import WaykeepError
from waykeep.formats import streams
from waykeep.formats.bundle import Bundle
from waykeep.formats.ids import Digest
from waykeep.synthetic import people as synthetic
from waykeep.synthetic.people import DAY_MS
from waykeep.trial import expecting, moving
from waykeep.trial.expecting import Expectation, Tally
from waykeep.trial.moving import Place
from waykeep.trial.unconfined import Unconfined
from waykeep.vault.coarse import coarse

MAX_DAYS = 28
"""Days that people are made for: of a longer window the first."""
NO_DATA = "no-data"
_EPOCH = datetime.date(1970, 1, 1).toordinal()

Tables = dict[str, pa.Table]


class Settings(msgspec.Struct, frozen=True):
    """Of a simulation.

    Attributes:
        people: How many are made, and take part. seed: They are made from it, and who answers is drawn from it.
        response: How likely it is that one who takes part answers.
        releases: How many are drawn.
        at: Where the centre of their town is; None for the open sea where it was made, and then no area counts.
    """

    people: int
    response: float
    releases: int
    seed: int
    at: Place | None = None


class Days(msgspec.Struct, frozen=True):
    """The days that people are made for; ``clipped`` where the window has more."""

    first: datetime.date
    count: int
    clipped: bool


class Told(msgspec.Struct, frozen=True):
    """One question's days, and what to expect."""

    days: Days
    expected: Expectation


class Simulated(msgspec.Struct, frozen=True):
    """See the module.

    Attributes:
        too_few: The share of queries that release nothing, since fewer than the study's minimum answer.
        left_out: What of the study is not simulated, in words.
    """

    study: Digest
    settings: Settings
    too_few: float
    left_out: tuple[str, ...]
    questions: tuple[Told, ...]


def simulate(
    signed: Signed, bundles: Mapping[Digest, Bundle], settings: Settings, done: Callable[[str], None] = lambda _: None
) -> Simulated:
    """What to expect of a study.

    Args:
        bundles: By their digests, those of all questions. They run in this process, outside the sandbox.
        done: Is told of each of the ``people`` and of each question's ``releases``.

    Raises: AuthorityError: As `questions.check`, `plans.precision`. AlgorithmError: As `Unconfined`.
    """
    study = signed.study
    people, response, releases, seed, at = msgspec.structs.astuple(settings)
    asked = [_Asked(study, question, bundles[question.algorithm], at) for question in study.questions]
    for number in range(people):
        lived: dict[Days, Tables] = {}
        for each in asked:
            if each.days not in lived:
                made = synthetic.person(seed, number, each.days.count, each.days.first).tables
                lived[each.days] = made if at is None else {s: moving.moved(s, rows, at) for s, rows in made.items()}
            each.ask(lived[each.days])
        done("people")
    told = (expecting.expect(each.tally, response, releases, seed, lambda: done("releases")) for each in asked)
    return Simulated(
        study=signed.digest,
        settings=settings,
        too_few=expecting.too_few(people, response, releases, seed, study.minimum),
        left_out=_left_out(study, at),
        questions=tuple(Told(each.days, expected) for each, expected in zip(asked, told, strict=True)),
    )


class _Asked:
    """A question on its way through the people."""

    def __init__(self, study: Study, question: Question, bundle: Bundle, at: Place | None) -> None:
        questions.check(question, bundle)
        self._question, self._code = question, Unconfined(bundle)
        self._inputs = questions.inputs(bundle)
        self._empty = questions.empty(bundle)
        # A moving window is that of the study's first query.
        self._span = scopes.window(question.scope, study.gathers_until(0))
        given = plans.precision(question.scope, Ask(), self._inputs)
        self._given = given if at is not None else given._replace(areas=())
        self.days = _days(*self._span)
        self.tally = Tally(question)

    def ask(self, lived: Mapping[str, pa.Table]) -> None:
        """Add what somebody contributes; as a user cloud has it, by default where there is no data or a failure."""
        tables = {stream: self._read(stream, lived) for stream in self._inputs}
        if not any(found.num_rows for found in tables.values()):
            self.tally.add_default(NO_DATA)
            return
        try:
            rows = self._code.run(tables, self._question.parameters)
        except WaykeepError as error:
            self.tally.add_default(str(error))
        else:
            self.tally.add(questions.vector(self._question, rows))

    def _read(self, stream: str, lived: Mapping[str, pa.Table]) -> pa.Table:
        if stream not in lived:
            return self._empty[stream]
        plan = msgspec.structs.replace(plans.own_reading(stream, *self._span), **self._given._asdict())
        return coarse(lived[stream], stream, tuple(self._inputs[stream]), plan)


def _days(from_ms: int, to_ms: int) -> Days:
    first, end = from_ms // DAY_MS, -(-to_ms // DAY_MS)
    return Days(datetime.date.fromordinal(_EPOCH + first), max(1, min(end - first, MAX_DAYS)), end - first > MAX_DAYS)


def _left_out(study: Study, at: Place | None) -> tuple[str, ...]:
    found = ["limits of time and memory"]
    if at is None:
        found.append("places: the made-up town lies in the open sea, unless it is told where (--at)")
    if at is None and any(question.scope.areas for question in study.questions):
        found.append("areas: everybody counts as if they lay within them")
    asked = {stream for question in study.questions for stream in question.scope.streams or ()}
    unmade = sorted(asked - streams.RECORDED.keys())
    return (*found, *(f"{stream}: nobody has any" for stream in unmade))
