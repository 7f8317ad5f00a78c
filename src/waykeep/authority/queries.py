"""Queries of a study: what aggregator and members sign, and what a release is checked by. No I/O, no clock.

A *query* asks one study once. Its id is the digest of study, repetition, period and the aggregator's keys of this
query, which are made for it and lie in memory only: an aggregator that starts again is another query. Members send an
*intent*, without data, and once the cohort is full or its time is over a *contribution*, encrypted to the query's
recipient."""

from __future__ import annotations

from typing import Annotated, Final, Literal, NamedTuple

import msgspec

from waykeep.authority import dsse, studies
from waykeep.authority.keys import SigningKey
from waykeep.authority.studies import Signed, Study
from waykeep.errors import AuthorityError
from waykeep.formats.ids import Digest, PublicKey, sha256
from waykeep.formats.messages import Millis, Number, Recipient, Small
from waykeep.formats.wire import MIB, decode_json, encode_json
from waykeep.privacy import distribution
from waykeep.privacy.bounds import MAX_CELLS

_TYPE = "application/vnd.waykeep.{}+json"
INTENT_TYPE = _TYPE.format("study-intent")
CONTRIBUTION_TYPE = _TYPE.format("study-contribution")
RELEASE_TYPE = _TYPE.format("study-release")
ALPHA = 0.05
"""The interval of a release holds the noise with probability ``1 - ALPHA``, for each cell alone."""
GATHERING: Final = "gathering"
ANSWERING: Final = "answering"
RELEASED: Final = "released"
ENDED: Final = "ended"
Phase = Literal["gathering", "answering", "released", "ended"]
PAPERS = 4096
"""Bytes of a contribution beside its cells."""
_CELL = 24
"""Bytes of a cell: its number, a value of at most 13 digits and a sign, and what separates them."""

Cells = Annotated[
    tuple[tuple[Annotated[int, msgspec.Meta(ge=0, lt=MAX_CELLS)], int], ...], msgspec.Meta(max_length=MAX_CELLS)
]


class _Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Query(_Statement, frozen=True):
    """What an aggregator's evidence names.

    Attributes:
        repetition: Which of the study's. period: In which it is tried.
        recipient: The age recipient of contributions.
        key: Signs the release.
    """

    study: Digest
    repetition: Number
    period: Number
    recipient: Recipient
    key: PublicKey

    @property
    def id(self) -> Digest:
        return sha256(encode_json(self))

    @property
    def nonce(self) -> bytes:
        """The 32 bytes of the id: evidence that names this query has them as its nonce."""
        return bytes.fromhex(self.id.removeprefix("sha256:"))


class QueryStatus(_Statement, frozen=True):
    """What an aggregator says of its query.

    Attributes:
        phase: `GATHERING` intents, `ANSWERING`, `RELEASED` or `ENDED`.
        ended: The rule by which it ended without a release, or empty.
        counted: To a member: its answer was counted.
        cohort: How many intents or members there are, rounded down to tens. answered: The same of answers.
    """

    query: Query
    phase: Phase
    ended: Small = ""
    cohort: int = 0
    answered: int = 0
    counted: bool = False


class Intent(_Statement, frozen=True):
    """A member will take part; signed by the state key of its user cloud, whose evidence goes with it.

    ``lapses_ms`` is the witness's time after which it counts no longer: nothing was debited then.
    """

    query: Digest
    lapses_ms: Millis


class Contribution(_Statement, frozen=True):
    """A member's answer: per question the cells that are not 0; signed by the same state key.

    ``measured`` are the measurements of the code involved, by part.
    """

    query: Digest
    answers: Annotated[tuple[Cells, ...], msgspec.Meta(max_length=16)]
    measured: dict[Small, Small]


class Answer(_Statement, frozen=True):
    """The noisy sums of a question.

    Attributes:
        values: Per cell; None for one below the threshold.
        interval: The noise of a cell lies within plus and minus this with probability 1 - `ALPHA`.
    """

    values: Annotated[tuple[int | None, ...], msgspec.Meta(max_length=MAX_CELLS)]
    interval: int


class Release(_Statement, frozen=True):
    """What comes of a query.

    Attributes:
        answers: In the order of the study's questions.
        cohort: Of how many people, rounded down by `rounded`.
        cost: Debited by each, in units of `waykeep.privacy.ledger`.
        measured: All measurements of each part that took part.
    """

    query: Query
    answers: tuple[Answer, ...]
    cohort: int
    cost: int
    measured: dict[Small, tuple[Small, ...]]


