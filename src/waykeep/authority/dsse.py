"""DSSE envelopes (github.com/secure-systems-lab/dsse, v1.0.2): Ed25519 over type and bytes as sent.

The signature covers ``PAE(type, payload)``, so nothing has to be brought into a canonical form, and a statement of one
type never passes for another. An envelope here has exactly one signature.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Collection

import msgspec

from waykeep.authority.keys import SigningKey, verify
from waykeep.errors import AuthorityError
from waykeep.formats.ids import PublicKey
from waykeep.formats.wire import MAX_JSON, decode_json, encode_json


class _Signature(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    keyid: str
    sig: str


class _Envelope(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    payload: str
    payloadType: str
    signatures: tuple[_Signature, ...]


class Opened(msgspec.Struct, frozen=True):
    """A statement whose signature was verified: its payload bytes and the key that signed. Only `open_` builds one."""

    payload: bytes
    signer: PublicKey


def pae(payload_type: str, payload: bytes) -> bytes:
    """Pre-authentication encoding: ``DSSEv1 <length> <type> <length> <payload>``."""
    kind = payload_type.encode()
    return b"DSSEv1 %d %s %d %s" % (len(kind), kind, len(payload), payload)


def sign(payload_type: str, payload: bytes, key: SigningKey) -> bytes:
    """The envelope's JSON bytes."""
    return encode_json(
        _Envelope(
            payload=base64.b64encode(payload).decode(),
            payloadType=payload_type,
            signatures=(_Signature(key.public, base64.b64encode(key.sign(pae(payload_type, payload))).decode()),),
        )
    )


def open_(envelope: bytes, payload_type: str, keys: Collection[str], *, limit: int = MAX_JSON) -> Opened:
    """Verify an envelope.

    Args:
        payload_type: The one type expected.
        keys: The public keys of which one must have signed; none means that nothing can be right.
        limit: The largest envelope taken, in bytes.

    Raises:
        FormatError: ``too-large``, ``malformed``; ``public-key-malformed``, ``base64-malformed`` for the key's name.
        AuthorityError: ``statement-type``, ``statement-spelling``, ``signer-unknown``, ``signature-invalid``.
    """
    opened = peek(envelope, payload_type, limit=limit)
    if opened.signer not in keys:
        raise AuthorityError("signer-unknown", "found a statement signed by a key that may not make it", status=403)
    return opened


def peek(envelope: bytes, payload_type: str, *, limit: int = MAX_JSON) -> Opened:
    """Verify an envelope under the key that it names itself; whether that key may, the caller decides.

    For chains, in which what a statement says tells which key it needs. Raises as `open_` does.
    """
    outer = decode_json(envelope, _Envelope, limit=limit, what="a signed statement")
    if outer.payloadType != payload_type:
        raise AuthorityError("statement-type", f"found a statement of another type, expected {payload_type}")
    if len(outer.signatures) != 1:
        raise AuthorityError("signature-invalid", f"found {len(outer.signatures)} signatures, expected one")
    try:
        payload = base64.b64decode(outer.payload, validate=True)
        signature = base64.b64decode(outer.signatures[0].sig, validate=True)
    except (ValueError, binascii.Error):
        payload = signature = b""
    # One spelling each: the bits left over at the end of base64 are signed by nobody, and a chain's digests cover them.
    if [base64.b64encode(part).decode() for part in (payload, signature)] != [outer.payload, outer.signatures[0].sig]:
        raise AuthorityError("signature-invalid", "found an envelope that is not base64")
    # And one spelling of the JSON around them: a chain's digests cover it, and a witness compares them.
    if encode_json(outer) != envelope:
        raise AuthorityError("statement-spelling", "found an envelope that is not spelled as a signer spells it")
    signer = outer.signatures[0].keyid
    verify(signer, signature, pae(payload_type, payload))
    return Opened(payload, PublicKey(signer))
