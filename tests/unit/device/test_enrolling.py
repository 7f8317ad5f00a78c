"""The line with which a new device asks to be added: it holds public keys, and only such a line is read."""

from __future__ import annotations

import base64
from pathlib import Path

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.people import refused
from tests.unit.builders import key
from waykeep.attestation.appraisal import ReferenceValues
from waykeep.channel.trust import Trust
from waykeep.device import enrolling, keystore
from waykeep.device.enrolling import MAX_REQUEST, Enrolment
from waykeep.device.keystore import KeyFile
from waykeep.device.profile import Folder, Profile
from waykeep.device.trusting import default_policy
from waykeep.errors import WaykeepError
from waykeep.formats.ids import OwnerId
from waykeep.formats.wire import encode_json

OWNER = OwnerId("a" * 52)
ASKED = Enrolment(OWNER, "tablet", key("device").public, key("writer").public)
PROFILE = Profile(OWNER, "http://127.0.0.1:1", Trust({}, ReferenceValues((), {}), default_policy()))


def line(asked: object) -> str:
    data = asked if isinstance(asked, bytes) else encode_json(asked)
    return "waykeep-device-1:" + base64.urlsafe_b64encode(data).decode().rstrip("=")


def test_a_request_is_read_as_it_was_written() -> None:
    assert enrolling.parse_request(line(ASKED)) == ASKED
    assert enrolling.parse_request(f"  {line(ASKED)}\n") == ASKED


@pytest.mark.parametrize(
    "text",
    [
        "",
        "waykeep-device-1:",
        line(ASKED).replace("-1:", "-2:"),
        line(ASKED).partition(":")[2],
        line(ASKED)[:-1],
        line(ASKED)[:40],
        line(ASKED) + "A",
        line(ASKED) + "\x00",
        line(ASKED) + "\N{LATIN SMALL LETTER E WITH ACUTE}",
        line(b"{}"),
        line(b"\xff" * 40),
        line(msgspec.structs.replace(ASKED, owner=OwnerId("a" * 51))),
        line(msgspec.structs.replace(ASKED, owner=OwnerId("../" + "a" * 49))),
        line(msgspec.structs.replace(ASKED, device="x")),
        line(msgspec.structs.replace(ASKED, writer=ASKED.writer + "A")),
        line(msgspec.structs.replace(ASKED, name="n" * 1000)),
        line(msgspec.to_builtins(ASKED) | {"authority": "x"}),
        line(msgspec.structs.replace(ASKED, name="n" * 200)) + " " * MAX_REQUEST,
        "waykeep-device-1:" + "A" * 10_000_000,
    ],
    ids=range(19),
)
def test_text_that_is_no_request(text: str) -> None:
    with refused("enrolment-malformed", "device"):
        enrolling.parse_request(text)


@given(st.text(max_size=80), st.booleans())
@example("=", True)
@example("A", True)
def test_any_text_is_read_or_refused_by_type(text: str, prefixed: bool) -> None:
    with pytest.raises(WaykeepError) as caught:
        enrolling.parse_request("waykeep-device-1:" * prefixed + text)
    assert caught.value.rule == "enrolment-malformed"


def test_a_line_holds_public_keys_alone_and_is_the_same_each_time(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "home")
    lock = KeyFile(tmp_path / "key", create=True)
    text = enrolling.enroll(folder, PROFILE, lock, "tablet")
    assert enrolling.enroll(folder, PROFILE, lock, "another name") == text
    asked, kept = enrolling.parse_request(text), keystore.load(folder.keystore, lock)
    assert (asked.owner, asked.name) == (OWNER, "tablet")
    assert (asked.device, asked.writer) == (kept.device_key.public, kept.writer_key.public)
    assert (kept.authority, kept.control, kept.logs, kept.epochs) == (b"", b"", (), {})
    plain = base64.urlsafe_b64decode(text.partition(":")[2] + "==")
    for secret in (kept.device, kept.writer, base64.b64encode(kept.device), base64.b64encode(kept.writer)):
        assert secret not in plain


def test_a_folder_that_has_an_owner_enrolls_nobody(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "home")
    lock = KeyFile(tmp_path / "key", create=True)
    enrolling.enroll(folder, PROFILE, lock, "tablet")
    folder.enrolling.unlink()
    before = folder.keystore.read_bytes()
    with refused("folder-in-use", "device"):
        enrolling.enroll(folder, PROFILE, lock, "tablet")
    assert folder.keystore.read_bytes() == before
