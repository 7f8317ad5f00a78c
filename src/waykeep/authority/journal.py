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
8. A record by a state key that was named by an entry without effect has its place in the chain, and no effect; nor has
   the outcome of its debit, whoever signed that.

Debits of a grant that is no longer in force count as well: a fold is the same whenever it is made. Since rule 7 needs
the grant as it was, the owner log's entry itself is read, not what is in force now. Links lie in the debit itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import msgspec

from waykeep.authority import chains, dsse
from waykeep.authority.chains import Used
from waykeep.authority.ownerstate import OwnerState
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
from waykeep.errors import AuthorityError
from waykeep.formats.ids import Digest, sha256, unb64
from waykeep.formats.messages import Head
from waykeep.formats.wire import decode_json, encode_json

SALT_BYTES = 16


class Base(Protocol):
    """What a snapshot holds of the records up to it; passed in, so that nothing of it need be in memory before it is
    asked for."""

    def digest(self, number: int) -> Digest | None: ...
    def segment(self, name: str) -> SegmentEntry | None: ...
    def ran(self, run_id: str) -> bool: ...
    def debit(self, request_id: str) -> Debited | None: ...
    def spent(self, request_id: str) -> bool: ...


class Nothing:
    """The base of a journal that is folded from its first record."""

    def digest(self, number: int) -> Digest | None:
        return None

    def segment(self, name: str) -> SegmentEntry | None:
        return None

    def ran(self, run_id: str) -> bool:
        return False

    def debit(self, request_id: str) -> Debited | None:
        return None

    def spent(self, request_id: str) -> bool:
        return False


class JournalState(msgspec.Struct, frozen=True):
    """What the journal says up to ``head``.

    Attributes:
        quoted: The number of the owner head that the newest record quotes.
        base: What a snapshot knows; the rest is what came after it.
        segments, runs, debits, outcomes: By name, run id and request id. Failures are no outcomes here.
        places: By a segment's name the number of the record that accepted it.
        digests: By number. Whether a head lies on this chain is told by them, never by asking the store again.
        used: Runs and bits that were debited, by digest of a grant's entry or a link, from the first record on.
    """

    head: Head | None
    quoted: int
    base: Base
    segments: dict[str, SegmentEntry]
    runs: dict[str, RunDone]
    debits: dict[str, Debited]
    outcomes: dict[str, Spent]
    used: dict[Digest, Used]
    places: dict[str, int]
    digests: dict[int, Digest]

    def digest_at(self, number: int) -> Digest | None:
        """The digest of a record of this chain, None where it has none of that number."""
        return self.digests.get(number) or self.base.digest(number)

    def segment(self, name: str) -> SegmentEntry | None:
        return self.segments.get(name) or self.base.segment(name)

    def ran(self, run_id: str) -> bool:
        return run_id in self.runs or self.base.ran(run_id)

    def debit(self, request_id: str) -> Debited | None:
        return self.debits.get(request_id) or self.base.debit(request_id)

    def spent(self, request_id: str) -> bool:
        return request_id in self.outcomes or self.base.spent(request_id)


def begin(
    base: Base | None = None, head: Head | None = None, quoted: int = 0, used: Mapping[Digest, Used] | None = None
) -> JournalState:
    """The state at a snapshot, or before the first record."""
    return JournalState(head, quoted, base or Nothing(), {}, {}, {}, {}, dict(used or {}), {}, {})


EMPTY = begin()


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
