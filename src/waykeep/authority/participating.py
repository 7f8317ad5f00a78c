"""The decisions of taking part in a query: what a user cloud checks before it says or sends anything. No I/O, no clock.

In this order, and nothing is left out:

1. What the witness holds is read under a fresh nonce, and `spending.standing` compares it with the logs at hand.
2. The aggregator is appraised: it is bound to this study and repetition, and measures as the study says.
3. `intend` makes the record of the one query of this period, or finds it; the intent is sent.
4. Once the cohort is frozen, `debit` makes the record that fixes the whole effect, or finds it. It is durable, and the
   journal head with it is witnessed, under a fresh nonce.
5. `still` judges the witness's time of that answer. Only then the data is read; what is sent is recorded before. From
   here on nothing takes the answer back: nobody else would notice who was counted, and a query would never end.

A repetition is debited once, whatever is asked or cut off; what is debited is never given back.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from waykeep.authority import contributing, plans, studies
from waykeep.authority.asking import Ask
from waykeep.authority.journalstate import JournalState
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.participation import Intended, Reading, StudyDebited
from waykeep.authority.plans import ReadPlan
from waykeep.authority.queries import Query
from waykeep.authority.scopes import Columns
from waykeep.authority.studies import Question, Signed
from waykeep.errors import AuthorityError

Inputs = Sequence[Mapping[str, Columns]]
"""Per question what its algorithm reads: per stream the columns."""


def find(log: OwnerState, query: Query, time_ms: int) -> Signed:
    """The study of a query, if it may be asked now.

    Nobody does without a witness here, whatever they accepted for grants: a budget that a host can roll back is none.

    Raises:
        AuthorityError: ``witness-missing``, ``study-not-joined``, ``study-not-in-time`` (403), ``query-period``,
            ``repetition-unknown``.
    """
    log.pseudonym()
    _, signed = contributing.membership(log, query.study)
    if studies.period_at(signed.study, time_ms) != query.period:
        raise _refused("query-period", "found a query of another period than it is by the witness's clock")
    if query.repetition >= signed.study.repetitions:
        raise _refused("repetition-unknown", "found a query of a repetition that the study does not have")
    return signed


def intend(log: OwnerState, journal: JournalState, query: Query, time_ms: int) -> Intended | None:
    """The record of the intent that a query asks for; None where the journal holds it already.

    Raises:
        AuthorityError: As `find`; ``repetition-debited``, ``period-tried``, ``intent-lapsed`` (409); ``log-budget``.
    """
    signed = find(log, query, time_ms)
    study = signed.study
    debited = journal.contributing(query.study, query.repetition)
    if debited is not None and debited.query.id != query.id:
        raise _refused("repetition-debited", "found a repetition in which another query was answered")
    known = journal.intended(query.study, query.period)
    if known is not None and known != query.id:
        raise _refused("period-tried", "found a second query in a period of the study")
    if known is not None:
        return None
    if time_ms >= study.gathers_until(query.period):
        raise _refused("intent-lapsed", "found a query whose time to gather is over, by the witness's clock")
    contributing.check_budget(log, log.head.number, signed, journal.learned)
    return Intended(query.study, query.period, query.id)


class Debit(NamedTuple):
    """A debit, and what it allows to be read, per question; ``known`` says that the journal holds it already."""

    made: StudyDebited
    plans: tuple[ReadPlan | None, ...]
    known: bool


def debit(
    log: OwnerState, journal: JournalState, query: Query, inputs: Inputs, time_ms: int, epochs: tuple[int, ...]
) -> Debit:
    """The record that a frozen query needs, or has already.

    Args:
        time_ms: The witness's. epochs: Those whose keys are at hand.

    Raises:
        AuthorityError: As `find`; ``repetition-debited``, ``query-unintended``, ``query-late`` (409); ``log-budget``;
            and as `plans.plan`, but for data that is withheld.
    """
    signed = find(log, query, time_ms)
    number, study = contributing.membership(log, query.study)[0], signed.study
    if time_ms >= study.answers_until(query.period):
        raise _late()
    known = journal.contributing(query.study, query.repetition)
    if known is not None:
        if known.query.id != query.id:
            raise _refused("repetition-debited", "found a repetition in which another query was answered")
        return Debit(known, rerun(log, signed, known), known=True)
    if journal.intended(query.study, query.period) != query.id:
        raise _refused("query-unintended", "found a query that this user cloud sent no intent to")
    contributing.check_budget(log, log.head.number, signed, journal.learned)
    planned = tuple(_plan(log, q, i, time_ms) for q, i in zip(study.questions, inputs, strict=True))
    made = StudyDebited(
        membership=number,
        query=query,
        reads=tuple(None if p is None else Reading(p.inputs, p.from_ms, p.to_ms) for p in planned),
        withheld=tuple(sorted(log.withheld)),
        cost=study.cost,
        read_to=journal.head,
        epochs=epochs,
    )
    return Debit(made, planned, known=False)


def rerun(log: OwnerState, signed: Signed, made: StudyDebited) -> tuple[ReadPlan | None, ...]:
    """What a debit of before allows to be read now: the same data, or none where the owner withholds other data."""
    if made.withheld != tuple(sorted(log.withheld)):
        return (None,) * len(made.reads)
    return tuple(
        None if read is None else plans.again(log, q.scope, Ask(), read.inputs, (read.from_ms, read.to_ms))
        for q, read in zip(signed.study.questions, made.reads, strict=True)
    )


def still(log: OwnerState, made: StudyDebited, time_ms: int) -> None:
    """Whether an answer may still be sent: the membership is in force, and the query's time is not over.

    Raises: AuthorityError: ``study-not-joined``, ``query-late``.
    """
    _, signed = contributing.membership(log, made.query.study)
    if time_ms >= signed.study.answers_until(made.query.period):
        raise _late()


def _plan(log: OwnerState, question: Question, inputs: Mapping[str, Columns], time_ms: int) -> ReadPlan | None:
    try:
        return plans.plan(log, question.scope, Ask(), inputs, question.parameters, time_ms)
    except AuthorityError as error:
        if error.rule != "data-withheld":
            raise
        return None


def _late() -> AuthorityError:
    return _refused("query-late", "found a query whose time is over, by the witness's clock")


def _refused(rule: str, found: str) -> AuthorityError:
    return AuthorityError(rule, found, hint="a study is asked once in a period, and a repetition once", status=409)
