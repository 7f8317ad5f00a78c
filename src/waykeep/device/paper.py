"""The first step of a recovery: new keys and a new paper from the old paper, and what is kept until it is done."""

from __future__ import annotations

import secrets as randomness
from collections.abc import Callable

import msgspec

from waykeep.authority import access, dsse, keys, ownerlog
from waykeep.authority.keys import SigningKey
from waykeep.authority.statements import ROTATION_TYPE, Rotation
from waykeep.device import files, keystore
from waykeep.device.hostclient import HostClient
from waykeep.device.keystore import Lock, Secrets
from waykeep.device.owner import Paper
from waykeep.device.profile import Folder, Profile
from waykeep.errors import DeviceError
from waykeep.formats import agefile
from waykeep.formats.ids import Digest, numbered
from waykeep.formats.messages import Number
from waykeep.formats.wire import MIB, decode_json, encode_json


class Staged(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A recovery under way, kept until it is done.

    ``opening`` is the old paper's secret; ``rotations`` are the envelopes of all rotations, the last one is this one's.
    """

    opening: str
    rotations: tuple[str, ...]
    next_control: Digest
    void_from: Number | None
    name: str

    def __repr__(self) -> str:
        return "Staged(...)"


def begin(
    folder: Folder,
    profile: Profile,
    lock: Lock,
    old: Paper,
    name: str,
    void_from: int | None,
    show: Callable[[Paper], None],
) -> None:
    """Make new keys from the old paper, show the new one, and keep them. Raises as `recovery.recover` does."""
    opening, rotating = old.opening.strip(), keys.rotating_secret(old.rotating)
    agefile.parse_identity(opening)
    authority = SigningKey(keys.derive(rotating, "next-authority"))
    rotations = _rotations_before(profile, authority)
    new_rotating, (new_opening, recovery) = randomness.token_bytes(32), agefile.generate()
    rotation = Rotation(
        profile.owner,
        len(rotations) + 1,
        authority.public,
        keys.key_digest(SigningKey(keys.derive(new_rotating, "next-authority")).public),
    )
    made = Secrets(
        owner=profile.owner,
        authority=keys.derive(rotating, "next-authority"),
        control=keys.derive(rotating, "next-control"),
        control_salt=keys.derive(rotating, "next-control-salt")[:16],
        device=randomness.token_bytes(32),
        writer=randomness.token_bytes(32),
        logs=(),
        queue=agefile.generate()[0],
        recovery_recipient=recovery,
        epochs={},
    )
    staged = Staged(
        opening,
        (*rotations, dsse.sign(ROTATION_TYPE, encode_json(rotation), authority).decode()),
        keys.commitment(
            keys.derive(new_rotating, "next-control-salt")[:16],
            SigningKey(keys.derive(new_rotating, "next-control")).public,
        ),
        void_from,
        name,
    )
    folder.create(profile)
    show(Paper(new_opening, keys.rotating_text(new_rotating)))
    files.write(folder.recovering, agefile.seal(encode_json(staged), [agefile.recipient_of(made.queue)]))
    keystore.save(folder.keystore, made, lock)


def _rotations_before(profile: Profile, authority: SigningKey) -> tuple[str, ...]:
    """The rotations before the one by this key, as the host shows them."""
    host, owner, wanted = HostClient(profile.host, profile.owner), profile.owner, keys.key_digest(authority.public)
    try:
        inception = host.get("access", numbered(0))
        if inception is None:
            raise DeviceError("key-list-withheld", "the host does not show the inception of this owner", status=502)
        first = ownerlog.open_inception(owner, inception)
        # Not only the newest: its last rotation may be of a recovery that was given up.
        for name in sorted(host.names("access"), reverse=True):
            listed = None
            if name != numbered(0):
                listed = access.key_list(owner, inception, host.get("access", name) or b"", int(name))
            rotations, expected = () if listed is None else listed.rotations, [first.next_authority]
            for number, text in enumerate(rotations, 1):
                found = ownerlog.open_rotation(text.encode(), owner, number, expected[-1])
                expected.append(found.next_authority)
            if wanted in expected:
                return rotations[: expected.index(wanted)]
    finally:
        host.close()
    raise DeviceError(
        "paper-mismatch",
        "found a rotating secret that does not fit what the host shows of this owner",
        hint="is it the newest paper, and is the owner id right? If so, the host shows an old state",
    )


def staged(folder: Folder, secrets: Secrets) -> Staged:
    """The recovery under way in a folder."""
    plain = agefile.open_(folder.recovering.read_bytes(), [secrets.queue], limit=MIB, what="a recovery")
    return decode_json(plain, Staged, what="a recovery")
