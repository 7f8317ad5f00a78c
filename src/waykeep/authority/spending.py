"""The decisions of a spend: what a user cloud checks before it does anything for somebody else. No I/O, no clock.

A spend is a run of a grant by its holder, or a read. In this order, and nothing is left out:

1. What the witness holds is read under a fresh nonce, and `standing` compares it with the logs at hand.
2. `debit` makes the record that fixes the whole effect, or finds it, for a request that is repeated.
3. The record is durable, and then the journal head with it is witnessed, under a fresh nonce.
4. `still` judges the witness's time of that answer. Only then it is done, and `still` is asked again before the answer
   is sent: what was revoked or withheld meanwhile is not given.

Of two different next records at most one is witnessed. Copies that repeat one record can only send the same thing to
the same recipient.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from waykeep.authority import chains, plans, reviews
from waykeep.authority.asking import Spend
from waykeep.authority.journalstate import JournalState
from waykeep.authority.links import Chain
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.plans import ReadPlan
from waykeep.authority.records import Debited
from waykeep.authority.scopes import Columns
from waykeep.authority.witnessing import Held
from waykeep.errors import AuthorityError
from waykeep.formats.ids import PublicKey
from waykeep.formats.messages import Value

_RESUME = "the host lost or withholds records, or shows an old copy; the owner can say so with 'waykeep resume'"


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


class Wanted(NamedTuple):
    """What a request comes to once the bundle is known.

    Attributes:
        inputs: Per stream the columns that are read.
        parameters: With the bundle's defaults filled in.
        bits: What the answer may tell at most.
    """

    inputs: Mapping[str, Columns]
    parameters: Mapping[str, Value]
    bits: int


class Debit(NamedTuple):
    """A debit, and what it allows: ``known`` says that the journal holds it already."""

    made: Debited
    chain: Chain
    plan: ReadPlan
    known: bool


def debit(
    log: OwnerState,
    journal: JournalState,
    asked: Spend,
    holder: PublicKey,
    wanted: Wanted,
    time_ms: int,
    epochs: tuple[int, ...],
) -> Debit:
    """The record that a request needs, or has already.

    Args:
        holder: Who signed the request.
        time_ms: The witness's.
        epochs: Those whose keys are at hand.

    Raises:
        AuthorityError: As `chains.find`, `chains.in_time`, `reviews.check`, `plans.plan` and `chains.debited`;
            ``request-repeated``, ``request-outdated`` (409).
    """
    chain = chains.find(log, asked.grant, asked.digest, asked.links, holder)
    chains.in_time(chain.scope, time_ms)
    reviews.check(chain.scope.vetted, [review.encode() for review in asked.reviews], asked.digest, time_ms)
    known = journal.debit(asked.request_id)
    if known is not None:
        said = (holder, asked.grant, asked.links, asked.digest, asked.ask, _typed(wanted.parameters))
        if said != (known.holder, known.grant, known.links, known.algorithm, known.ask, _typed(known.parameters)):
            raise AuthorityError(
                "request-repeated",
                "found another request of this id in the journal",
                hint="choose a new id",
                status=409,
            )
        return Debit(known, chain, rerun(log, chain, known), known=True)
    plan = plans.plan(log, chain.scope, asked.ask, wanted.inputs, wanted.parameters, time_ms)
    chains.debited(journal.used, chain, wanted.bits)
    made = Debited(
        request_id=asked.request_id,
        grant=asked.grant,
        links=asked.links,
        holder=holder,
        recipient=chain.recipient,
        algorithm=asked.digest,
        ask=asked.ask,
        parameters=dict(wanted.parameters),
        inputs=plan.inputs,
        from_ms=plan.from_ms,
        to_ms=plan.to_ms,
        withheld=tuple(sorted(plan.withheld)),
        bits=wanted.bits,
        read_to=journal.head,
        epochs=epochs,
    )
    return Debit(made, chain, plan, known=False)


def rerun(log: OwnerState, chain: Chain, made: Debited) -> ReadPlan:
    """What a debit of before allows to be read now: the same data again, or nothing.

    Raises:
        AuthorityError: ``request-outdated`` (409) where the owner withholds other data than then.
    """
    if made.withheld != tuple(sorted(log.withheld)):
        raise _refused(
            "request-outdated",
            "found a request of before the owner changed what is withheld",
            "ask anew, with another id",
        )
    return plans.again(log, chain.scope, made.ask, made.inputs, (made.from_ms, made.to_ms))


def still(log: OwnerState, made: Debited, time_ms: int) -> None:
    """Whether a run that is under way may go on, and its answer be sent.

    Raises:
        AuthorityError: As `chains.find` and `chains.in_time`; ``request-outdated``.
    """
    chain = chains.find(log, made.grant, made.algorithm, made.links, made.holder)
    chains.in_time(chain.scope, time_ms)
    rerun(log, chain, made)


def _typed(parameters: Mapping[str, Value]) -> list[tuple[str, str, Value]]:
    """What tells True from 1."""
    return sorted((name, type(value).__name__, value) for name, value in parameters.items())


def _refused(rule: str, message: str, hint: str) -> AuthorityError:
    return AuthorityError(rule, message, hint=hint, status=409)
