"""The fold of the owner log: what the owner wants. No I/O, no clock, no randomness.

Rules, by their names:

1. ``log-inception``: entry 0 is the inception statement; its digest is the owner id, and the key it names signed it.
2. ``log-order``: an entry has the next number and the digest of the envelope before it.
3. ``log-owner``: an entry names this owner.
4. ``log-signer``: devices, writers and recipients are named by the authority; all else by it or by a device in the log.
5. ``log-epoch``: an epoch has the next number; its statement is of this owner, signed by the authority (checked where
   read).
6. ``log-repeat``: a key is added once, in one role.
7. ``log-limit``: at most 64 devices, 256 writers, 10,000 entries of any other kind.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from waykeep.authority import dsse
from waykeep.authority.statements import (
    INCEPTION_TYPE,
    OWNER_ENTRY_TYPE,
    Approved,
    Body,
    DeviceAdded,
    EpochOpened,
    Inception,
    OwnerEntry,
    RecipientsNamed,
    StateKeyNamed,
    WriterAdded,
)
from waykeep.errors import AuthorityError
from waykeep.formats.ids import Digest, OwnerId, PublicKey, owner_id, sha256
from waykeep.formats.messages import Head
from waykeep.formats.wire import decode_json

MAX_ENTRY = 65536
MAX_OF_A_KIND = 10_000
_LIMITS: dict[type, int] = {DeviceAdded: 64, WriterAdded: 256}


class OwnerState(msgspec.Struct, frozen=True):
    """What the log says up to ``head``.

    Attributes:
        devices, state_keys: A key, and the number of the entry that named it.
        first: Digest of the inception's envelope.
        entries: Signer, entry and digest of the envelope, from number 1 on.
    """

    owner: OwnerId
    inception: Inception
    head: Head
    devices: dict[PublicKey, int]
    writers: dict[PublicKey, WriterAdded]
    epochs: dict[int, EpochOpened]
    state_keys: dict[PublicKey, int]
    approvals: dict[int, Approved]
    recipients: RecipientsNamed | None
    first: Digest
    entries: tuple[tuple[PublicKey, OwnerEntry, Digest], ...]

    def digest_at(self, number: int) -> Digest:
        """The digest of entry ``number``, which lies between 0 and the head's."""
        return self.entries[number - 1][2] if number else self.first

    def log_recipients(self) -> tuple[str, str]:
        """Who can open logs and journal. Raises: AuthorityError: ``log-recipients`` before they are named."""
        if self.recipients is None:
            raise AuthorityError(
                "log-recipients", "found an owner log that does not name its recipients yet", status=409
            )
        return self.recipients.log, self.recipients.recovery


def begin(owner: OwnerId, envelope: bytes) -> OwnerState:
    """The state after entry 0. Raises: AuthorityError: ``log-inception``."""
    return OwnerState(
        owner=owner,
        inception=open_inception(owner, envelope),
        head=Head(0, sha256(envelope)),
        devices={},
        writers={},
        epochs={},
        state_keys={},
        approvals={},
        recipients=None,
        first=sha256(envelope),
        entries=(),
    )


def open_inception(owner: OwnerId, envelope: bytes) -> Inception:
    """Raises: AuthorityError: ``log-inception`` unless it is the inception of this owner id (rule 1)."""
    opened = dsse.peek(envelope, INCEPTION_TYPE, limit=MAX_ENTRY)
    inception = decode_json(opened.payload, Inception, what="an inception")
    if owner_id(opened.payload) != owner or opened.signer != inception.authority or inception.version != 1:
        raise AuthorityError("log-inception", "found an inception that is not this owner's", status=403)
    return inception


def fold(state: OwnerState, envelopes: Sequence[bytes]) -> OwnerState:
    """The state after ``envelopes``, which continue ``state``. Raises: AuthorityError named by the rules above."""
    devices, writers, epochs = dict(state.devices), dict(state.writers), dict(state.epochs)
    state_keys, approvals = dict(state.state_keys), dict(state.approvals)
    entries, head, authority = list(state.entries), state.head, state.inception.authority
    recipients = state.recipients
    for envelope in envelopes:
        opened = dsse.peek(envelope, OWNER_ENTRY_TYPE, limit=MAX_ENTRY)
        entry = decode_json(opened.payload, OwnerEntry, what="an owner-log entry")
        body = entry.body
        if entry.number != head.number + 1 or entry.previous != head.digest:
            raise AuthorityError(
                "log-order",
                f"found an entry that does not follow number {head.number}",
                status=409,
                hint="fetch the log again",
            )
        if entry.owner != state.owner:
            raise AuthorityError("log-owner", "found an entry of another owner", status=403)
        certifies = isinstance(body, DeviceAdded | WriterAdded | RecipientsNamed)
        if opened.signer != authority and (certifies or opened.signer not in devices):
            raise AuthorityError("log-signer", "found an entry whose signer may not make it", status=403)
        if _count(body, len(entries), devices, writers, epochs, state_keys, approvals) >= _limit(body):
            raise AuthorityError("log-limit", "found more entries of a kind than a log may hold", status=409)
        match body:
            case DeviceAdded():
                _once(body.key, authority, devices, writers, state_keys)
                devices[body.key] = entry.number
            case WriterAdded():
                _once(body.key, authority, devices, writers, state_keys)
                writers[body.key] = body
            case EpochOpened():
                if body.number != len(epochs) + 1:
                    raise AuthorityError(
                        "log-epoch", f"found epoch {body.number}, expected {len(epochs) + 1}", status=409
                    )
                epochs[body.number] = body
            case RecipientsNamed():
                recipients = body
            case StateKeyNamed():
                _once(body.key, authority, devices, writers, state_keys)
                state_keys[body.key] = entry.number
            case Approved():
                approvals[entry.number] = body
        head = Head(entry.number, sha256(envelope))
        entries.append((opened.signer, entry, head.digest))
    return OwnerState(
        owner=state.owner,
        inception=state.inception,
        head=head,
        devices=devices,
        writers=writers,
        epochs=epochs,
        state_keys=state_keys,
        approvals=approvals,
        recipients=recipients,
        first=state.first,
        entries=tuple(entries),
    )


def _count(body: Body, entries: int, *kinds: Collection[object]) -> int:
    """How many entries of a body's kind there are; each entry but `RecipientsNamed` adds one to its own collection."""
    order = (DeviceAdded, WriterAdded, EpochOpened, StateKeyNamed, Approved)
    if isinstance(body, RecipientsNamed):
        return entries - sum(map(len, kinds))
    return len(kinds[order.index(type(body))])


def _limit(body: Body) -> int:
    return _LIMITS.get(type(body), MAX_OF_A_KIND)


def _once(key: PublicKey, authority: PublicKey, *known: Collection[PublicKey]) -> None:
    if key == authority or any(key in keys for keys in known):
        raise AuthorityError("log-repeat", "found a key that the log already holds", status=409)
