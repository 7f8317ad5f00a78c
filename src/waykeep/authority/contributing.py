"""The rules of intents and debits of studies, as a journal's fold asks them. Refused by ``journal-study``."""

from __future__ import annotations

from collections.abc import Mapping

from waykeep.authority.memberships import require
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.participation import Intended, StudyDebited
from waykeep.authority.scopes import observed
from waykeep.authority.studies import Signed
from waykeep.errors import AuthorityError
from waykeep.formats.ids import Digest
from waykeep.privacy.ledger import Span

Learned = Mapping[Digest, int]
"""Units of the ledger that were debited, by study."""


def check_intent(log: OwnerState, quoted: int, made: Intended) -> None:
    """Raises: AuthorityError: ``study-not-joined``, ``intent-mismatch``."""
    _, signed = membership(log, made.study, quoted)
    if made.period >= signed.study.periods:
        raise AuthorityError("intent-mismatch", "found an intent in a period that the study does not have", status=409)


def check_debit(log: OwnerState, quoted: int, made: StudyDebited, intended: Digest | None, learned: Learned) -> None:
    """Whether a debit is one that membership and budget allow, as far as a record shows it.

    Args:
        intended: The query of the period, as the journal has it.

    Raises:
        AuthorityError: ``study-not-joined``, ``debit-mismatch``, ``log-budget``.
    """
    number, signed = membership(log, made.query.study, quoted)
    study, query = signed.study, made.query
    fits = (
        made.membership == number
        and made.cost == study.cost
        and query.repetition < study.repetitions
        and query.period < study.periods
        and intended == query.id
        and len(made.reads) == len(study.questions)
    )
    for question, read in zip(study.questions, made.reads, strict=False):
        if read is None:
            continue
        scope = question.scope
        begin, end = observed(scope)
        length = end - begin if scope.last_ms is None else scope.last_ms
        allowed = scope.streams or {}
        fits = fits and all(set(columns) <= set(allowed.get(stream, ())) for stream, columns in read.inputs.items())
        fits = fits and begin <= read.from_ms < read.to_ms <= end and read.to_ms - read.from_ms <= length
    if not fits:
        raise AuthorityError("debit-mismatch", "found a debit of other data or cost than its study says", status=403)
    check_budget(log, quoted, signed, learned)


def check_budget(log: OwnerState, quoted: int, signed: Signed, learned: Learned) -> None:
    """Whether one more repetition keeps all that was debited within the owner's budget.

    Raises: AuthorityError: ``log-budget``.
    """
    require(
        log.budget(quoted), spent(log, {**learned, signed.digest: learned.get(signed.digest, 0) + signed.study.cost})
    )


def spent(log: OwnerState, learned: Learned) -> list[Span]:
    """What was debited, each in its study's time."""
    known = {signed.digest: signed.study for signed in log.joined.values()}
    return [known[digest].span._replace(units=units) for digest, units in learned.items() if digest in known]


def membership(log: OwnerState, study: Digest, quoted: int | None = None) -> tuple[int, Signed]:
    """Number and study of a membership, in force when the log's head was entry ``quoted``; None is now.

    Raises: AuthorityError: ``study-not-joined`` (403).
    """
    found = log.member(study, quoted)
    if found is None:
        raise AuthorityError("study-not-joined", "found a study that this owner does not take part in", status=403)
    return found
