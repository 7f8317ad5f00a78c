"""Secrets on their way to a device: opened by the one that they are for, and by nobody else."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.people import refused
from tests.unit.builders import key
from waykeep.device import handing
from waykeep.device.handing import Bundle
from waykeep.errors import WaykeepError
from waykeep.formats import agefile
from waykeep.formats.ids import parse_object

DEVICE, OTHER = key("device"), key("other device")
SECRET, RECIPIENT = agefile.generate()
PAPER, RECOVERY = agefile.generate()
BUNDLE = Bundle((SECRET,), {"1": SECRET}, b"c" * 32, b"s" * 16, b"a" * 32, {RECIPIENT: b"k" * 32})
SEALED = handing.seal_for(BUNDLE, DEVICE.public)


def test_a_device_opens_what_is_for_it_with_its_signing_key() -> None:
    assert handing.open_with(SEALED, DEVICE) == BUNDLE
    assert handing.open_with(handing.seal_for(Bundle((), {}), DEVICE.public), DEVICE) == Bundle((), {})


def test_another_device_does_not() -> None:
    with refused("age-not-ours", "format"):
        handing.open_with(SEALED, OTHER)


@pytest.mark.parametrize("secret", [SECRET, PAPER])
def test_every_recipient_opens_a_bundle_for_all(secret: str) -> None:
    sealed = handing.seal(BUNDLE, (RECIPIENT, RECOVERY))
    assert handing.open_(sealed, [agefile.generate()[0], secret]) == BUNDLE
    with refused("age-not-ours", "format"):
        handing.open_(sealed, [agefile.generate()[0]])


def test_a_bundle_for_others_is_not_a_device_s() -> None:
    with refused("age-not-ours", "format"):
        handing.open_with(handing.seal(BUNDLE, (RECIPIENT,)), DEVICE)


@pytest.mark.parametrize("plain", [b"", b"{}", b"[]", b'{"logs":[],"epochs":{},"more":1}', b'{"logs":[1],"epochs":{}}'])
def test_what_is_no_bundle(plain: bytes) -> None:
    """Anybody can encrypt something to a recipient that lies open."""
    with refused("malformed", "format"):
        handing.open_(agefile.seal(plain, [RECIPIENT]), [SECRET])


@given(st.integers(0, len(SEALED) - 1), st.integers(1, 255))
def test_a_changed_byte_is_refused_by_name(place: int, flip: int) -> None:
    changed = bytearray(SEALED)
    changed[place] ^= flip
    with pytest.raises(WaykeepError):
        handing.open_with(bytes(changed), DEVICE)


@given(st.integers(0, len(SEALED) - 1))
def test_a_cut_bundle_is_refused_by_name(length: int) -> None:
    with pytest.raises(WaykeepError):
        handing.open_with(SEALED[:length], DEVICE)


def test_a_bundle_that_is_too_large_is_not_opened() -> None:
    with refused("too-large", "format"):
        handing.open_with(SEALED + bytes(2 * 1_048_576), DEVICE)


def test_names_are_an_objects_and_say_no_key() -> None:
    names = [handing.name_of(RECIPIENT), handing.name_of(RECIPIENT, DEVICE.public), handing.name_for(DEVICE.public)]
    assert len(set(names)) == 3
    for name in names:
        assert parse_object("keys", name)
        assert re.fullmatch(r"(log|device)(-[0-9a-f]{16}){1,2}\.age", name)
    assert handing.name_of(RECOVERY) != names[0]
    assert handing.name_of(RECIPIENT, OTHER.public).startswith(names[0].removesuffix(".age"))
    assert handing.short(RECIPIENT) == handing.short(RECIPIENT) != handing.short(RECOVERY)


def test_what_is_printed_of_a_bundle_says_nothing() -> None:
    assert repr(BUNDLE) == str(BUNDLE) == "Bundle(...)"
