"""The fold of the cloud journal: what happened. No I/O, no clock, no randomness.

Rules, by their names:

1. ``journal-order``: a record has the next number and the digest of the envelope before it (none for number 0).
2. ``journal-owner``: a record names this owner.
3. ``journal-signer``: its signer is a state key that the owner log names at or before the head the record quotes, and
   does not retire by then.
4. ``journal-head``: the owner heads that records quote never go back, and lie within the owner log at hand.
5. ``journal-detail``: what lies beside the envelope opens the record's commitment.
6. ``journal-repeat``: a segment's name, a run's id, a debit's request id and that of its result appear once. A failure
   is no result.
7. ``journal-debit``: a debit is of a grant that is in force at the head the record quotes, and of a chain of links that
   is; fits them (holder, recipient, algorithm, parameters, data), reads up to the record before its own, and exceeds
   neither runs nor bits of the grant or of a link. An outcome follows its debit.
8. ``journal-study``: an intent is the first in its period, of a study that the owner takes part in at the head the
   record quotes; a debit is of that query, the first of its repetition, costs what the study says, reads up to the
   record before its own, and keeps all that was debited within the owner's budget. What was sent follows its debit,
   once.
9. A record by a state key that was named by an entry without effect has its place in the chain, and no effect; nor has
   the outcome of its debit, whoever signed that.

Debits of a grant that is no longer in force count as well: a fold is the same whenever it is made. Since rule 7 needs
the grant as it was, the owner log's entry itself is read, not what is in force now. Links lie in the debit itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from waykeep.authority import chains, contributing, dsse
from waykeep.authority.journalstate import JournalState
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.participation import Contributed, Intended, StudyDebited
from waykeep.authority.records import (
    JOURNAL_TYPE,
    Debited,
    Detail,
    JournalObject,
    JournalRecord,
    RunDone,
    SegmentEntry,
    SegmentsAccepted,
    Spent,
)
from waykeep.errors import AuthorityError, WaykeepError
from waykeep.formats.ids import Digest, sha256, unb64
from waykeep.formats.messages import Head
from waykeep.formats.wire import decode_json, encode_json

SALT_BYTES = 16


def commit(salt: bytes, detail: Detail) -> Digest:
    """Salted commitment to a record's detail: SHA-256 over 16 salt bytes and the detail's JSON."""
    return sha256(salt + encode_json(detail))


def fold(state: JournalState, owner: OwnerState, objects: Sequence[JournalObject]) -> JournalState:
    """The state after ``objects``, which continue ``state``. Raises: AuthorityError named by the rules above."""
    after = JournalState(
        state.head,
        state.quoted,
        state.base,
        dict(state.segments),
        dict(state.runs),
        dict(state.debits),
        dict(state.outcomes),
        dict(state.used),
        dict(state.places),
        dict(state.digests),
        dict(state.learned),
        dict(state.intents),
        dict(state.contributions),
        dict(state.sent),
    )
    for item in objects:
        envelope = item.envelope.encode()
        opened = dsse.peek(envelope, JOURNAL_TYPE)
        record = decode_json(opened.payload, JournalRecord, what="a journal record")
        number, previous = (0, None) if after.head is None else (after.head.number + 1, after.head.digest)
        if record.number != number or record.previous != previous:
            raise AuthorityError(
                "journal-order", f"found a record that does not follow, expected number {number}", status=409
            )
        if record.owner != owner.owner:
            raise AuthorityError("journal-owner", "found a record of another owner", status=403)
        quoting = record.owner_head
        life = owner.state_keys.get(opened.signer)
        if life is None or not life.since <= quoting.number < life.until:
            raise AuthorityError(
                "journal-signer", "found a record by a key that the owner log did not name", status=403
            )
        if not after.quoted <= quoting.number or not owner.holds(quoting):
            raise AuthorityError("journal-head", "found a record that quotes an owner head out of order", status=409)
        if commit(unb64(item.salt, SALT_BYTES), item.detail) != record.detail:
            raise AuthorityError(
                "journal-detail", "found a detail that does not open its record's commitment", status=409
            )
        if not life.void:
            _effect(after, owner, item.detail, record)
        after.digests[record.number] = sha256(envelope)
        after = msgspec.structs.replace(
            after, head=Head(record.number, after.digests[record.number]), quoted=quoting.number
        )
    return after


def _effect(state: JournalState, owner: OwnerState, detail: Detail, record: JournalRecord) -> None:
    """Add one record to the maps of ``state``, which `fold` made for itself."""
    match detail:
        case SegmentsAccepted(entries):
            _add(state, record.number, *entries)
        case RunDone():
            _once(state.ran(detail.run_id))
            state.runs[detail.run_id] = detail
            if detail.stored is not None:
                _add(state, record.number, detail.stored)
        case Debited():
            _once(state.debit(detail.request_id) is not None)
            _debit(state, owner, detail, record.owner_head.number)
        case Spent():
            _once(not detail.failed and state.spent(detail.request_id))
            if state.debit(detail.request_id) is None:
                # Judged when its debit still had effect: it must not break the chain that is to be kept.
                if any(life.void for life in owner.state_keys.values()):
                    return
                raise AuthorityError("journal-debit", "found the outcome of a run that was not debited", status=409)
            if not detail.failed:
                state.outcomes[detail.request_id] = detail
            if detail.stored is not None:
                _add(state, record.number, detail.stored)
        case Intended():
            _once(state.intended(detail.study, detail.period) is not None)
            _allowed(lambda: contributing.check_intent(owner, record.owner_head.number, detail))
            state.intents[detail.study, detail.period] = detail.query
        case StudyDebited():
            _study_debit(state, owner, detail, record.owner_head.number)
        case Contributed():
            _sent(state, owner, detail)


def _study_debit(state: JournalState, owner: OwnerState, made: StudyDebited, quoted: int) -> None:
    query = made.query
    _once(state.contributing(query.study, query.repetition) is not None)
    intended = state.intended(query.study, query.period)
    _allowed(lambda: contributing.check_debit(owner, quoted, made, intended, state.learned))
    if made.read_to != state.head:
        raise _no_study()
    state.contributions[query.study, query.repetition] = made
    state.learned[query.study] = state.learned.get(query.study, 0) + made.cost


def _sent(state: JournalState, owner: OwnerState, detail: Contributed) -> None:
    _once(state.contributed(detail.query) is not None)
    debited = state.contributing(detail.study, detail.repetition)
    if debited is None or debited.query.id != detail.query:
        # As of the outcome of a run: judged when its debit still had effect.
        if any(life.void for life in owner.state_keys.values()):
            return
        raise _no_study()
    state.sent[detail.query] = detail


def _allowed(check: Callable[[], None]) -> None:
    try:
        check()
    except WaykeepError:
        raise _no_study() from None


def _no_study() -> AuthorityError:
    return AuthorityError("journal-study", "found a record of a study that no membership allows", status=409)


def _debit(state: JournalState, owner: OwnerState, made: Debited, quoted: int) -> None:
    try:
        chain = chains.find(owner, made.grant, made.algorithm, made.links, made.holder, quoted=quoted)
        chains.check_debit(chain, made)
        used = chains.debited(state.used, chain, made.bits)
    except AuthorityError:
        used = None
    if used is None or made.read_to != state.head:
        raise AuthorityError("journal-debit", "found a debit that no grant allows", status=409)
    state.debits[made.request_id] = made
    state.used.update(used)


def _add(state: JournalState, number: int, *entries: SegmentEntry) -> None:
    for entry in entries:
        _once(state.segment(entry.name) is not None)
        state.segments[entry.name], state.places[entry.name] = entry, number


def _once(repeated: bool) -> None:
    if repeated:
        raise AuthorityError("journal-repeat", "found what the journal already holds", status=409)
