"""The statements that an owner signs. Each is a DSSE payload in JSON, of a type of its own."""

from __future__ import annotations

from typing import Annotated

import msgspec

from waykeep.authority.permissions import Permission
from waykeep.formats.ids import Digest, OwnerId, PublicKey
from waykeep.formats.messages import (
    Head,
    Millis,
    Number,
    Recipient,
    Small,
)

Salt = Annotated[str, msgspec.Meta(min_length=22, max_length=22)]

_TYPE = "application/vnd.waykeep.{}+json"
INCEPTION_TYPE = _TYPE.format("inception")
KEY_LIST_TYPE = _TYPE.format("key-list")
EPOCH_TYPE = _TYPE.format("epoch")
OWNER_ENTRY_TYPE = _TYPE.format("owner-entry")
ROTATION_TYPE = _TYPE.format("rotation")


class _Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Inception(_Statement, frozen=True):
    """The first statement of an owner; the digest of its bytes is the owner id. Signed by ``authority``.

    Attributes:
        authority: The key that certifies devices and writers and signs epochs' key lists for the host.
        next_authority: Digest of the next one (pre-rotation, as in KERI): the secret is only on the owner's paper.
        control: Salted commitment to the first control key, which a witness knows by its digest.
        next_control: Salted commitment to the next one, from the same paper.
    """

    version: int
    authority: PublicKey
    next_authority: Digest
    control: Digest
    next_control: Digest


class Rotation(_Statement, frozen=True):
    """The authority's ``number``-th replacement, signed by the new one, which only the owner's paper gives.

    Public, so that host and writers can follow it without the owner log.
    """

    owner: OwnerId
    number: Number
    authority: PublicKey
    next_authority: Digest


class KeyList(_Statement, frozen=True):
    """Who may write for an owner at the host: a numbered list, signed by the authority. The newest counts.

    Attributes:
        callers: Keys that may have the user cloud woken: of those to whom the owner granted something.
        rotations: Envelopes of all rotations so far, as text.
        pending: The owner log may not hold the newest rotation yet: a recovery is under way.
        studies: Those whose queries may have the user cloud woken.
    """

    owner: OwnerId
    number: Number
    devices: tuple[PublicKey, ...]
    writers: tuple[PublicKey, ...]
    callers: tuple[PublicKey, ...] = ()
    rotations: tuple[str, ...] = ()
    pending: bool = False
    studies: tuple[Digest, ...] = ()


class EpochStatement(_Statement, frozen=True):
    """What a writer may encrypt to. Signed by the authority, readable without opening the owner log."""

    owner: OwnerId
    number: Number
    recipient: str
    expires_ms: Millis


# -- owner log ---------------------------------------------------------------------------------------------------------


class DeviceAdded(_Statement, frozen=True, tag="device"):
    """A device of the owner: its key signs entries and requests."""

    key: PublicKey
    name: Small


class WriterAdded(_Statement, frozen=True, tag="writer"):
    """A writer of segments. ``source`` says whether the source itself signs, or an importer for it."""

    key: PublicKey
    name: str
    source: str


class RecipientsNamed(_Statement, frozen=True, tag="recipients"):
    """Who can open logs and journal.

    The log recipient (devices and user cloud hold its secret) and the recovery recipient.
    """

    log: str
    recovery: str


class EpochOpened(_Statement, frozen=True, tag="epoch"):
    """A new epoch: the digest of its signed statement."""

    number: Number
    statement: Digest
    recipient: str


class KeyRevoked(_Statement, frozen=True, tag="key-revoked"):
    """A device or a writer is one no longer. What it signed before stays; after a device, every grant is used up."""

    key: PublicKey


class StateKeyNamed(_Statement, frozen=True, tag="state-key"):
    """Names the key with which a user cloud of this owner signs its journal."""

    key: PublicKey


class StateKeyRetired(_Statement, frozen=True, tag="state-key-retired"):
    """Records that quote this entry or a later one are not taken from that key."""

    key: PublicKey


class NodeApproved(_Statement, frozen=True, tag="node"):
    """A node on which the user cloud may wake without its owner: the age recipient of its supervisor."""

    recipient: Recipient
    name: Small


class NodeWithdrawn(_Statement, frozen=True, tag="node-withdrawn"):
    recipient: Recipient


class WitnessNamed(_Statement, frozen=True, tag="witness"):
    """The owner's witness.

    Attributes:
        key, url: Whose signature counts, and where it answers.
        control, salt: The first control key and what opens the commitment to it: whoever reads the log knows the
            pseudonym, which is the key's digest.
        closed: The last answer of the witness before, which it signed when it was closed. Empty for the first, or
            where the old one is dead; then every grant counts as used up, as after a resume.
    """

    key: PublicKey
    url: Small
    control: PublicKey
    salt: Salt
    closed: str = ""


class WitnessWaived(_Statement, frozen=True, tag="no-witness"):
    """Grants to others work without a witness. ``words`` are `WAIVER`, which the owner accepted."""

    words: str


WAIVER = "The operator of the machines could repeat what I grant to others without limit."


class Resumed(_Statement, frozen=True, tag="resumed"):
    """The journal goes on from ``head``, since the records up to ``replaces`` were lost.

    Every grant before this entry counts as used up.
    """

    replaces: Head | None
    head: Head | None


class AuthorityRotated(_Statement, frozen=True, tag="rotated"):
    """A new authority and control key, from the owner's paper. Leaves no device, no state key and no grant.

    Attributes:
        rotation: The envelope of the public `Rotation`, as text.
        control: That of the rotation to the control key from now on, see `waykeep.authority.controls`.
        void_from: Entries from this number on have no effect, or None.
    """

    rotation: str
    control: str
    void_from: Number | None


Body = (
    DeviceAdded
    | WriterAdded
    | KeyRevoked
    | RecipientsNamed
    | EpochOpened
    | StateKeyNamed
    | StateKeyRetired
    | NodeApproved
    | NodeWithdrawn
    | WitnessNamed
    | WitnessWaived
    | Resumed
    | AuthorityRotated
    | Permission
)


class OwnerEntry(_Statement, frozen=True):
    """An entry of the owner log. ``previous`` is the digest of the envelope before; number 0 is the inception."""

    owner: OwnerId
    number: Number
    previous: Digest
    time_ms: Millis
    body: Body
