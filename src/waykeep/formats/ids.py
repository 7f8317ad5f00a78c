"""Identifiers: owner ids, digests, public keys, object names. All are text with one spelling each.

An owner id is base32 (RFC 4648, lower case, no padding) of a SHA-256: 52 characters, so it fits a DNS label.
A digest is ``sha256:`` and 64 hex digits. A public key is base64url (no padding) of the 32 raw bytes of Ed25519.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import NewType

from waykeep.errors import FormatError

OwnerId = NewType("OwnerId", str)
Digest = NewType("Digest", str)
PublicKey = NewType("PublicKey", str)

ROOMS = ("access", "owner-log", "epochs", "keys", "segments", "journal", "snapshots", "sealed")
"""The folders of an owner's part of the store, see ``docs/spec.md``."""

_OWNER = re.compile(r"[a-z2-7]{52}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_KEY = re.compile(r"[A-Za-z0-9_-]{43}")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}(\.age)?")
MAX_NUMBER = 10**10 - 1


def b64(data: bytes) -> str:
    """Base64url without padding (RFC 4648 section 5)."""
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def unb64(text: str, length: int) -> bytes:
    """The bytes behind ``text``, which must be exactly ``length`` bytes in their one spelling.

    Raises:
        FormatError: ``base64-malformed``.
    """
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (ValueError, binascii.Error):
        data = b""
    if len(data) != length or b64(data) != text:
        raise FormatError("base64-malformed", f"found text that is not base64url of {length} bytes")
    return data


def owner_id(inception: bytes) -> OwnerId:
    """The owner id of an inception statement: base32 of the SHA-256 of its payload bytes."""
    return OwnerId(base64.b32encode(hashlib.sha256(inception).digest()).decode().lower().rstrip("="))


def query_binding(study: Digest, repetition: int) -> str:
    """What the aggregator of a study's query is bound to for its life."""
    return f"{study}.{repetition}"


def parse_owner_id(text: str) -> OwnerId:
    """Raises: FormatError: ``owner-id-malformed``."""
    if _OWNER.fullmatch(text) is None:
        raise FormatError("owner-id-malformed", "an owner id has 52 characters of a-z and 2-7")
    return OwnerId(text)


def sha256(data: bytes) -> Digest:
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def parse_digest(text: str) -> Digest:
    """Raises: FormatError: ``digest-malformed``."""
    if _DIGEST.fullmatch(text) is None:
        raise FormatError(
            "digest-malformed", "a digest is 'sha256:' and 64 hex digits", hint="copy the digest whole, as it was shown"
        )
    return Digest(text)


def parse_public_key(text: str) -> PublicKey:
    """Raises: FormatError: ``public-key-malformed``."""
    if _KEY.fullmatch(text) is None:
        raise FormatError("public-key-malformed", "a public key has 43 characters of base64url")
    return PublicKey(text)


def numbered(number: int) -> str:
    """The object name of a numbered record: ten digits, so that names sort as numbers do.

    Raises:
        FormatError: ``number-out-of-range``.
    """
    if not 0 <= number <= MAX_NUMBER:
        raise FormatError("number-out-of-range", f"a number lies between 0 and {MAX_NUMBER}")
    return f"{number:010d}"


def statement_name(number: int, digest: Digest) -> str:
    """The object name of an epoch statement where something else lies under its number: with 16 hex of its digest."""
    return f"{numbered(number)}-{sha256(digest.encode())[7:23]}"


def parse_object(room: str, name: str) -> str:
    """The object's key ``room/name`` in its owner's part of the store.

    Raises:
        FormatError: ``object-name-malformed``; so no name ever leaves its folder or carries text of a user.
    """
    if room not in ROOMS or _NAME.fullmatch(name) is None:
        raise FormatError("object-name-malformed", "found a name that is no object of an owner's store", status=404)
    return f"{room}/{name}"
