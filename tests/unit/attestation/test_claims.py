"""The claims buffer: what a process binds into its evidence, in the format of the TCG's RA-TLS profile."""

from __future__ import annotations

import hashlib
import time

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import refused
from waykeep.attestation import claims
from waykeep.attestation.claims import MAX_CLAIMS, NONCE_BYTES, Claims
from waykeep.errors import AttestationError, FormatError, WaykeepError

CHANNEL, NONCE = b"c" * 32, b"n" * NONCE_BYTES
BYTES = st.binary(min_size=32, max_size=32)


@given(BYTES, st.one_of(st.just(b""), BYTES))
def test_what_was_encoded_is_decoded(channel: bytes, nonce: bytes) -> None:
    assert claims.decode(claims.encode(Claims(channel, nonce))) == Claims(channel, nonce)


def test_the_buffer_is_that_of_the_profile() -> None:
    found = cbor2.loads(claims.encode(Claims(CHANNEL, NONCE)))
    assert found == {"pubkey-hash": cbor2.dumps([1, CHANNEL]), "nonce": NONCE}
    assert "nonce" not in cbor2.loads(claims.encode(Claims(CHANNEL)))


def test_report_data_is_the_digest_of_the_buffer() -> None:
    assert claims.report_data(b"buffer") == hashlib.sha256(b"buffer").digest()


def test_further_claims_of_other_makers_are_let_be() -> None:
    buffer = cbor2.dumps({"pubkey-hash": cbor2.dumps([1, CHANNEL]), "vendor": ["x"]})
    assert claims.decode(buffer) == Claims(CHANNEL)


@pytest.mark.parametrize(
    "found",
    [
        {},
        [],
        None,
        "pubkey-hash",
        {"pubkey-hash": "text"},
        {"pubkey-hash": [1, CHANNEL]},
        {"pubkey-hash": b""},
        {"pubkey-hash": cbor2.dumps(CHANNEL)},
        {"pubkey-hash": cbor2.dumps([1])},
        {"pubkey-hash": cbor2.dumps([1, CHANNEL, 0])},
        {"pubkey-hash": cbor2.dumps([7, CHANNEL])},  # SHA-384 in the registry
        {"pubkey-hash": cbor2.dumps([1, CHANNEL[:-1]])},
        {"pubkey-hash": cbor2.dumps([1, "c" * 32])},
        {"pubkey-hash": cbor2.dumps([1, CHANNEL]), "nonce": NONCE[:-1]},
        {"pubkey-hash": cbor2.dumps([1, CHANNEL]), "nonce": "n" * 32},
        {"pubkey-hash": cbor2.dumps([1, CHANNEL]), "nonce": None},
    ],
    ids=str,
)
def test_claims_malformed(found: object) -> None:
    with refused("claims-malformed", AttestationError):
        claims.decode(cbor2.dumps(found))


def test_claims_too_large() -> None:
    with refused("too-large", FormatError):
        claims.decode(bytes(MAX_CLAIMS + 1))


TAGGED = [0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100, 256, 258, 260, 261, 1004, 43000, 55799]


@given(
    st.sampled_from(TAGGED),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.integers(-(2**63), 2**63), st.floats(), st.text(), st.binary()),
        lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(), inner, max_size=3)),
        max_leaves=6,
    ),
)
def test_tags_that_build_objects_are_refused_by_type_and_quickly(tag: int, value: object) -> None:
    """cbor2 makes dates, fractions, patterns and more of tags; a stranger's claims must neither fail nor take long."""
    tagged = cbor2.dumps(cbor2.CBORTag(tag, value))
    began = time.perf_counter()
    for buffer in (tagged, cbor2.dumps({"pubkey-hash": tagged}))[:: 1 if len(tagged) < MAX_CLAIMS - 50 else 2]:
        try:
            claims.decode(buffer)
        except WaykeepError as error:
            assert error.rule in ("claims-malformed", "too-large")
    assert time.perf_counter() - began < 1
