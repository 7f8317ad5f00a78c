"""The claims buffer: what a process binds into its evidence about itself (RATS: the claims of the attester).

Format of the TCG RA-TLS profile (DICE Attestation Architecture; interoperable RA-TLS, CCC Attestation SIG): a CBOR map
with ``pubkey-hash`` (a byte string of CBOR ``[1, SHA-256 of the SubjectPublicKeyInfo]``; 1 is sha-256 in IANA's Named
Information registry) and ``nonce`` (the asker's). Evidence carries SHA-256 of this buffer as report data.
"""

from __future__ import annotations

import hashlib

import cbor2
import msgspec

from waykeep.errors import AttestationError
from waykeep.formats.wire import bounded

NONCE_BYTES = 32
MAX_CLAIMS = 4096
_SHA256 = 1


class Claims(msgspec.Struct, frozen=True):
    """``channel`` is SHA-256 of the TLS key's SubjectPublicKeyInfo (32 bytes); ``nonce`` is empty in a certificate."""

    channel: bytes
    nonce: bytes = b""


def encode(claims: Claims) -> bytes:
    found: dict[str, bytes] = {"pubkey-hash": cbor2.dumps([_SHA256, claims.channel])}
    if claims.nonce:
        found["nonce"] = claims.nonce
    return cbor2.dumps(found, canonical=True)


def decode(buffer: bytes) -> Claims:
    """Raises: AttestationError: ``claims-malformed``. Claims of others (Gramine's, rats-tls') may hold further keys."""
    try:
        found = cbor2.loads(bounded(buffer, MAX_CLAIMS, "claims"))
        algorithm, channel = cbor2.loads(found["pubkey-hash"])
        nonce = found.get("nonce", b"")
    except (cbor2.CBORDecodeError, TypeError, ValueError, KeyError, AttributeError, RecursionError):
        raise AttestationError("claims-malformed", "found a claims buffer that does not parse") from None
    if algorithm != _SHA256 or not isinstance(channel, bytes) or len(channel) != 32:
        raise AttestationError("claims-malformed", "found a public key's hash that is not SHA-256")
    if not isinstance(nonce, bytes) or len(nonce) not in (0, NONCE_BYTES):
        raise AttestationError("claims-malformed", f"found a nonce that has not {NONCE_BYTES} bytes")
    return Claims(channel, nonce)


def report_data(buffer: bytes) -> bytes:
    """SHA-256 of a claims buffer: what evidence is made over."""
    return hashlib.sha256(buffer).digest()
