"""Who may write for an owner at the host: what an untrusted host checks, from public statements alone."""

from __future__ import annotations

from collections.abc import Collection

from waykeep.authority import dsse, requests
from waykeep.authority.ownerlog import open_inception
from waykeep.authority.statements import EPOCH_TYPE, KEY_LIST_TYPE, EpochStatement, KeyList
from waykeep.errors import AuthorityError
from waykeep.formats import agefile
from waykeep.formats.ids import OwnerId, PublicKey
from waykeep.formats.wire import decode_json

MAX_KEYS = 320


def register(owner: OwnerId, inception: bytes) -> None:
    """Raises: AuthorityError: ``log-inception`` unless the envelope is the inception of that owner id."""
    open_inception(owner, inception)


def key_list(owner: OwnerId, inception: bytes, envelope: bytes, number: int) -> KeyList:
    """The key list in an envelope.

    Raises:
        AuthorityError: ``key-list-mismatch`` for another owner, number or too many keys; and as `dsse.open_` does.
    """
    authority = open_inception(owner, inception).authority
    listed = decode_json(dsse.open_(envelope, KEY_LIST_TYPE, [authority]).payload, KeyList, what="a key list")
    if listed.owner != owner or listed.number != number or len(listed.devices) + len(listed.writers) > MAX_KEYS:
        raise AuthorityError("key-list-mismatch", "found a key list of another owner or number", status=409)
    return listed


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
