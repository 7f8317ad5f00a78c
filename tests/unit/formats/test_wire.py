"""Strict decoding: bounded, typed, nothing unknown, and no value of a stranger's in a message."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.people import refused
from waykeep.errors import FormatError
from waykeep.formats import wire
from waykeep.formats.frames import ControlRequest, Event
from waykeep.formats.messages import (
    Accept,
    Address,
    Head,
    Run,
    Unlock,
)
from waykeep.formats.segment import SegmentHeader

KINDS = [Accept, Address, ControlRequest, Event, Head, Run, SegmentHeader, Unlock]
ADDRESS = Address("localhost", 1, True)


def test_json_goes_there_and_back() -> None:
    assert wire.decode_json(wire.encode_json(ADDRESS), Address) == ADDRESS


def test_frame_goes_there_and_back() -> None:
    frame = wire.encode_frame(ADDRESS)
    assert wire.frame_length(frame[:4]) == len(frame) - 4
    assert wire.decode_frame(frame[4:], Address) == ADDRESS


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'{"host":"h"}',
        b'{"host":"h","port":0}',
        b'{"host":"h","port":65536}',
        b'{"host":"h","port":"1"}',
        b'{"host":"h","port":1.5}',
        b'{"host":"h","port":1,"more":1}',
        b'{"host":"h","port":1} x',
        b'{"host":"\xff","port":1}',
        b'{"host":"' + b"h" * 257 + b'","port":1}',
        b"[" * 100_000,
    ],
)
def test_json_malformed(body: bytes) -> None:
    with refused("malformed", "format"):
        wire.decode_json(body, Address)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\xc1",
        b"\x91" * 100_000,
        msgspec.msgpack.encode({"host": "h", "port": 0}),
        msgspec.msgpack.encode({"host": "h", "port": 1, "more": 1}),
        msgspec.msgpack.encode({"host": "h", "port": 1}) + b"\0",
        b"\xdf\xff\xff\xff\xff",
    ],
)
def test_frame_malformed(body: bytes) -> None:
    with refused("malformed", "format"):
        wire.decode_frame(body, Address)


@pytest.mark.parametrize("decode", [wire.decode_json, wire.decode_frame])
def test_too_large_is_refused_before_it_is_parsed(decode: type) -> None:
    with pytest.raises(FormatError) as caught:
        decode(b"[" * 11, list, limit=10)
    assert (caught.value.rule, caught.value.status) == ("too-large", 413)


def test_frame_too_large_is_not_sent() -> None:
    with refused("too-large", "format"):
        wire.encode_frame(bytes(wire.MAX_FRAME))


def test_frame_of_the_largest_length_is_announced() -> None:
    assert wire.frame_length(wire.MAX_FRAME.to_bytes(4, "big")) == wire.MAX_FRAME
    with refused("too-large", "format"):
        wire.frame_length((wire.MAX_FRAME + 1).to_bytes(4, "big"))


@pytest.mark.parametrize("prefix", [b"", b"\0\0\0", b"\0\0\0\0\0"])
def test_frame_cut_in_its_length(prefix: bytes) -> None:
    with refused("malformed", "format"):
        wire.frame_length(prefix)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"host":"h","port":1,"secret-473700000":1}', Address),
        (b'{"name":"secret-473700000 "}', Event),
        (b'{"owner_head":{"number":0,"digest":""},"log_secret":"' + b"secret-473700000" * 20 + b'"}', Unlock),
        (b'{"type":"secret-473700000"}', ControlRequest),
    ],
)
def test_a_refusal_quotes_no_value(body: bytes, kind: type) -> None:
    with pytest.raises(FormatError) as caught:
        wire.decode_json(body, kind)
    assert "473700000" not in str(caught.value)
    assert caught.value.__cause__ is None


@pytest.mark.parametrize("kind", KINDS, ids=str)
@given(data=st.binary(max_size=200))
@example(data=b'{"type":"launch-cloud","owner":1}')
def test_any_bytes_are_decoded_or_refused_by_type(kind: type, data: bytes) -> None:
    for decode in (wire.decode_json, wire.decode_frame):
        try:
            decode(data, kind)
        except FormatError as error:
            assert error.rule == "malformed"


@given(st.binary(max_size=8))
def test_any_prefix_announces_a_bounded_length(prefix: bytes) -> None:
    try:
        assert 0 <= wire.frame_length(prefix) <= wire.MAX_FRAME
    except FormatError as error:
        assert error.rule in ("malformed", "too-large")
