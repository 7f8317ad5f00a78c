"""The decisions of a spend: what a user cloud checks before it does anything for somebody else. No I/O, no clock.

A spend is a run of a grant by its holder. In this order, and nothing is left out:

1. What the witness holds is read under a fresh nonce, and `standing` compares it with the logs at hand.
2. `debit` makes the record that fixes the whole effect, or finds it, for a request that is repeated.
3. The record is durable, and then the journal head with it is witnessed, under a fresh nonce.
4. `within_window` judges the witness's time of that answer. Only then it is done.

Of two different next records at most one is witnessed. Copies that repeat one record can only send the same thing to
the same recipient.
"""

from __future__ import annotations

from collections.abc import Mapping

from waykeep.authority.approvals import within
from waykeep.authority.journal import JournalState
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.records import Debited
from waykeep.authority.statements import Granted
from waykeep.authority.witnessing import Held
from waykeep.errors import AuthorityError
from waykeep.formats.ids import PublicKey
from waykeep.formats.messages import Spend, Value

_RESUME = "the host lost or withholds records, or shows an old copy; the owner can say so with 'waykeep resume'"
_ENDED = {
    "grant-withdrawn": "the owner took this grant back",
    "grant-used-up": "records were lost, so this grant counts as used up; the owner can grant anew",
    "grant-void": "the owner made the entry of this grant void",
}


def standing(log: OwnerState, journal: JournalState, held: Held, state_key: PublicKey) -> None:
    """Whether logs at hand are those that the witness holds. A state behind the witness spends nothing.

    Args:
        held: From the witness's signed answer under a fresh nonce.
        state_key: With which this user cloud signs.

    Raises:
        AuthorityError: ``witness-moved``; ``owner-log-behind``, ``owner-log-forked``, ``owner-log-unwitnessed``,
            ``resume-pending``, ``journal-behind``, ``journal-forked``, ``state-key-retired`` (all 409).
    """
    if held.successor is not None:
        raise _refused("witness-moved", "found a witness that was closed", "the owner log at hand is an old one")
    if not log.holds(held.owner):
        behind = held.owner.number > log.head.number
        what = "ends before" if behind else "has another"
        raise _refused(
            "owner-log-behind" if behind else "owner-log-forked",
            f"found an owner log that {what} entry {held.owner.number}, which the witness holds",
            "the host withholds entries of the owner, or shows another log",
        )
    if log.head != held.owner:
        raise _refused(
            "owner-log-unwitnessed",
            f"found owner-log entries after number {held.owner.number} that the witness does not hold yet",
            "'waykeep status' on the owner's device has them witnessed",
        )
    if held.resumes != len(log.resumed):
        raise _refused("resume-pending", "found a resume that owner log and witness do not both hold", _RESUME)
    for witnessed in (held.journal, log.closed_at):
        if witnessed is None:
            continue
        if journal.head is None or journal.head.number < witnessed.number:
            raise _refused(
                "journal-behind",
                f"found a journal that ends before record {witnessed.number}, which was witnessed",
                _RESUME,
            )
        if journal.digest_at(witnessed.number) != witnessed.digest:
            raise _refused("journal-forked", f"found another record {witnessed.number} than was witnessed", _RESUME)
    if not log.signs_now(state_key) or state_key not in held.state_keys:
        raise _refused(
            "state-key-retired",
            "found a state key that owner log or witness do not name, or have retired",
            "the owner's device names a new one when it unlocks the user cloud",
        )


def find_grant(log: OwnerState, asked: Spend, holder: PublicKey) -> Granted:
    """The grant that a request names, in force and the holder's.

    Raises:
        AuthorityError: ``grant-unknown``, ``grant-withdrawn``, ``grant-used-up``, ``grant-void``,
            ``algorithm-not-granted`` (403).
    """
    grant = log.grants.get(asked.grant)
    if grant is None or grant.holder != holder:
        ended = log.ended.get(asked.grant)
        body = log.entries[asked.grant - 1][1].body if ended is not None else None
        if ended is not None and isinstance(body, Granted) and body.holder == holder:
            raise AuthorityError(
                ended.rule, "found a grant that is in force no longer", hint=_ENDED[ended.rule], status=403
            )
        raise AuthorityError("grant-unknown", "found no grant of this number to the key that asks", status=403)
    if grant.algorithm != asked.digest:
        raise AuthorityError("algorithm-not-granted", "found a grant of another algorithm", status=403)
    return grant


def debit(
    log: OwnerState,
    journal: JournalState,
    asked: Spend,
    holder: PublicKey,
    parameters: Mapping[str, Value],
    time_ms: int,
    epochs: tuple[int, ...] = (),
) -> tuple[Debited, bool]:
    """The record that fixes a spend; and whether it lies in the journal already.

    Args:
        parameters: The request's, with the bundle's defaults filled in.
        time_ms: The witness's.
        epochs: Whose keys are at hand; no others are read for this request, ever.

    Raises:
        AuthorityError: As `find_grant`; ``parameter-not-approved``, ``time-not-approved``, ``grant-not-yet``,
            ``grant-expired`` (403), ``runs-used-up``, ``request-repeated`` (409).
    """
    grant = find_grant(log, asked, holder)
    within(grant, asked, parameters)
    made = Debited(
        request_id=asked.request_id,
        grant=asked.grant,
        holder=holder,
        algorithm=asked.digest,
        parameters=dict(parameters),
        from_ms=asked.from_ms,
        to_ms=asked.to_ms,
        read_to=journal.head,
        recipient=grant.recipient,
        not_before_ms=grant.not_before_ms,
        until_ms=grant.until_ms,
        epochs=epochs,
    )
    within_window(made, time_ms)
    known = journal.debit(asked.request_id)
    if known is not None:
        if _asked(known) != _asked(made):
            raise AuthorityError(
                "request-repeated",
                "found another request of this id in the journal",
                hint="choose a new id",
                status=409,
            )
        return known, True
    if journal.counts.get(asked.grant, 0) >= grant.runs:
        raise AuthorityError("runs-used-up", f"found all {grant.runs} runs of this grant used up", status=409)
    return made, False


def _asked(debited: Debited) -> tuple[object, ...]:
    """What a repeated request must say again; types too, since True == 1."""
    parameters = sorted((name, type(value).__name__, value) for name, value in debited.parameters.items())
    return (debited.grant, debited.holder, debited.algorithm, parameters, debited.from_ms, debited.to_ms)


def within_window(debited: Debited, time_ms: int) -> None:
    """Whether the witness's time lies within the record's window; outside it nothing is done, and the debit stays.

    Raises:
        AuthorityError: ``grant-not-yet``, ``grant-expired`` (403).
    """
    if time_ms < debited.not_before_ms:
        raise AuthorityError(
            "grant-not-yet", "found a grant whose time has not begun, by the witness's clock", status=403
        )
    if time_ms >= debited.until_ms:
        raise AuthorityError("grant-expired", "found a grant whose time is over, by the witness's clock", status=403)


def _refused(rule: str, message: str, hint: str) -> AuthorityError:
    return AuthorityError(rule, message, hint=hint, status=409)
