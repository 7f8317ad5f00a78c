"""Studies: what is asked of many people, whole and signed by its researcher before anybody joins.

A study never changes: its digest, that of the envelope, is what people join, what an aggregator is bound to, and what a
release names. What `open_` returned keeps these rules, by their names:

1. ``study-malformed``: texts are single lines that print; questions have names of their own, and at least one is asked.
2. ``study-scope``: a question names streams with columns, one value for each parameter, and nothing beside the data
   (no time of its own in which it counts, no storing); its data has some time in it.
3. ``study-cells``: the vector has as many cells as the keys number, and one person answers `MAX_ANSWER` at most.
4. ``bounds-malformed``, ``scale-malformed`` (`waykeep.privacy`): what one person contributes, and the noise.
5. ``study-cohort``: the minimum is at least two, and the target no less.
6. ``study-times``: in each period there is time to gather and to answer, and there are as many periods as repetitions.
7. ``study-aggregator``: it names the measurements of supervisor and aggregator.

Time is the witness's. Period *p* begins at ``starts_ms + p * period_ms``. In each, one query is tried: intents are
taken for ``gather_ms``, then answers for ``answer_ms``."""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

import msgspec

from waykeep.authority import dsse
from waykeep.authority.scopes import Scope, canonical, observed
from waykeep.errors import AuthorityError
from waykeep.formats import streams
from waykeep.formats.ids import Digest, PublicKey, sha256
from waykeep.formats.messages import Millis, Small, Value
from waykeep.formats.wire import decode_json
from waykeep.privacy import bounds, ledger, mechanisms
from waykeep.privacy.bounds import Bounds
from waykeep.privacy.mechanisms import Mechanism

STUDY_TYPE = "application/vnd.waykeep.study+json"
MAX_STUDY = 32 << 10
"""The largest envelope, in bytes: an entry of the owner log holds it."""
MAX_COHORT = 100_000
MAX_ANSWER = 16_384
"""Cells that are not 0 in one person's answer, over all questions."""
VERSION = 1

Text = Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
Count = Annotated[int, msgspec.Meta(ge=1, le=MAX_COHORT)]
Times = Annotated[int, msgspec.Meta(ge=1, le=10_000)]
Duration = Annotated[int, msgspec.Meta(ge=1, le=366 * 86_400_000)]
Measured = Annotated[tuple[Small, ...], msgspec.Meta(max_length=16)]


class _Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Axis(_Statement, frozen=True):
    """One key: a field of the algorithm's rows that tells the cell of a value.

    Attributes:
        size: How many values it has.
        first: The smallest of an integer field.
        words: Of a field of words all of them, in their order; empty for integers.
    """

    field: Small
    size: Annotated[int, msgspec.Meta(ge=1, le=bounds.MAX_CELLS)]
    first: int = 0
    words: Annotated[tuple[Small, ...], msgspec.Meta(max_length=256)] = ()

    def index(self, value: Value) -> int:
        """The place of a value that the field's domain holds."""
        return self.words.index(str(value)) if self.words else int(value) - self.first


class Question(_Statement, frozen=True):
    """One number, or one vector of numbers, about all who take part.

    Attributes:
        name: For a file and a plot. asks: In words.
        algorithm: Digest of the bundle. bundle: Its own name and version, for people.
        scope: Which data it reads, how precisely, and its parameters, each with one value.
        value: The field of the algorithm's rows that is added up.
        keys: The fields that tell the cell; without any there is one cell.
        bounds: Of one person's contribution. mechanism: The noise in each cell.
        unit, per: What the number counts, once it is divided by ``per``.
        threshold: Cells whose noisy value is below it are left out of the release; None leaves none out.
    """

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
    asks: Text
    algorithm: Digest
    bundle: Small
    scope: Scope
    value: Small
    keys: Annotated[tuple[Axis, ...], msgspec.Meta(max_length=3)]
    bounds: Bounds
    mechanism: Mechanism
    unit: Small = ""
    per: Annotated[int, msgspec.Meta(ge=1, le=10**9)] = 1
    threshold: int | None = None

    @property
    def parameters(self) -> dict[str, Value]:
        return {name: values[0] for name, values in (self.scope.parameters or {}).items()}


class Parts(_Statement, frozen=True):
    """Measurements of the attested parts that may aggregate."""

    supervisors: Measured
    aggregators: Measured


