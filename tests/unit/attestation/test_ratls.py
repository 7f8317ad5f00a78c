"""RA-TLS certificates: evidence over the certificate's own key, and nothing believed for standing in it."""

from __future__ import annotations

import hashlib
import random

import cbor2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import refused
from waykeep.attestation import ratls
from waykeep.errors import AttestationError

# A fixed secret number: a key made anew each time would make each run another.
KEY = ec.derive_private_key(0xC0FFEE, ec.SECP256R1())
EVIDENCE, CLAIMS = b"evidence" * 100, b"claims"


def der(pem: bytes) -> bytes:
    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)


def holding(value: bytes | None, oid: x509.ObjectIdentifier = ratls.OID) -> bytes:
    """A certificate whose extension holds ``value``."""
    built = x509.load_pem_x509_certificate(ratls.build(KEY, EVIDENCE, CLAIMS))
    builder = (
        x509.CertificateBuilder()
        .subject_name(built.subject)
        .issuer_name(built.issuer)
        .public_key(KEY.public_key())
        .serial_number(built.serial_number)
        .not_valid_before(built.not_valid_before_utc)
        .not_valid_after(built.not_valid_after_utc)
    )
    if value is not None:
        builder = builder.add_extension(x509.UnrecognizedExtension(oid, value), critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(Encoding.DER)


DER = der(ratls.build(KEY, EVIDENCE, CLAIMS))


@given(st.binary(max_size=500), st.binary(max_size=100))
def test_what_was_built_is_parsed(evidence: bytes, claims: bytes) -> None:
    assert ratls.parse(der(ratls.build(KEY, evidence, claims))) == (evidence, claims, ratls.channel_of(KEY))


def test_the_extension_is_that_of_the_profile() -> None:
    extension = x509.load_der_x509_certificate(DER).extensions.get_extension_for_oid(
        x509.ObjectIdentifier("2.23.133.5.4.9")
    )
    assert isinstance(extension.value, x509.UnrecognizedExtension)
    tagged = cbor2.loads(extension.value.value)
    assert (tagged.tag, list(tagged.value)) == (60000, [EVIDENCE, CLAIMS])


def test_channel_is_the_digest_of_the_subject_public_key_info() -> None:
    spki = KEY.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    assert ratls.channel_of(KEY) == hashlib.sha256(spki).digest()
    other = ec.derive_private_key(0xC0FFEF, ec.SECP256R1())
    assert ratls.channel_of(other) != ratls.channel_of(KEY)


@pytest.mark.parametrize("data", [holding(None), holding(b"\x00", x509.ObjectIdentifier("1.2.3.4"))])
def test_certificate_without_evidence(data: bytes) -> None:
    with refused("certificate-without-evidence", AttestationError):
        ratls.parse(data)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff",
        cbor2.dumps([EVIDENCE, CLAIMS]),
        cbor2.dumps(cbor2.CBORTag(60001, [EVIDENCE, CLAIMS])),
        cbor2.dumps(cbor2.CBORTag(60000, [EVIDENCE])),
        cbor2.dumps(cbor2.CBORTag(60000, [])),
        cbor2.dumps(cbor2.CBORTag(60000, EVIDENCE)),
        cbor2.dumps(cbor2.CBORTag(60000, ["evidence", "claims"])),
        cbor2.dumps(cbor2.CBORTag(60000, {"evidence": EVIDENCE})),
        b"\x81" * 3000,
        bytes.fromhex("d9ea60825bffffffffffffffff"),
    ],
)
def test_certificate_malformed_in_its_extension(value: bytes) -> None:
    with refused("certificate-malformed", AttestationError):
        ratls.parse(holding(value))


@pytest.mark.parametrize("data", [b"", b"0", DER[:-1], DER[:100], ratls.build(KEY, EVIDENCE, CLAIMS)])
def test_certificate_malformed(data: bytes) -> None:
    with refused("certificate-malformed", AttestationError):
        ratls.parse(data)


def test_certificate_malformed_by_its_size() -> None:
    with refused("certificate-malformed", AttestationError):
        ratls.parse(DER.ljust(ratls.MAX_CERTIFICATE + 1, b"\0"))


@pytest.mark.filterwarnings("ignore:Parsed a serial number")
def test_damaged_certificates_are_parsed_or_refused_by_type() -> None:
    generator = random.Random(7)
    for _ in range(1500):
        damaged = bytearray(DER)
        for _ in range(generator.choice((1, 1, 2, 5))):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        try:
            ratls.parse(bytes(damaged))
        except AttestationError as error:
            assert error.rule in ("certificate-malformed", "certificate-without-evidence")


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_no_certificate(data: bytes) -> None:
    with refused("certificate-malformed", AttestationError):
        ratls.parse(data)
