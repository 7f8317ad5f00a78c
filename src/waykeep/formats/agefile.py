"""age files (age-encryption.org/v1) through pyrage, with the bounds that it lacks.

pyrage takes time quadratic in the stanzas of a header (1,000: 13 s), so a header over 4 KiB or 16 stanzas is refused
before it sees one. A plaintext is handed on only after the whole file was authenticated.
"""

from __future__ import annotations

from collections.abc import Sequence

import pyrage
from pyrage import x25519

from waykeep.errors import FormatError
from waykeep.formats.wire import bounded

MAX_HEADER = 4096
MAX_STANZAS = 16
MAX_RECIPIENTS = MAX_STANZAS - 1
"""The most recipients of a file: pyrage adds a stanza for nobody ("grease") to those of the recipients."""
_INTRO = b"age-encryption.org/v1\n"


def check_header(data: bytes) -> None:
    """Refuse an age file by its header alone.

    Raises:
        FormatError: ``age-malformed``, ``age-header-too-large``.
    """
    if not data.startswith(_INTRO):
        raise FormatError("age-malformed", "found bytes that do not begin as an age file does")
    end = data.find(b"\n---", 0, MAX_HEADER)
    if end < 0:
        raise FormatError("age-header-too-large", f"found an age header that does not end within {MAX_HEADER} bytes")
    stanzas = data.count(b"\n-> ", 0, end)
    if stanzas > MAX_STANZAS:
        raise FormatError("age-header-too-large", f"found an age header of {stanzas} stanzas, at most {MAX_STANZAS}")


def seal(plaintext: bytes, recipients: Sequence[str]) -> bytes:
    """An age file that each of ``recipients`` (``age1...``) can open.

    Raises:
        FormatError: ``recipient-malformed``; ``age-malformed`` for no recipient or more than `MAX_RECIPIENTS`.
    """
    if not 1 <= len(recipients) <= MAX_RECIPIENTS:
        raise FormatError("age-malformed", f"found {len(recipients)} recipients, 1 to {MAX_RECIPIENTS} are possible")
    return bytes(pyrage.encrypt(plaintext, [parse_recipient(text) for text in recipients]))


def open_(data: bytes, secrets: Sequence[str], *, limit: int, what: str) -> bytes:
    """The plaintext of an age file under one of ``secrets`` (``AGE-SECRET-KEY-1...``).

    Args:
        limit: The largest file in bytes that is tried; age adds less than 4 KiB and 1/4096 to a plaintext.

    Raises:
        FormatError: ``too-large``, ``age-malformed``, ``age-header-too-large``, ``age-not-ours`` when no secret fits or
            the file was changed (age does not tell the two apart).
    """
    check_header(bounded(data, limit, what))
    try:
        return bytes(pyrage.decrypt(data, [parse_identity(text) for text in secrets]))
    except pyrage.DecryptError:
        raise FormatError(
            "age-not-ours", f"found {what} that none of the keys at hand opens, or that was changed"
        ) from None


def recipient_of(secret: str) -> str:
    """The public recipient of an age secret key."""
    return str(parse_identity(secret).to_public())


def generate() -> tuple[str, str]:
    """A new X25519 identity: (secret key, recipient). Its randomness is the operating system's."""
    identity = x25519.Identity.generate()
    return str(identity), str(identity.to_public())


def parse_recipient(text: str) -> x25519.Recipient:
    """Raises: FormatError: ``recipient-malformed``."""
    try:
        return x25519.Recipient.from_str(text)
    except pyrage.RecipientError:
        raise FormatError("recipient-malformed", "found text that is no age recipient (age1...)") from None


def parse_identity(text: str) -> x25519.Identity:
    """Raises: FormatError: ``identity-malformed``; the message never holds the text."""
    try:
        return x25519.Identity.from_str(text)
    except pyrage.IdentityError:
        raise FormatError("identity-malformed", "found text that is no age secret key") from None
