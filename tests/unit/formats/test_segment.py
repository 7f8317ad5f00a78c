"""A segment's plaintext: split where it was joined, and padded so that a length says little."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.people import refused
from waykeep.errors import FormatError
from waykeep.formats import segment

MAGIC = b"WKSEG1\n\0"
LENGTHS = st.integers(0, 1 << 40)


@given(LENGTHS, LENGTHS)
def test_padme_is_monotone(one: int, other: int) -> None:
    low, high = sorted((one, other))
    assert segment.padme(low) <= segment.padme(high)


@given(LENGTHS)
@example(0)
@example(1)
@example(segment.MAX_SEGMENT)
def test_padme_adds_at_most_twelve_percent(length: int) -> None:
    assert length <= segment.padme(length) <= length * 1.12


@given(LENGTHS)
def test_padme_is_idempotent(length: int) -> None:
    assert segment.padme(segment.padme(length)) == segment.padme(length)


@pytest.mark.parametrize(
    ("length", "padded"), [(0, 0), (1, 1), (9, 10), (100, 104), (1000, 1024), (1_000_000, 1_015_808)]
)
def test_padme_of_known_lengths(length: int, padded: int) -> None:
    assert segment.padme(length) == padded


def test_padme_leaves_few_lengths() -> None:
    assert len({segment.padme(length) for length in range((1 << 16) + 1, (1 << 17) + 1)}) == 32


@given(st.binary(max_size=300), st.binary(max_size=3000))
def test_what_was_joined_is_split(envelope: bytes, parquet: bytes) -> None:
    plaintext = segment.join(envelope, parquet)
    assert len(plaintext) == segment.padme(12 + len(envelope) + len(parquet))
    found, rest = segment.split(plaintext)
    assert found == envelope
    assert segment.payload(rest, len(parquet)) == parquet


def test_header_too_long_is_not_joined() -> None:
    assert segment.split(segment.join(bytes(8192), b"x"))[0] == bytes(8192)
    with refused("segment-malformed", "format"):
        segment.join(bytes(8193), b"")


@pytest.mark.parametrize(
    "plaintext",
    [
        b"",
        MAGIC,
        MAGIC + bytes(3),
        b"WKSEG2\n\0" + bytes(100),
        b"PAR1" + bytes(100),
        MAGIC + b"\0\0\0\x02x",
        MAGIC + b"\0\0\x20\x01" + bytes(8193),
        MAGIC + b"\xff\xff\xff\xff" + bytes(100),
    ],
    ids=["empty", "magic alone", "cut in its length", "another magic", "Parquet", "cut", "header too long", "huge"],
)
def test_plaintext_malformed(plaintext: bytes) -> None:
    with refused("segment-malformed", "format"):
        segment.split(plaintext)


@pytest.mark.parametrize(
    ("rest", "length"), [(b"abc", 4), (b"abc\0\0x\0", 3), (b"abcd", 3), (b"abc" + bytes(100) + b"\x01", 3)]
)
def test_payload_of_another_length(rest: bytes, length: int) -> None:
    with refused("segment-malformed", "format"):
        segment.payload(rest, length)


@given(st.one_of(st.binary(max_size=200), st.binary(max_size=200).map(MAGIC.__add__)), st.integers(0, 300))
def test_any_bytes_are_split_or_refused_by_type(data: bytes, length: int) -> None:
    try:
        envelope, rest = segment.split(data)
        parquet = segment.payload(rest, length)
    except FormatError as error:
        assert error.rule == "segment-malformed"
        return
    # Whatever was taken has this one spelling, but for how much padding there is.
    assert data.startswith(MAGIC + len(envelope).to_bytes(4, "big") + envelope + parquet)
