"""Introductions: a holder tells the owner's host that another key may have the user cloud woken.

A holder who passes a grant on gives the next one an introduction beside the link. The host, which may read neither
grants nor links, learns from it two keys and nothing of what was granted.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import msgspec

from waykeep.authority import dsse
from waykeep.authority.keys import SigningKey
from waykeep.authority.links import MAX_LINKS
from waykeep.errors import AuthorityError
from waykeep.formats.ids import OwnerId, PublicKey
from waykeep.formats.wire import decode_json, encode_json

INTRODUCTION_TYPE = "application/vnd.waykeep.introduction+json"
MAX_INTRODUCTION = 2048


class Introduction(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Signed by a caller of the owner's key list, or by a key that was introduced before."""

    owner: OwnerId
    key: PublicKey


def introduce(owner: OwnerId, key: PublicKey, by: SigningKey) -> bytes:
    """The envelope of an introduction."""
    return dsse.sign(INTRODUCTION_TYPE, encode_json(Introduction(owner, key)), by)


def introduced(owner: OwnerId, callers: Collection[PublicKey], envelopes: Sequence[bytes]) -> PublicKey:
    """The key that a chain of introductions ends with.

    Args:
        callers: Those whom the owner's key list names. One of them signed the first.

    Raises:
        AuthorityError: ``introduction-unknown`` (403). And as `dsse.peek` does.
    """
    refusal = AuthorityError(
        "introduction-unknown",
        "found introductions that do not lead from a caller of this owner to the key that asks",
        hint="ask whoever passed the grant on for a new one",
        status=403,
    )
    if not 1 <= len(envelopes) <= MAX_LINKS:
        raise refusal
    allowed = set(callers)
    for envelope in envelopes:
        opened = dsse.peek(envelope, INTRODUCTION_TYPE, limit=MAX_INTRODUCTION)
        found = decode_json(opened.payload, Introduction, what="an introduction")
        if opened.signer not in allowed or found.owner != owner:
            raise refusal
        allowed = {found.key}
    return allowed.pop()
