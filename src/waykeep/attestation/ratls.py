"""RA-TLS certificates: self-signed X.509 that carries evidence over its own key (TCG OID 2.23.133.5.4.9).

The extension holds CBOR ``60000([evidence, claims])``, two byte strings, as Gramine and rats-tls write it. A verifier
accepts the certificate by the evidence, not by its signature: TLS proves possession of the key, the claims name that
key.
"""

from __future__ import annotations

import datetime
import hashlib

import cbor2
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID, ObjectIdentifier

from waykeep.errors import AttestationError

OID = ObjectIdentifier("2.23.133.5.4.9")
TAG = 60000
MAX_CERTIFICATE = 65536
_UNPARSABLE = (
    ValueError,
    RecursionError,
    UnsupportedAlgorithm,
    cbor2.CBORDecodeError,
    x509.InvalidVersion,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
)
# A certificate's dates say nothing here: the key lives as long as its process, and evidence has its own age.
_NOT_BEFORE = datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC)
_NOT_AFTER = datetime.datetime(9999, 12, 31, 23, 59, 59, tzinfo=datetime.UTC)


def channel_of(key: ec.EllipticCurvePrivateKey) -> bytes:
    """SHA-256 of the public key's SubjectPublicKeyInfo: 32 bytes."""
    spki = key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(spki).digest()


def build(key: ec.EllipticCurvePrivateKey, evidence: bytes, claims: bytes) -> bytes:
    """The certificate in PEM."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "waykeep")])
    value = cbor2.dumps(cbor2.CBORTag(TAG, [evidence, claims]))
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(int.from_bytes(channel_of(key)[:8]) >> 1 | 1)
        .not_valid_before(_NOT_BEFORE)
        .not_valid_after(_NOT_AFTER)
        .add_extension(x509.UnrecognizedExtension(OID, value), critical=False)
        .sign(key, hashes.SHA256())
        .public_bytes(serialization.Encoding.PEM)
    )


def parse(certificate_der: bytes) -> tuple[bytes, bytes, bytes]:
    """(evidence, claims, channel) of a peer's certificate; channel is SHA-256 of its SubjectPublicKeyInfo.

    Raises:
        AttestationError: ``certificate-malformed``, ``certificate-without-evidence``.
    """
    if len(certificate_der) > MAX_CERTIFICATE:
        raise AttestationError("certificate-malformed", f"found a certificate over {MAX_CERTIFICATE} bytes")
    try:
        certificate = x509.load_der_x509_certificate(certificate_der)
        spki = certificate.public_key().public_bytes(
            serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
        )
        extension = certificate.extensions.get_extension_for_oid(OID).value
        tagged = cbor2.loads(extension.value) if isinstance(extension, x509.UnrecognizedExtension) else None
    except x509.ExtensionNotFound:
        raise AttestationError(
            "certificate-without-evidence", "found a certificate without the RA-TLS extension"
        ) from None
    except _UNPARSABLE as error:
        kind = type(error).__name__
        raise AttestationError("certificate-malformed", f"found a certificate that does not parse ({kind})") from None
    parts = tagged.value if isinstance(tagged, cbor2.CBORTag) and tagged.tag == TAG else None
    if not isinstance(parts, list | tuple) or len(parts) < 2 or not all(isinstance(p, bytes) for p in parts[:2]):
        raise AttestationError(
            "certificate-malformed", "found an RA-TLS extension that is not 60000([evidence, claims])"
        )
    return parts[0], parts[1], hashlib.sha256(spki).digest()
