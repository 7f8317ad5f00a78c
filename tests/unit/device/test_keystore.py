"""The keystore opens under the one secret that closed it, and shows nothing of what it holds."""

from __future__ import annotations

import stat
from pathlib import Path

import msgspec
import pytest

from tests.support.people import refused
from waykeep.device import keystore, owner
from waykeep.device.keystore import KeyFile, Passphrase, Secrets
from waykeep.errors import DeviceError, WaykeepError

NUMBERS = iter(range(1, 256))
MADE = owner.create("phone", 1_466_380_800_000, lambda count: bytes([next(NUMBERS)]) * count)
SECRETS = MADE.secrets


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keystore.age"


@pytest.fixture
def lock(tmp_path: Path) -> KeyFile:
    return KeyFile(tmp_path / "owner.key", create=True)


def test_a_key_file_opens_what_it_closed(tmp_path: Path, path: Path, lock: KeyFile) -> None:
    keystore.save(path, SECRETS, lock)
    assert keystore.load(path, KeyFile(tmp_path / "owner.key")) == SECRETS


def test_keystore_and_key_file_are_private(tmp_path: Path, path: Path, lock: KeyFile) -> None:
    keystore.save(path, SECRETS, lock)
    for file in (path, tmp_path / "owner.key"):
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert sorted(p.name for p in tmp_path.iterdir()) == ["keystore.age", "owner.key"]


def test_another_key_file_does_not_open_it(tmp_path: Path, path: Path, lock: KeyFile) -> None:
    keystore.save(path, SECRETS, lock)
    with refused("keystore-locked", "device"):
        keystore.load(path, KeyFile(tmp_path / "other.key", create=True))


def test_a_key_file_that_exists_is_not_made_anew(tmp_path: Path, path: Path, lock: KeyFile) -> None:
    keystore.save(path, SECRETS, lock)
    assert keystore.load(path, KeyFile(tmp_path / "owner.key", create=True)) == SECRETS


def test_a_key_file_that_is_missing(tmp_path: Path) -> None:
    with refused("key-file-missing", "device"):
        KeyFile(tmp_path / "none.key")
    assert list(tmp_path.iterdir()) == []


def test_a_key_file_that_holds_no_key(tmp_path: Path, path: Path, lock: KeyFile) -> None:
    keystore.save(path, SECRETS, lock)
    (tmp_path / "owner.key").write_text("AGE-SECRET-KEY-1NOTAKEY")
    with pytest.raises(WaykeepError) as caught:
        keystore.load(path, KeyFile(tmp_path / "owner.key"))
    assert "NOTAKEY" not in str(caught.value)


def test_a_key_file_that_is_no_text(tmp_path: Path, path: Path, lock: KeyFile) -> None:
    keystore.save(path, SECRETS, lock)
    (tmp_path / "owner.key").write_bytes(b"\xff\xfe\x00")
    with refused("keystore-locked", "device"):
        keystore.load(path, KeyFile(tmp_path / "owner.key"))
    with refused("identity-malformed", "format"):
        keystore.save(path, SECRETS, KeyFile(tmp_path / "owner.key"))


def test_a_passphrase_opens_what_it_closed_and_another_does_not(path: Path) -> None:
    # One test for both: scrypt takes a second each time, on purpose.
    keystore.save(path, SECRETS, Passphrase("correct horse"))
    assert keystore.load(path, Passphrase("correct horse")) == SECRETS
    with pytest.raises(DeviceError) as caught:
        keystore.load(path, Passphrase("correct house"))
    assert caught.value.rule == "keystore-locked"
    assert "house" not in str(caught.value)


def test_a_keystore_under_a_key_file_does_not_open_under_a_passphrase(path: Path, lock: KeyFile) -> None:
    keystore.save(path, SECRETS, lock)
    with refused("keystore-locked", "device"):
        keystore.load(path, Passphrase("correct horse"))


@pytest.mark.parametrize("text", ["", "seven77"])
def test_a_passphrase_too_short(text: str) -> None:
    with refused("passphrase-too-short", "device"):
        Passphrase(text)


def test_no_keystore(path: Path, lock: KeyFile) -> None:
    with refused("keystore-missing", "device"):
        keystore.load(path, lock)


@pytest.mark.parametrize("part", [0.0, 0.1, 0.5, 0.99])
def test_a_cut_keystore(path: Path, lock: KeyFile, part: float) -> None:
    keystore.save(path, SECRETS, lock)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    with refused("keystore-locked", "device"):
        keystore.load(path, lock)


@pytest.mark.parametrize("at", [0, 30, 200, -1])
def test_a_damaged_keystore(path: Path, lock: KeyFile, at: int) -> None:
    keystore.save(path, SECRETS, lock)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)
    with refused("keystore-locked", "device"):
        keystore.load(path, lock)


@pytest.mark.parametrize("plaintext", [b"", b"{}", b'{"owner":"secret-473700000"}', b"[1]"])
def test_a_keystore_of_other_content_is_refused_and_not_quoted(path: Path, lock: KeyFile, plaintext: bytes) -> None:
    path.write_bytes(lock.close(plaintext))
    with pytest.raises(WaykeepError) as caught:
        keystore.load(path, lock)
    assert caught.value.rule == "malformed"
    assert "473700000" not in str(caught.value)


def test_nothing_shows_a_secret(tmp_path: Path, lock: KeyFile) -> None:
    shown = " ".join(
        map(
            repr,
            (
                *(SECRETS, [SECRETS], {"s": SECRETS}, MADE, MADE.paper, lock, Passphrase("correct horse")),
                *(SECRETS.device_key, SECRETS.writer_key, SECRETS.authority_key),
            ),
        )
    )
    shown += f"{SECRETS} {MADE} {MADE.paper}"
    values = msgspec.to_builtins(SECRETS)
    values.pop("owner")
    values.pop("recovery_recipient")
    secrets = []
    for value in values.values():
        inner = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else [value]
        secrets += [text for text in inner if isinstance(text, str)]
    secrets += [MADE.paper.opening, MADE.paper.rotating, "correct horse", (tmp_path / "owner.key").read_text().strip()]
    secrets += [repr(getattr(SECRETS, name)) for name in ("authority", "control", "device", "writer")]
    assert [secret for secret in secrets if secret in shown] == []


def test_a_secrets_type_check_that_fails_shows_none() -> None:
    with pytest.raises(AttributeError) as caught:
        SECRETS.logs = ("another",)
    assert SECRETS.logs[-1] not in str(caught.value)
    assert isinstance(SECRETS, Secrets)


def test_a_device_without_the_authority() -> None:
    given = msgspec.structs.replace(SECRETS, authority=b"", control=b"")
    with refused("authority-missing", "device"):
        assert given.authority_key
    with refused("control-missing", "device"):
        assert given.control_key
    assert given.device_key.public == SECRETS.device_key.public