class Published(_Statement, frozen=True):
    """A release with all that it takes to check it.

    Attributes:
        study, release: Envelopes. evidence, claims: The aggregator's, over the query.
    """

    study: str
    release: str
    evidence: bytes
    claims: bytes


class Checked(NamedTuple):
    """Only `open_release` builds one."""

    signed: Signed
    release: Release


def intent(query: Query, study: Study, key: SigningKey) -> bytes:
    """The envelope of a member's intent."""
    return dsse.sign(INTENT_TYPE, encode_json(Intent(query.id, study.gathers_until(query.period))), key)


def open_intent(envelope: bytes, query: Query, study: Study) -> PublicKey:
    """The state key that signed it. Raises: AuthorityError: ``intent-mismatch``; as `dsse.peek`. FormatError."""
    opened = dsse.peek(envelope, INTENT_TYPE, limit=PAPERS)
    if decode_json(opened.payload, Intent, what="an intent") != Intent(query.id, study.gathers_until(query.period)):
        raise AuthorityError("intent-mismatch", "found an intent to take part in another query", status=409)
    return opened.signer


def contribution_size(study: Study) -> int:
    """Bytes of each contribution to a study, whatever it says."""
    most = sum(min(q.bounds.most_cells, q.bounds.cells) for q in study.questions)
    # DSSE has the payload in base64.
    return PAPERS + (_CELL * most * 4 + 2) // 3


def contribution(said: Contribution, key: SigningKey) -> bytes:
    return dsse.sign(CONTRIBUTION_TYPE, encode_json(said), key)


def open_contribution(envelope: bytes, query: Query, study: Study) -> tuple[Contribution, PublicKey]:
    """A contribution, and the key that signed it; whether that is a member's, the query decides.

    Raises:
        AuthorityError: ``contribution-mismatch`` for another query, ``contribution-bounds`` for one out of bounds;
            and as `dsse.peek`. FormatError.
    """
    opened = dsse.peek(envelope, CONTRIBUTION_TYPE, limit=MIB)
    said = decode_json(opened.payload, Contribution, what="a contribution")
    if said.query != query.id or len(said.answers) != len(study.questions):
        raise AuthorityError("contribution-mismatch", "found a contribution to another query", status=409)
    if not all(studies.within(q.bounds, cells) for q, cells in zip(study.questions, said.answers, strict=True)):
        raise AuthorityError("contribution-bounds", "found a contribution out of its bounds", status=400)
    return said, opened.signer


def rounded(cohort: int, minimum: int) -> int:
    """A size of a cohort as it is told: tens, and never below the minimum, which is known to be there."""
    return max(minimum, cohort - cohort % 10)


def interval(question: studies.Question) -> int:
    return distribution.interval(question.mechanism, ALPHA)


def open_release(published: Published) -> Checked:
    """A release whose signatures and figures fit its study; whether an aggregator that the study names made it, its
    evidence tells.

    Raises:
        AuthorityError: ``release-mismatch``; as `studies.open_` and `dsse.open_`. FormatError.
    """
    signed = studies.open_(published.study.encode())
    opened = dsse.peek(published.release.encode(), RELEASE_TYPE, limit=4 * MIB)
    release = decode_json(opened.payload, Release, limit=4 * MIB, what="a release")
    study, query = signed.study, release.query
    fits = (
        query.key == opened.signer
        and query.study == signed.digest
        and query.repetition < study.repetitions
        and query.period < study.periods
        and len(release.answers) == len(study.questions)
        and release.cost == study.cost
        and study.minimum <= release.cohort <= study.target
        and all(map(_fits, study.questions, release.answers))
    )
    if not fits:
        raise AuthorityError("release-mismatch", "found a release that is not of this study", status=409)
    return Checked(signed, release)


def _fits(question: studies.Question, answer: Answer) -> bool:
    shown = [value for value in answer.values if value is not None]
    hidden = len(shown) < len(answer.values)
    least = question.threshold
    return (
        len(answer.values) == question.bounds.cells
        and answer.interval == interval(question)
        and ((least is None and not hidden) or (least is not None and all(value >= least for value in shown)))
    )
