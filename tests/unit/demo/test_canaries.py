from __future__ import annotations

import base64
import struct
import uuid

import pyrage
import pytest

from waykeep.demo.canaries import (
    MINIMUM_PATTERN,
    Place,
    age_identity_canary,
    base64_patterns,
    place_canaries,
    secret_canary,
    track_canaries,
    user_id_canary,
)

HERE = Place.from_degrees(37.3898049, -122.0857861)
NEXT = Place.from_degrees(37.3897128, -122.0859012)


def patterns(kind: str) -> tuple[bytes, ...]:
    return next(canary.patterns for canary in place_canaries("somebody", HERE, NEXT) if canary.kind == kind)


def test_decimals_are_found_as_written_cut_rounded_and_as_integers() -> None:
    for text in (
        b"37.3898049",
        b"37.389805",
        b"37.38980",
        b"-122.0857861",
        b"122.085786",
        b"-122.08579",
        b"-1220857861",
    ):
        assert any(pattern in text for pattern in patterns("decimal")), text


def test_a_rounded_up_decimal_is_a_pattern_of_its_own() -> None:
    assert {b"122.08578", b"122.08579"} <= set(patterns("decimal"))


def test_int32_patterns_hold_two_values() -> None:
    assert struct.pack("<2i", 373898049, 373897128) in patterns("int32")
    assert struct.pack(">2i", -1220857861, 373898049) in patterns("int32")
    assert min(map(len, patterns("int32"))) == 8


def test_float64_in_both_orders() -> None:
    assert {struct.pack("<d", 37.3898049), struct.pack(">d", -122.0857861)} <= set(patterns("float64"))


@pytest.mark.parametrize("before", range(6))
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode])
def test_base64_is_found_wherever_the_value_lies(before: int, encode: object) -> None:
    value = struct.pack("<2i", -1, -5) + b"\xfb\xef\xbe"
    assert callable(encode)
    text = encode(b"\xa5" * before + value + b"\x5a" * 5)
    assert any(pattern in text for pattern in base64_patterns(value))


def test_base64_patterns_hold_no_bit_of_a_neighbour() -> None:
    texts = [base64.b64encode(filler * 2 + b"12345678" + filler * 2) for filler in (b"\x00", b"\xff")]
    assert any(all(pattern in text for text in texts) for pattern in base64_patterns(b"12345678"))


def test_user_id_forms() -> None:
    user = uuid.UUID("0763de67-f61e-3f5d-90e7-518e69793954")
    found = user_id_canary("somebody's phone", user).patterns
    assert {str(user).encode(), user.hex.upper().encode(), user.bytes} <= set(found)


def test_age_identity_gives_its_raw_key() -> None:
    # The recipient of an X25519 identity is the public key of these 32 bytes, which pyrage does not show; so the
    # check is that encoding them again gives the text.
    text = str(pyrage.x25519.Identity.generate())
    raw = next(pattern for pattern in age_identity_canary("key", text).patterns if len(pattern) == 32)
    number = int.from_bytes(raw, "big") << 4
    alphabet = "QPZRY9X8GF2TVDW0S3JN54KHCE6MUA7L"
    data = "".join(alphabet[number >> shift & 31] for shift in range(255, -1, -5))
    assert text.startswith("AGE-SECRET-KEY-1" + data)


def test_labels_do_not_show_values() -> None:
    canaries = [
        *place_canaries("place", HERE, NEXT),
        user_id_canary("id", uuid.UUID(int=7)),
        secret_canary("k", b"s" * 16),
    ]
    for canary in canaries:
        assert not any(pattern in canary.label.encode() for pattern in canary.patterns)
        assert min(map(len, canary.patterns)) >= MINIMUM_PATTERN


def test_track_canaries_are_spread_over_the_track() -> None:
    track = [Place.from_degrees(37.3000001 + i * 0.0100003, -122.3000007) for i in range(40)]
    canaries = track_canaries("somebody", track, count=4)
    assert len(canaries) == 16
    first, last = canaries[0].patterns, canaries[-4].patterns
    assert first[0].startswith(b"37.3") and last[0].startswith(b"37.6")


@pytest.mark.parametrize(
    "track",
    [
        [],
        [HERE],
        [HERE, HERE],
        [Place.from_degrees(37.0, -122.0), Place.from_degrees(38.0, -121.0)],
        [Place.from_degrees(0.0000001, 0.0000002), Place.from_degrees(0.0000003, 0.0000004)],
    ],
    ids=["empty", "one", "same", "round", "null-island"],
)
def test_a_track_that_gives_no_canary_is_refused(track: list[Place]) -> None:
    with pytest.raises(ValueError, match="no two successive places"):
        track_canaries("somebody", track)


@pytest.mark.parametrize("position", [(91.0, 0.0), (0.0, 181.0), (float("nan"), 0.0)])
def test_a_place_off_the_earth_is_refused(position: tuple[float, float]) -> None:
    with pytest.raises(ValueError, match="within"):
        Place.from_degrees(*position)


@pytest.mark.parametrize("text", ["", "age1qqqq", "AGE-SECRET-KEY-1SHORT", "AGE-SECRET-KEY-1" + "B" * 58])
def test_what_is_no_age_identity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="age identity"):
        age_identity_canary("key", text)


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="16 bytes"):
        secret_canary("key", b"s" * 15)
