"""What a writer encrypts to: the newest epoch statement, read from public objects and confirmed by the witness.

No log has to be opened for it, so a writer needs no secret of its owner. In this order:

1. The authority is the inception's, after the rotations that the newest key list holds.
2. Statements lie in ``epochs/``; those that this authority signed for this owner count, the highest number first.
3. Where the owner has a witness, the newest is the one that it holds under the writer's own nonce, and no other:
   neither an older one, nor a newer one that nobody but its signer knows of.
"""

from __future__ import annotations

from waykeep.authority import access, ownerlog
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.statements import EpochStatement, KeyList
from waykeep.device.hostclient import HostClient
from waykeep.device.witnessing import OwnerWitness
from waykeep.errors import AuthorityError, DeviceError, FormatError, WaykeepError
from waykeep.formats.ids import Digest, OwnerId, PublicKey, numbered, sha256
from waykeep.formats.messages import Head

MAX_STATEMENTS = 16
"""Statements that are looked at, from the newest on."""


def authority(host: HostClient, owner: OwnerId) -> PublicKey:
    """The owner's authority, from public statements. Raises: DeviceError: ``key-list-withheld``; AuthorityError."""
    inception = host.get("access", numbered(0))
    if inception is None:
        raise DeviceError("key-list-withheld", "the host does not show the inception of this owner", status=502)
    first = ownerlog.open_inception(owner, inception)
    listed = newest_list(host, owner, inception)
    return first.authority if listed is None else ownerlog.authority(owner, first, listed.rotations)


def newest_list(host: HostClient, owner: OwnerId, inception: bytes) -> KeyList | None:
    """The newest key list that the host shows, None before the first. Raises: AuthorityError, FormatError."""
    names = host.names("access")
    if len(names) < 2:
        return None
    data = host.get("access", names[-1]) or b""
    number = int(names[-1]) if names[-1].isdecimal() else -1
    return access.key_list(owner, inception, data, number)


def statements(host: HostClient, owner: OwnerId) -> list[tuple[EpochStatement, Digest]]:
    """The statements of the present authority with the digests of their envelopes, the newest first.

    Bytes that somebody else left there do not count.
    """
    signer, found = authority(host, owner), []
    for name in sorted(host.names("epochs"), reverse=True)[:MAX_STATEMENTS]:
        number = int(name[:10]) if name[:10].isdecimal() else -1
        try:
            data = host.get("epochs", name) or b""
            found.append((access.epoch(owner, signer, data, number), sha256(data)))
        except (AuthorityError, FormatError):
            continue
    return found


def newest(host: HostClient, owner: OwnerId, held: Head | None) -> EpochStatement:
    """The current epoch.

    Args:
        held: The statement that the witness holds, or for an owner without one that the owner log names; None where
            neither can be asked, which is a risk that the owner took.

    Raises:
        DeviceError: ``epoch-withheld`` when the host does not show that statement, ``epoch-behind-witness`` when it
            shows older ones only.
    """
    found = statements(host, owner)
    if not found:
        raise DeviceError("epoch-withheld", "the host shows no epoch statement of this owner", status=502)
    number = found[0][0].number
    if held is None:
        return found[0][0]
    if number < held.number:
        raise DeviceError(
            "epoch-behind-witness",
            f"ALARM: the host shows epoch {number} as the newest; epoch {held.number} has begun. Whoever was to lose "
            "access by that could read what is uploaded now, so nothing was sent",
            hint="ask the host's operator why; what is recorded stays queued",
            status=409,
        )
    for statement, digest in found:
        if (statement.number, digest) == (held.number, held.digest):
            return statement
    raise DeviceError(
        "epoch-withheld", f"the host does not show the statement of epoch {held.number}; nothing was sent", status=502
    )


def current(host: HostClient, log: OwnerState, witness: OwnerWitness) -> EpochStatement:
    """The current epoch, for a device that reads the owner log as well.

    Raises:
        DeviceError: As `newest`; ``epoch-unconfirmed`` when the witness cannot be asked.
    """
    number = max(log.epochs)
    named = Head(number, log.epochs[number].statement)
    if log.witness is None:
        return newest(host, log.owner, named)
    try:
        held = witness.follow(log).epoch
    except WaykeepError as error:
        if error.rule == "owner-log-rewound":
            raise
        raise DeviceError(
            "epoch-unconfirmed",
            f"your witness could not confirm the current epoch ({error.rule}); nothing was sent",
            hint="what is recorded stays queued; try again when the witness answers",
            status=502,
        ) from None
    found = newest(host, log.owner, held)
    if held != named:
        raise DeviceError("epoch-withheld", f"the owner log that is shown names epoch {number}, the witness another")
    return found
