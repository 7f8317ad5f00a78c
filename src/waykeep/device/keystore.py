"""The owner's secrets on the device: one age file under a passphrase (scrypt) or under a key file.

The two recovery secrets are not in it: they are shown once, at `init`, and only their public halves are kept.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import msgspec
import pyrage

from waykeep.authority.keys import SigningKey
from waykeep.device import files
from waykeep.errors import DeviceError, FormatError
from waykeep.formats import agefile
from waykeep.formats.ids import OwnerId
from waykeep.formats.wire import MIB, decode_json, encode_json


class Secrets(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that must not leave the device but to the owner's appraised user cloud (log secret, epoch secrets).

    Seeds are 32 bytes of Ed25519; ``logs`` (oldest first) and ``epochs`` are age secret keys; ``queue`` is the age
    secret key of what waits on this device. ``authority`` and ``control`` are empty on a device that was given none.
    ``controls``: by log recipient the control key that replaced the one before, when a device was revoked.
    """

    owner: OwnerId
    authority: bytes
    control: bytes
    control_salt: bytes
    device: bytes
    writer: bytes
    logs: tuple[str, ...]
    queue: str
    recovery_recipient: str
    epochs: dict[str, str]
    controls: dict[str, bytes] = {}

    def __repr__(self) -> str:
        return "Secrets(...)"

    @property
    def device_key(self) -> SigningKey:
        return SigningKey(self.device)

    @property
    def writer_key(self) -> SigningKey:
        return SigningKey(self.writer)

    @property
    def authority_key(self) -> SigningKey:
        """Raises: DeviceError: ``authority-missing``."""
        if not self.authority:
            raise DeviceError(
                "authority-missing",
                "found no authority key on this device",
                hint="use the device on which the owner was made, or one that was added with --with-authority",
            )
        return SigningKey(self.authority)

    @property
    def control_key(self) -> SigningKey:
        """Raises: DeviceError: ``control-missing``."""
        if not self.control:
            raise DeviceError("control-missing", "found no control key on this device", hint="use another device")
        return SigningKey(self.control)


class Lock(Protocol):
    """What protects a keystore."""

    def close(self, plaintext: bytes) -> bytes: ...
    def open(self, data: bytes) -> bytes: ...


class Passphrase:
    """Protects with a passphrase, through age's scrypt (about a second on purpose)."""

    def __init__(self, text: str) -> None:
        if len(text) < 8:
            raise DeviceError("passphrase-too-short", "found a passphrase under 8 characters", hint="use a few words")
        self._text = text

    def close(self, plaintext: bytes) -> bytes:
        return bytes(pyrage.passphrase.encrypt(plaintext, self._text))

    def open(self, data: bytes) -> bytes:
        try:
            return bytes(pyrage.passphrase.decrypt(data, self._text))
        except pyrage.DecryptError:
            raise DeviceError("keystore-locked", "found a passphrase that does not open the keystore") from None


class KeyFile:
    """Protects with an age secret key in a file, which is made if it is missing and ``create`` is set."""

    def __init__(self, path: Path, *, create: bool = False) -> None:
        self._path, self._made = path, False
        try:
            if create and not path.exists():
                files.write(path, agefile.generate()[0].encode() + b"\n")
                self._made = True
            # What is no text is no key either, and refused as such where it is used.
            self._secret = path.read_text("ascii", "replace").strip()
        except OSError as error:
            raise DeviceError(
                "key-file-missing",
                f"cannot read the key file ({error.strerror})",
                hint="name with --key-file the file that 'waykeep init' made",
            ) from None

    def discard(self) -> None:
        """Remove the key file if this very object made it, and nothing was closed with it that is kept."""
        if self._made:
            files.remove(self._path)

    def close(self, plaintext: bytes) -> bytes:
        return agefile.seal(plaintext, [agefile.recipient_of(self._secret)])

    def open(self, data: bytes) -> bytes:
        try:
            return agefile.open_(data, [self._secret], limit=MIB, what="the keystore")
        except FormatError:
            raise DeviceError("keystore-locked", "found a key file that does not open the keystore") from None


def save(path: Path, secrets: Secrets, lock: Lock) -> None:
    files.write(path, lock.close(encode_json(secrets)))


def load(path: Path, lock: Lock) -> Secrets:
    """Raises: DeviceError: ``keystore-missing``, ``keystore-locked``."""
    try:
        data = path.read_bytes()
    except OSError:
        raise DeviceError(
            "keystore-missing", "found no keystore in this folder", hint="make one with 'waykeep init'"
        ) from None
    return decode_json(lock.open(data), Secrets, what="the keystore")
