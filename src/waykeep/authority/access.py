"""Who may write for an owner at the host: what an untrusted host checks, from public statements alone."""

from __future__ import annotations

from collections.abc import Collection

from waykeep.authority import dsse, ownerlog, requests, studies
from waykeep.authority.controls import MAX_ROTATIONS
from waykeep.authority.introductions import introduced as introduced
from waykeep.authority.memberships import MAX_MEMBERSHIPS
from waykeep.authority.ownerlog import open_inception
from waykeep.authority.statements import EPOCH_TYPE, KEY_LIST_TYPE, EpochStatement, KeyList
from waykeep.errors import AuthorityError
from waykeep.formats import agefile
from waykeep.formats.ids import OwnerId, PublicKey
from waykeep.formats.wire import decode_json

MAX_KEYS = 320
"""The most devices and writers of a key list, as many as an owner log names."""
MAX_CALLERS = 256


def register(owner: OwnerId, inception: bytes) -> None:
    """Raises: AuthorityError: ``log-inception`` unless the envelope is the inception of that owner id."""
    open_inception(owner, inception)


def key_list(owner: OwnerId, inception: bytes, envelope: bytes, number: int, rotations: int = 0) -> KeyList:
    """The key list in an envelope, signed by the authority after the rotations that it holds.

    Args:
        rotations: How many the list before this one holds. A list with fewer is by an authority that was replaced.

    Raises:
        AuthorityError: ``key-list-mismatch`` for another owner, number or too many keys; ``key-list-rotation`` for one
            that forgets a rotation; ``signer-unknown`` for one by another authority; and as `ownerlog.authority` and
            `dsse.open_` do.
    """
    first = open_inception(owner, inception)
    opened = dsse.peek(envelope, KEY_LIST_TYPE)
    listed = decode_json(opened.payload, KeyList, what="a key list")
    if len(listed.rotations) > MAX_ROTATIONS:  # each is a signature to verify
        raise AuthorityError("key-list-mismatch", f"found a key list with over {MAX_ROTATIONS} rotations", status=409)
    if opened.signer != ownerlog.authority(owner, first, listed.rotations):
        raise AuthorityError("signer-unknown", "found a key list that the owner's authority did not sign", status=403)
    if listed.owner != owner or listed.number != number:
        raise AuthorityError("key-list-mismatch", "found a key list of another owner or number", status=409)
    too_many = len(listed.callers) > MAX_CALLERS or len(listed.studies) > MAX_MEMBERSHIPS
    if len(listed.devices) + len(listed.writers) > MAX_KEYS or too_many:
        raise AuthorityError("key-list-mismatch", "found a key list with too many keys", status=409)
    if len(listed.rotations) < rotations:
        raise AuthorityError(
            "key-list-rotation",
            f"found a key list with {len(listed.rotations)} rotations, the one before has {rotations}",
            hint="its authority was replaced; only the new one signs key lists",
            status=403,
        )
    return listed


def study(envelope: bytes) -> PublicKey:
    """The researcher of a study. Raises as `studies.open_` does."""
    return studies.open_(envelope).researcher


def authorize(request: requests.HttpRequest, keys: Collection[str]) -> PublicKey:
    """The key that signed a request to the host. Raises as `requests.verify` does."""
    return requests.verify(request, keys, channel=None).signer


def epoch(owner: OwnerId, authority: PublicKey, envelope: bytes, number: int) -> EpochStatement:
    """The epoch statement in an envelope: what a writer may encrypt to, and a user cloud expects a segment to be
    encrypted to.

    Raises:
        AuthorityError: ``epoch-mismatch`` for another owner or number; and as `dsse.open_` does.
        FormatError: ``recipient-malformed``.
    """
    found = decode_json(
        dsse.open_(envelope, EPOCH_TYPE, [authority]).payload, EpochStatement, what="an epoch statement"
    )
    if found.owner != owner or found.number != number:
        raise AuthorityError("epoch-mismatch", "found an epoch statement of another owner or number", status=409)
    agefile.parse_recipient(found.recipient)
    return found
