"""Control keys one after the other: each signs a statement that opens the commitment to it, and holds the next one.

A witness holds a commitment to the next control key, and a paper gives that key alone. Where a witness missed rotations
(it was down, and the machine of a recovery was lost before it told), the newest paper gives none of those in between.
So the statements of all rotations lie in the owner log, and any device can show a witness the way from the control key
that it knows to the one of now. They name no owner: at a witness an owner is a pseudonym.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from waykeep.authority import dsse, keys
from waykeep.authority.keys import SigningKey
from waykeep.errors import AuthorityError
from waykeep.formats.ids import Digest, PublicKey, b64, parse_digest, unb64
from waykeep.formats.wire import decode_json, encode_json

CONTROL_ROTATION_TYPE = "application/vnd.waykeep.control-rotation+json"
SALT_BYTES = 16
MAX_ENVELOPE = 2048
MAX_ROTATIONS = 16
"""Of an owner, over all time."""


class ControlRotation(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """From the owner's paper, and signed by ``control``.

    Attributes:
        control, salt: The control key from now on, and what opens the commitment to it.
        next_control: Salted commitment to the one after.
    """

    control: PublicKey
    salt: str
    next_control: Digest


def rotation(control: SigningKey, salt: bytes, next_control: Digest) -> str:
    """The envelope of a rotation to ``control``, as text. ``salt`` has `SALT_BYTES` bytes."""
    said = ControlRotation(control.public, b64(salt), next_control)
    return dsse.sign(CONTROL_ROTATION_TYPE, encode_json(said), control).decode()


def open_(envelope: str) -> ControlRotation:
    """A rotation whose own key signed it.

    Raises:
        AuthorityError: ``signer-unknown``; and as `dsse.peek` does.
        FormatError: ``too-large``, ``malformed``, ``digest-malformed``, ``base64-malformed``.
    """
    opened = dsse.peek(envelope.encode(), CONTROL_ROTATION_TYPE, limit=MAX_ENVELOPE)
    found = decode_json(opened.payload, ControlRotation, what="a rotation of a control key")
    if opened.signer != found.control:
        raise AuthorityError("signer-unknown", "found a rotation of a control key that it did not sign", status=403)
    parse_digest(found.next_control)
    unb64(found.salt, SALT_BYTES)
    return found


def newest(rotations: Sequence[str], expected: Digest) -> ControlRotation | None:
    """The last of rotations, where they lead there.

    Args:
        rotations: Envelopes, oldest first. Those before the one that opens ``expected`` are passed over.
        expected: The commitment to the next control key that is held.

    Returns:
        None where none opens it, or one after that does not follow.

    Raises:
        AuthorityError, FormatError: As `open_` does.
    """
    found: ControlRotation | None = None
    for text in rotations:
        turned = open_(text)
        if keys.commitment(unb64(turned.salt, SALT_BYTES), turned.control) == expected:
            found, expected = turned, turned.next_control
        elif found is not None:
            return None
    return found
