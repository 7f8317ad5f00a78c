"""Envelopes: one type, one signature, one spelling."""

from __future__ import annotations

import base64
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import key, refused
from waykeep.authority import dsse
from waykeep.errors import AuthorityError, FormatError, WaykeepError
from waykeep.formats.wire import encode_json

SIGNER, OTHER = key("signer"), key("other")
TYPE = "application/vnd.waykeep.test+json"
ENVELOPE = dsse.sign(TYPE, b'{"n":1}', SIGNER)


def altered(**changes: Any) -> bytes:
    return encode_json(msgspec.json.decode(ENVELOPE) | changes)


def signature(**changes: Any) -> dict[str, Any]:
    first: dict[str, Any] = msgspec.json.decode(ENVELOPE)["signatures"][0]
    return first | changes


def test_pae_is_that_of_the_specification() -> None:
    """The example of DSSE's protocol.md, v1.0.2."""
    assert dsse.pae("http://example.com/HelloWorld", b"hello world") == (
        b"DSSEv1 29 http://example.com/HelloWorld 11 hello world"
    )


@given(st.text(max_size=30), st.binary(max_size=100))
def test_pae_tells_type_and_payload_apart(kind: str, payload: bytes) -> None:
    """However they are cut: no other pair of type and payload gives the same bytes."""
    encoded = dsse.pae(kind, payload)
    magic, length, rest = encoded.split(b" ", 2)
    named, rest = rest[: int(length)], rest[int(length) + 1 :]
    size, found = rest.split(b" ", 1)
    assert (magic, named.decode(), int(size), found) == (b"DSSEv1", kind, len(payload), payload)


@given(st.binary(max_size=200))
def test_what_was_signed_is_opened(payload: bytes) -> None:
    opened = dsse.open_(dsse.sign(TYPE, payload, SIGNER), TYPE, [OTHER.public, SIGNER.public])
    assert (opened.payload, opened.signer) == (payload, SIGNER.public)


def test_the_envelope_is_as_dsse_has_it() -> None:
    found = msgspec.json.decode(ENVELOPE)
    assert list(found) == ["payload", "payloadType", "signatures"]
    assert base64.b64decode(found["payload"]) == b'{"n":1}'
    assert found["signatures"][0]["keyid"] == SIGNER.public


@pytest.mark.parametrize("keys", [[], [OTHER.public], [""]])
def test_signer_unknown(keys: list[str]) -> None:
    with refused("signer-unknown", AuthorityError):
        dsse.open_(ENVELOPE, TYPE, keys)


@pytest.mark.parametrize("kind", [TYPE + " ", "", "application/vnd.waykeep.other+json"])
def test_statement_type_of_another_use(kind: str) -> None:
    with refused("statement-type", AuthorityError):
        dsse.peek(ENVELOPE, kind)


def test_statement_type_renamed() -> None:
    with refused("signature-invalid", AuthorityError):
        dsse.peek(altered(payloadType="another"), "another")


@pytest.mark.parametrize(
    "envelope",
    [
        altered(payload=base64.b64encode(b'{"n":2}').decode()),
        altered(payload=""),
        altered(signatures=[]),
        altered(signatures=[signature(), signature()]),
        altered(signatures=[signature(keyid=OTHER.public)]),
        altered(signatures=[signature(sig=base64.b64encode(bytes(64)).decode())]),
        altered(signatures=[signature(sig="")]),
        altered(signatures=[signature(sig="not base64!")]),
    ],
)
def test_signature_invalid(envelope: bytes) -> None:
    with refused("signature-invalid", AuthorityError):
        dsse.peek(envelope, TYPE)


@pytest.mark.parametrize(
    "payload",
    ["eyJuIjoxfR==", "eyJuIjoxfQ", "eyJuIjoxfQ==\n", "eyJu IjoxfQ==", "eyJuIjoxfQ=="[:-1] + "-"],
    ids=["bits left over", "no padding", "line end", "space", "urlsafe"],
)
def test_signature_invalid_for_a_payload_spelled_otherwise(payload: str) -> None:
    assert msgspec.json.decode(ENVELOPE)["payload"] == "eyJuIjoxfQ=="
    with refused("signature-invalid", AuthorityError):
        dsse.peek(altered(payload=payload), TYPE)


def test_signature_invalid_for_a_signature_spelled_otherwise() -> None:
    """64 bytes leave four bits over; whoever flips them has another envelope, and so another digest, of the same."""
    sig = signature()["sig"]
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".index(sig[-3])
    other = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"[last ^ 1]
    spelled = sig[:-3] + other + "=="
    assert base64.b64decode(spelled) == base64.b64decode(sig)
    with refused("signature-invalid", AuthorityError):
        dsse.peek(altered(signatures=[signature(sig=spelled)]), TYPE)


@pytest.mark.parametrize("keyid", ["", "A" * 42, "A" * 44, "!" * 43])
def test_name_of_a_key_that_is_none(keyid: str) -> None:
    with refused("public-key-malformed", FormatError):
        dsse.peek(altered(signatures=[signature(keyid=keyid)]), TYPE)


def test_name_of_a_key_with_bits_left_over() -> None:
    with refused("base64-malformed", FormatError):
        dsse.peek(altered(signatures=[signature(keyid="A" * 42 + "B")]), TYPE)


@pytest.mark.parametrize(
    "envelope",
    [b"", b"{}", b"[]", ENVELOPE[:-1], ENVELOPE + b"x", altered(more=1), altered(payload=1), altered(signatures=None)],
)
def test_envelope_malformed(envelope: bytes) -> None:
    with refused("malformed", FormatError):
        dsse.peek(envelope, TYPE)


def test_envelope_too_large() -> None:
    with refused("too-large", FormatError):
        dsse.open_(ENVELOPE, TYPE, [SIGNER.public], limit=len(ENVELOPE) - 1)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_refused_by_type(data: bytes) -> None:
    for envelope in (data, altered(payload=data.decode("latin-1")), altered(signatures=[signature(sig=data.hex())])):
        with pytest.raises(WaykeepError):
            dsse.peek(envelope, TYPE)
