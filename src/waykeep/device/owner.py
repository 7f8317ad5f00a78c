"""Making an owner.

Keys, the inception, and the first entries of the owner log. Pure but for the randomness passed in.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from waykeep.authority import dsse, keys
from waykeep.authority.keys import SigningKey
from waykeep.authority.statements import (
    EPOCH_TYPE,
    INCEPTION_TYPE,
    KEY_LIST_TYPE,
    OWNER_ENTRY_TYPE,
    Body,
    DeviceAdded,
    EpochOpened,
    EpochStatement,
    Inception,
    KeyList,
    OwnerEntry,
    RecipientsNamed,
    WriterAdded,
)
from waykeep.device.keystore import Secrets
from waykeep.formats import agefile
from waykeep.formats.ids import OwnerId, owner_id, sha256
from waykeep.formats.messages import Head
from waykeep.formats.wire import encode_json

EPOCH_LIFE_MS = 366 * 86_400_000


class Paper(msgspec.Struct, frozen=True):
    """The two recovery secrets, shown once: one opens everything, one takes the owner id back."""

    opening: str
    rotating: str

    def __repr__(self) -> str:
        return "Paper(...)"


class NewOwner(msgspec.Struct, frozen=True):
    """What `create` made.

    Secrets for the keystore, the paper, and statements for the host, in the order they are put.
    """

    secrets: Secrets
    paper: Paper
    inception: bytes
    key_list: bytes
    entries: tuple[bytes, ...]
    epoch: bytes


def create(name: str, now_ms: int, random: Callable[[int], bytes]) -> NewOwner:
    """A new owner with one device, one writer (this device's importer) and epoch 1.

    Args:
        name: The device's name, for the owner's eyes.
        now_ms: The device's clock.
        random: ``random(n)`` gives n random bytes.
    """
    rotating = random(32)
    seeds = [random(32) for _ in range(4)]
    authority, control, device, writer = (SigningKey(seed) for seed in seeds)
    control_salt = random(16)
    # The next keys come from the rotating secret alone, so a thief of the device cannot make them.
    next_authority = SigningKey(keys.derive(rotating, "next-authority"))
    next_control = SigningKey(keys.derive(rotating, "next-control"))
    next_salt = keys.derive(rotating, "next-control-salt")[:16]
    opening, recovery = agefile.generate()
    log_secret, log_recipient = agefile.generate()
    epoch_secret, epoch_recipient = agefile.generate()
    payload = encode_json(
        Inception(
            version=1,
            authority=authority.public,
            next_authority=keys.key_digest(next_authority.public),
            control=keys.commitment(control_salt, control.public),
            next_control=keys.commitment(next_salt, next_control.public),
        )
    )
    owner = owner_id(payload)
    epoch = dsse.sign(
        EPOCH_TYPE, encode_json(EpochStatement(owner, 1, epoch_recipient, now_ms + EPOCH_LIFE_MS)), authority
    )
    entries = [dsse.sign(INCEPTION_TYPE, payload, authority)]
    for body in (
        RecipientsNamed(log_recipient, recovery),
        DeviceAdded(device.public, name),
        WriterAdded(writer.public, f"importer on {name}", "imported"),
        EpochOpened(1, sha256(epoch), epoch_recipient),
    ):
        entry = OwnerEntry(owner, len(entries), sha256(entries[-1]), now_ms, body)
        entries.append(dsse.sign(OWNER_ENTRY_TYPE, encode_json(entry), authority))
    secrets = Secrets(
        owner=owner,
        authority=seeds[0],
        control=seeds[1],
        control_salt=control_salt,
        device=seeds[2],
        writer=seeds[3],
        logs=(log_secret,),
        queue=agefile.generate()[0],
        recovery_recipient=recovery,
        epochs={"1": epoch_secret},
    )
    listed = KeyList(owner, 1, (device.public,), (writer.public,))
    return NewOwner(
        secrets=secrets,
        paper=Paper(opening, keys.rotating_text(rotating)),
        inception=entries[0],
        key_list=dsse.sign(KEY_LIST_TYPE, encode_json(listed), authority),
        entries=tuple(entries),
        epoch=epoch,
    )


def entry_after(owner: OwnerId, head: Head, now_ms: int, body: Body, key: SigningKey) -> bytes:
    """A signed entry that follows ``head``."""
    entry = OwnerEntry(owner, head.number + 1, head.digest, now_ms, body)
    return dsse.sign(OWNER_ENTRY_TYPE, encode_json(entry), key)
