"""The bound of an RA-TLS certificate: one that parses well is refused one byte above it, and taken at it."""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from tests.unit.builders import refused
from waykeep.attestation import ratls
from waykeep.errors import AttestationError

KEY = ec.derive_private_key(0xC0FFEE, ec.SECP256R1())


def of_length(length: int) -> tuple[bytes, bytes]:
    """A certificate of ``length`` bytes, and its evidence. An ECDSA signature's own length varies, so it is tried."""
    size = length - 1000
    for _ in range(100):
        evidence = bytes(size)
        pem = ratls.build(KEY, evidence, b"claims")
        data = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
        if len(data) == length:
            return data, evidence
        size += length - len(data)
    raise AssertionError("no certificate of this length was made")


def test_a_certificate_at_the_bound_is_parsed() -> None:
    data, evidence = of_length(ratls.MAX_CERTIFICATE)
    assert ratls.parse(data) == (evidence, b"claims", ratls.channel_of(KEY))


def test_a_certificate_above_the_bound_is_refused_before_it_is_parsed() -> None:
    data, _ = of_length(ratls.MAX_CERTIFICATE + 1)
    with refused("certificate-malformed", AttestationError):
        ratls.parse(data)