class Study(_Statement, frozen=True):
    """See the module.

    Attributes:
        ethics: The approval, such as its number and who gave it.
        consent, consent_version: The text that a participant agrees to.
        minimum: Of a cohort, and of its answers. target: With so many it is full.
        deadline_ms: So long each question has, whatever came of it; then the answer is sent.
        periods: In how many of them a query may be tried. repetitions: How often an answer is released at most.
    """

    version: int
    title: Small
    purpose: Text
    ethics: Text
    consent: Text
    consent_version: Small
    questions: Annotated[tuple[Question, ...], msgspec.Meta(min_length=1, max_length=16)]
    minimum: Count
    target: Count
    starts_ms: Millis
    period_ms: Duration
    periods: Times
    repetitions: Times
    gather_ms: Duration
    answer_ms: Duration
    deadline_ms: Annotated[int, msgspec.Meta(ge=100, le=600_000)]
    aggregator: Parts

    @property
    def ends_ms(self) -> int:
        return self.starts_ms + self.periods * self.period_ms

    @property
    def cost(self) -> int:
        """Of one repetition, in units of `waykeep.privacy.ledger`."""
        return sum(ledger.cost(mechanisms.rho(q.mechanism, q.bounds)) for q in self.questions)

    @property
    def span(self) -> ledger.Span:
        """What joining sets aside, and when it counts."""
        return ledger.Span(self.starts_ms, self.ends_ms, self.repetitions * self.cost)

    def gathers_until(self, period: int) -> int:
        return self.starts_ms + period * self.period_ms + self.gather_ms

    def answers_until(self, period: int) -> int:
        return self.gathers_until(period) + self.answer_ms


class Signed(NamedTuple):
    """A study that was checked. Only `open_` builds one."""

    digest: Digest
    researcher: PublicKey
    study: Study


def open_(envelope: bytes) -> Signed:
    """The study in an envelope.

    Raises:
        AuthorityError, PrivacyError: Named by the rules of this module; and as `dsse.peek` does. FormatError.
    """
    opened = dsse.peek(envelope, STUDY_TYPE, limit=MAX_STUDY)
    study = decode_json(opened.payload, Study, what="a study")
    check(study)
    return Signed(sha256(envelope), opened.signer, study)


def check(study: Study) -> None:
    """Raises: AuthorityError, PrivacyError: Named by the rules of this module."""
    texts = (study.title, study.ethics, study.consent_version, *(q.bundle for q in study.questions))
    if study.version != VERSION or not all(map(_prints, (study.purpose, study.consent, *texts))):
        raise _refused("study-malformed", "texts that do not print, or another version")
    if len({q.name for q in study.questions}) != len(study.questions):
        raise _refused("study-malformed", "two questions of one name")
    for question in study.questions:
        _question(question)
    if sum(question.bounds.most_cells for question in study.questions) > MAX_ANSWER:
        raise _refused("study-cells", f"answers of more than {MAX_ANSWER} cells")
    if not 2 <= study.minimum <= study.target:
        raise _refused("study-cohort", "a cohort of fewer than two, or a target below the minimum")
    in_time = (
        len(study.questions) * study.deadline_ms < study.answer_ms
        and study.gather_ms + study.answer_ms <= study.period_ms
        and study.repetitions <= study.periods
    )
    if not in_time or study.ends_ms > streams.MAX_TS_MS:
        raise _refused("study-times", "periods too short or too few for what is to happen in them")
    if not study.aggregator.supervisors or not study.aggregator.aggregators:
        raise _refused("study-aggregator", "no measurement of who may aggregate")


def _question(question: Question) -> None:
    scope = question.scope
    if not _prints(question.asks) or not _prints(question.unit or "-"):
        raise _refused("study-malformed", "texts that do not print")
    alone = scope.not_before_ms is None and scope.until_ms is None and not scope.stores and not scope.vetted
    data = scope.streams and all(scope.streams.values()) and scope.parameters is not None
    if canonical(scope) != scope or not alone or not data or scope.last_ms == 0:
        raise _refused("study-scope", "no data, or a scope that is not in its one form")
    if any(len(values) != 1 for values in (scope.parameters or {}).values()):
        raise _refused("study-scope", "a parameter with more than one value")
    first, end = observed(scope)
    if first >= end:
        raise _refused("study-scope", "a window without time in it")
    if any(axis.words and len(axis.words) != axis.size for axis in question.keys) or (
        math.prod(axis.size for axis in question.keys) != question.bounds.cells
    ):
        raise _refused("study-cells", "another number of cells than the keys have")
    bounds.check(question.bounds)
    mechanisms.check(question.mechanism)


def period_at(study: Study, time_ms: int) -> int:
    """The period at the witness's time. Raises: AuthorityError: ``study-not-in-time`` (403)."""
    if not study.starts_ms <= time_ms < study.ends_ms:
        raise AuthorityError(
            "study-not-in-time",
            "found a study that has not begun or is over, by the witness's clock",
            hint="its dates are shown by 'waykeep study show'",
            status=403,
        )
    return (time_ms - study.starts_ms) // study.period_ms


def sparse(vector: list[int]) -> tuple[tuple[int, int], ...]:
    """Cells that are not 0, with their numbers."""
    return tuple((number, value) for number, value in enumerate(vector) if value)


def within(bound: Bounds, cells: tuple[tuple[int, int], ...]) -> bool:
    """Whether a contribution is one that its bounds allow: what clamping would not change."""
    vector = [0] * bound.cells
    for number, value in cells:
        if not 0 <= number < bound.cells or not value or vector[number]:
            return False
        vector[number] = value
    return bounds.clamp(vector, bound) == vector


def _prints(text: str) -> bool:
    return all(line.isprintable() for line in text.split("\n")) and bool(text.strip())


def _refused(rule: str, what: str) -> AuthorityError:
    return AuthorityError(rule, f"found a study with {what}", hint="ask its researcher", status=400)
