"""The fold of the cloud journal: what happened. No I/O, no clock, no randomness.

Rules, by their names:

1. ``journal-order``: a record has the next number and the digest of the envelope before it (none for number 0).
2. ``journal-owner``: a record names this owner.
3. ``journal-signer``: its signer is a state key that the owner log names, at or before the head the record quotes.
4. ``journal-head``: the owner heads that records quote never go back, and lie within the owner log at hand.
5. ``journal-detail``: what lies beside the envelope opens the record's commitment.
6. ``journal-repeat``: a segment's name and a run's id appear once.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from waykeep.authority import dsse
from waykeep.authority.ownerlog import OwnerState
from waykeep.authority.statements import (
    JOURNAL_TYPE,
    Detail,
    JournalObject,
    JournalRecord,
    RunDone,
    SegmentEntry,
    SegmentsAccepted,
)
from waykeep.errors import AuthorityError
from waykeep.formats.ids import Digest, sha256, unb64
from waykeep.formats.messages import Head
from waykeep.formats.wire import decode_json, encode_json

SALT_BYTES = 16


class JournalState(msgspec.Struct, frozen=True):
    """What the journal says up to ``head``; ``segments`` is the catalogue, by name."""

    head: Head | None
    quoted: int
    segments: dict[str, SegmentEntry]
    runs: dict[str, RunDone]
    order: tuple[Detail, ...]


EMPTY = JournalState(head=None, quoted=0, segments={}, runs={}, order=())


def commit(salt: bytes, detail: Detail) -> Digest:
    """Salted commitment to a record's detail: SHA-256 over 16 salt bytes and the detail's JSON."""
    return sha256(salt + encode_json(detail))


def fold(state: JournalState, owner: OwnerState, objects: Sequence[JournalObject]) -> JournalState:
    """The state after ``objects``, which continue ``state``. Raises: AuthorityError named by the rules above."""
    head, quoted = state.head, state.quoted
    segments, runs, order = dict(state.segments), dict(state.runs), list(state.order)
    for item in objects:
        envelope = item.envelope.encode()
        opened = dsse.peek(envelope, JOURNAL_TYPE)
        record = decode_json(opened.payload, JournalRecord, what="a journal record")
        number, previous = (0, None) if head is None else (head.number + 1, head.digest)
        if record.number != number or record.previous != previous:
            raise AuthorityError(
                "journal-order", f"found a record that does not follow, expected number {number}", status=409
            )
        if record.owner != owner.owner:
            raise AuthorityError("journal-owner", "found a record of another owner", status=403)
        if not owner.state_keys.get(opened.signer, 1 << 60) <= record.owner_head.number:
            raise AuthorityError(
                "journal-signer", "found a record by a key that the owner log did not name", status=403
            )
        quoting = record.owner_head
        if not quoted <= quoting.number <= owner.head.number or owner.digest_at(quoting.number) != quoting.digest:
            raise AuthorityError("journal-head", "found a record that quotes an owner head out of order", status=409)
        if commit(unb64(item.salt, SALT_BYTES), item.detail) != record.detail:
            raise AuthorityError(
                "journal-detail", "found a detail that does not open its record's commitment", status=409
            )
        match item.detail:
            case SegmentsAccepted(entries):
                _add(segments, entries)
            case RunDone():
                if item.detail.run_id in runs:
                    raise AuthorityError("journal-repeat", "found a run that the journal already holds", status=409)
                runs[item.detail.run_id] = item.detail
                if item.detail.stored is not None:
                    _add(segments, (item.detail.stored,))
        order.append(item.detail)
        head, quoted = Head(record.number, sha256(envelope)), record.owner_head.number
    return JournalState(head=head, quoted=quoted, segments=segments, runs=runs, order=tuple(order))


def _add(segments: dict[str, SegmentEntry], entries: tuple[SegmentEntry, ...]) -> None:
    for entry in entries:
        if entry.name in segments:
            raise AuthorityError("journal-repeat", "found a segment that the journal already holds", status=409)
        segments[entry.name] = entry
