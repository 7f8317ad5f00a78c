"""Ed25519 keys (RFC 8032) of `cryptography`, named by their public half."""

from __future__ import annotations

import base64
import hashlib
import re

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from waykeep.errors import AuthorityError
from waykeep.formats.ids import Digest, PublicKey, b64, parse_public_key, sha256, unb64

_ROTATING = re.compile(r"WAYKEEP-ROTATE-1-([A-Z2-7]{52})-([0-9A-F]{8})")


class SigningKey:
    """A signing key made from 32 secret bytes. It never shows them: not in `repr`, not in an error."""

    __slots__ = ("_private", "public")

    def __init__(self, seed: bytes) -> None:
        self._private = Ed25519PrivateKey.from_private_bytes(seed)
        self.public: PublicKey = PublicKey(b64(self._private.public_key().public_bytes_raw()))

    def sign(self, message: bytes) -> bytes:
        return self._private.sign(message)

    @property
    def private(self) -> Ed25519PrivateKey:
        """For a library that signs itself (RFC 9421)."""
        return self._private

    def __repr__(self) -> str:
        return f"SigningKey(public={self.public!r})"


def verifying_key(public: str) -> Ed25519PublicKey:
    """Raises: FormatError: ``public-key-malformed``, ``base64-malformed``."""
    return Ed25519PublicKey.from_public_bytes(unb64(parse_public_key(public), 32))


def verify(public: str, signature: bytes, message: bytes) -> None:
    """Raises: AuthorityError: ``signature-invalid``."""
    try:
        verifying_key(public).verify(signature, message)
    except InvalidSignature:
        raise AuthorityError("signature-invalid", "found a signature that its key did not make") from None


def derive(secret: bytes, purpose: str) -> bytes:
    """32 bytes for one purpose from a 32-byte secret.

    HKDF-SHA256 (RFC 5869), no salt, ``waykeep/<purpose>`` as info.
    """
    return HKDF(algorithm=hashes.SHA256(), length=32, salt=None, info=f"waykeep/{purpose}".encode()).derive(secret)


def key_digest(public: PublicKey) -> Digest:
    """The digest by which an inception names the *next* authority key, before it is used."""
    return sha256(unb64(public, 32))


def spki_digest(public: PublicKey) -> bytes:
    """SHA-256 of the key's SubjectPublicKeyInfo (RFC 8410), as claims of evidence name a key: 32 bytes."""
    kind, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(verifying_key(public).public_bytes(kind, form)).digest()


def commitment(salt: bytes, public: PublicKey) -> Digest:
    """A salted commitment to a control key: it hides from the host which pseudonym at the witness is this owner."""
    return sha256(salt + unb64(public, 32))


def rotating_text(secret: bytes) -> str:
    """The rotating secret as the owner writes it down: base32 and eight check digits of its SHA-256."""
    text = base64.b32encode(secret).decode().rstrip("=")
    return f"WAYKEEP-ROTATE-1-{text}-{hashlib.sha256(secret).hexdigest()[:8].upper()}"


def rotating_secret(text: str) -> bytes:
    """The 32 bytes behind `rotating_text`.

    Raises:
        AuthorityError: ``rotating-secret-malformed``, never quoting the text.
    """
    match = _ROTATING.fullmatch(text.strip())
    secret = base64.b32decode(match[1] + "====") if match else b""
    if match is None or rotating_text(secret) != text.strip():
        raise AuthorityError(
            "rotating-secret-malformed",
            "found text that is no rotating secret",
            hint="check each letter with the paper",
        )
    return secret
