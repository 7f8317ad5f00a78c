"""The fold of the owner log: what the owner wants. No I/O, no clock, no randomness.

Rules, by their names:

1. ``log-inception``: entry 0 is the inception statement; its digest is the owner id, and the key it names signed it.
2. ``log-order``: an entry has the next number and the digest of the envelope before it.
3. ``log-owner``: an entry names this owner.
4. ``log-signer``: devices, writers, recipients, epochs and witnesses are named and revoked by the authority, a rotation
   by the next one; all else by the authority or by a device that is in force.
5. ``log-epoch``: an epoch has the next number, counting those without effect; its statement is of this owner, signed by
   the authority (checked where read).
6. ``log-repeat``: a key is added once, in one role, also after it was revoked. What is void was not added, but for
   state keys.
7. ``log-limit``: at most 64 nodes and 256 withholdings in force, at most 16 rotations, and since the last one at most
   64 devices, 256 writers, 10,000 entries of any other kind: so a thief who fills the log locks nobody out.
8. ``log-unknown``: what is revoked, retired or withdrawn is in force. Revoking a device takes back its nodes as well.
   That, and withdrawing a node, retires every state key: one may be known there, or was named by a thief.
9. ``log-witness``: a witness is named with the control key in force. Moving without the old one's signed close uses up
   every grant, and so does naming one after doing without. Doing without one takes the owner's words for it.
10. ``log-rotation``: the new authority and control keys open the commitments of inception or last rotation; entries
    since the number it names (none of them before the last rotation) have no effect, and then every grant is used up;
    no device and no state key is left. What was withheld at either time stays so.
11. ``log-grant``: approvals and grants name streams with columns, and parameters; no window of theirs is empty, and a
    grant has an end, which counts the witness's time. What is withheld has some time.
12. ``log-study``, ``log-budget``: a study is joined once, whole and as it was signed, and what all studies joined may
    learn stays within the budget in every period of it; so does a budget that is changed.
13. A resume, a rotation and the revocation of a device use up every grant before them: whoever has a control key can
    have the witness hold another journal.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from waykeep.authority import controls, dsse, effects, keys
from waykeep.authority.controls import MAX_ROTATIONS
from waykeep.authority.ownerstate import Ended, Line, Named, OwnerState
from waykeep.authority.statements import (
    INCEPTION_TYPE,
    OWNER_ENTRY_TYPE,
    ROTATION_TYPE,
    AuthorityRotated,
    DeviceAdded,
    EpochOpened,
    Inception,
    KeyRevoked,
    OwnerEntry,
    RecipientsNamed,
    Rotation,
    WitnessNamed,
    WitnessWaived,
    WriterAdded,
)
from waykeep.errors import AuthorityError
from waykeep.formats.ids import Digest, OwnerId, PublicKey, owner_id, sha256
from waykeep.formats.messages import Head
from waykeep.formats.wire import decode_json

MAX_ENTRY = 65536
MAX_OF_A_KIND = 10_000
_LIMITS: dict[type, int] = {DeviceAdded: 64, WriterAdded: 256, AuthorityRotated: MAX_ROTATIONS}
_BY_AUTHORITY = DeviceAdded | WriterAdded | KeyRevoked | RecipientsNamed | EpochOpened | WitnessNamed | WitnessWaived


def begin(owner: OwnerId, envelope: bytes) -> OwnerState:
    """The state after entry 0. Raises: AuthorityError: ``log-inception``."""
    return _first(owner, open_inception(owner, envelope), sha256(envelope))


def _first(owner: OwnerId, inception: Inception, digest: Digest) -> OwnerState:
    return OwnerState(
        owner=owner,
        inception=inception,
        head=Head(0, digest),
        first=digest,
        authority=inception.authority,
        next_authority=inception.next_authority,
        control=inception.control,
        next_control=inception.next_control,
    )


def open_inception(owner: OwnerId, envelope: bytes) -> Inception:
    """Raises: AuthorityError: ``log-inception`` unless it is the inception of this owner id (rule 1)."""
    opened = dsse.peek(envelope, INCEPTION_TYPE, limit=MAX_ENTRY)
    inception = decode_json(opened.payload, Inception, what="an inception")
    if owner_id(opened.payload) != owner or opened.signer != inception.authority or inception.version != 1:
        raise AuthorityError("log-inception", "found an inception that is not this owner's", status=403)
    return inception


def open_rotation(envelope: bytes, owner: OwnerId, number: int, expected: Digest) -> Rotation:
    """The ``number``-th rotation, by the key of digest ``expected``. Raises: AuthorityError: ``log-rotation``."""
    opened = dsse.peek(envelope, ROTATION_TYPE, limit=8192)
    found = decode_json(opened.payload, Rotation, what="a rotation")
    if (found.owner, found.number, found.authority) != (owner, number, opened.signer) or (
        keys.key_digest(found.authority) != expected
    ):
        raise AuthorityError(
            "log-rotation", "found a rotation that the owner's paper did not make, or out of order", status=403
        )
    return found


def fold(state: OwnerState, envelopes: Sequence[bytes]) -> OwnerState:
    """The state after ``envelopes``, which continue ``state``. Raises: AuthorityError named by the rules above."""
    counts: dict[type, int] = {AuthorityRotated: len(state.rotations)}
    for _, entry, _ in state.entries[state.rotated :]:
        counts[type(entry.body)] = counts.get(type(entry.body), 0) + 1
    added: list[Line] = []
    for envelope in envelopes:
        opened = dsse.peek(envelope, OWNER_ENTRY_TYPE, limit=MAX_ENTRY)
        entry = decode_json(opened.payload, OwnerEntry, what="an owner-log entry")
        kind, head = type(entry.body), state.head
        if entry.number != head.number + 1 or entry.previous != head.digest:
            raise AuthorityError(
                "log-order",
                f"found an entry that does not follow number {head.number}",
                status=409,
                hint="fetch the log again",
            )
        if entry.owner != state.owner:
            raise AuthorityError("log-owner", "found an entry of another owner", status=403)
        counts[kind] = counts.get(kind, 0) + 1
        if counts[kind] > _LIMITS.get(kind, MAX_OF_A_KIND):
            raise AuthorityError("log-limit", "found more entries of a kind than a log may hold", status=409)
        line = (opened.signer, entry, sha256(envelope))
        added.append(line)
        if isinstance(entry.body, AuthorityRotated):
            before = (*state.entries, *added[:-1]) if len(added) > 1 else state.entries
            state = _rotated(state, entry.body, line, before)
            counts = {AuthorityRotated: len(state.rotations)}
        else:
            if opened.signer != state.authority and (
                isinstance(entry.body, _BY_AUTHORITY) or opened.signer not in state.devices
            ):
                raise AuthorityError("log-signer", "found an entry whose signer may not make it", status=403)
            state = effects.after(state, entry.body, entry.number, opened.signer)
        state = msgspec.structs.replace(state, head=Head(entry.number, line[2]))
    return msgspec.structs.replace(state, entries=(*state.entries, *added))


def _rotated(state: OwnerState, body: AuthorityRotated, line: Line, before: tuple[Line, ...]) -> OwnerState:
    """The state after a rotation, the last of ``line``; ``before`` are all entries before it."""
    signer, entry, digest = line
    rotation = open_rotation(body.rotation.encode(), state.owner, len(state.rotations) + 1, state.next_authority)
    control = controls.newest((body.control,), state.next_control)
    void_from = entry.number if body.void_from is None else body.void_from
    if signer != rotation.authority or control is None or not state.rotated < void_from <= entry.number:
        raise AuthorityError("log-rotation", "found a rotation that the owner's paper did not make", status=403)
    kept = state if void_from == entry.number else _as_of(state, before[state.rotated : void_from - 1])
    # Whoever had the control key may have set the journal back, or moved to a witness that signs anything.
    kept = effects.used_up(kept, entry.number)
    lives = {
        key: Named(life.since, min(life.until, entry.number), life.void or life.since >= void_from)
        for key, life in state.state_keys.items()
    }
    given = (*state.approvals, *state.grants, *state.memberships, *state.ended)
    void = {n: Ended("grant-void", entry.number) for n in given if n >= void_from}
    after = msgspec.structs.replace(
        kept,
        head=Head(entry.number, digest),
        authority=rotation.authority,
        next_authority=rotation.next_authority,
        control=state.next_control,
        next_control=control.next_control,
        rotated=entry.number,
        rotations=(*state.rotations, body.rotation),
        controls=(*state.controls, body.control),
        devices={},
        known=kept.known | {state.authority} | set(lives),
        state_keys=lives,
        last_epoch=state.last_epoch,
        closed_at=None,  # it guards grants, and all are used up; the journal may have been set back without effect
        resumed=state.resumed,
        joined=state.joined,  # their debits stay, and count
        ended=kept.ended | void,
        withheld=kept.withheld | state.withheld,  # also what is void: who wants it back lifts it
        entries=(),
        base=None,
    )
    return msgspec.structs.replace(after, base=after, entries=state.entries)


def _as_of(state: OwnerState, since: Sequence[Line]) -> OwnerState:
    """What was in force after ``since``, the entries from the last rotation on, whose place and signer were checked."""
    past = state.base or _first(state.owner, state.inception, state.first)
    for signer, entry, _ in since:
        past = effects.after(past, entry.body, entry.number, signer)
    return past


def authority(owner: OwnerId, inception: Inception, rotations: Sequence[str]) -> PublicKey:
    """The authority after public rotations, for who cannot open the log. Raises: AuthorityError: ``log-rotation``."""
    return authorities(owner, inception, rotations)[-1]


def authorities(owner: OwnerId, inception: Inception, rotations: Sequence[str]) -> tuple[PublicKey, ...]:
    """All that were, the newest last. Raises: AuthorityError: ``log-rotation``."""
    found, expected = [inception.authority], inception.next_authority
    for number, text in enumerate(rotations, 1):
        rotation = open_rotation(text.encode(), owner, number, expected)
        found.append(rotation.authority)
        expected = rotation.next_authority
    return tuple(found)
