"""Secrets on their way between the owner's devices, as age files in the store's ``keys/``.

A device's signing key is an age recipient as well (age's ``ssh-ed25519``), so whoever reads the owner log can hand a
device something. age does not say who encrypted: what comes out is judged by what the owner log names.
"""

from __future__ import annotations

import msgspec
import pyrage
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from waykeep.authority.keys import SigningKey, verifying_key
from waykeep.errors import FormatError
from waykeep.formats import agefile
from waykeep.formats.ids import PublicKey, sha256
from waykeep.formats.wire import MIB, bounded, decode_json, encode_json

_DIGEST_AT = len("sha256:")


class Bundle(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What opens an owner's store: log secrets, oldest first, and epoch secrets by number.

    ``control``, ``control_salt`` and ``authority`` are for a device that is added, and empty otherwise. ``controls``
    are for devices alone: whatever the log recipient can open, the user cloud can.
    """

    logs: tuple[str, ...]
    epochs: dict[str, str]
    control: bytes = b""
    control_salt: bytes = b""
    authority: bytes = b""
    controls: dict[str, bytes] = {}

    def __repr__(self) -> str:
        return "Bundle(...)"


def short(text: str) -> str:
    """A name of 16 hex digits for a key or recipient."""
    return sha256(text.encode())[_DIGEST_AT : _DIGEST_AT + 16]


def name_of(log_recipient: str, device: PublicKey | None = None) -> str:
    """The object's name of the bundle that goes with a log recipient: the owner's, or one device's."""
    return f"log-{short(log_recipient)}{'' if device is None else '-' + short(device)}.age"


def name_for(device: PublicKey) -> str:
    """The object's name of what a device is given when it is added."""
    return f"device-{short(device)}.age"


def seal(bundle: Bundle, recipients: tuple[str, ...]) -> bytes:
    return agefile.seal(encode_json(bundle), recipients)


def open_(data: bytes, secrets: list[str]) -> Bundle:
    """Raises: FormatError as `agefile.open_` and `decode_json` do."""
    return _decode(agefile.open_(data, secrets, limit=MIB, what="a bundle of keys"))


def seal_for(bundle: Bundle, device: PublicKey) -> bytes:
    """An age file that only the holder of a device key can open."""
    line = verifying_key(device).public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH).decode()
    return bytes(pyrage.encrypt(encode_json(bundle), [pyrage.ssh.Recipient.from_str(line)]))


def open_with(data: bytes, device: SigningKey) -> Bundle:
    """Raises: FormatError: ``age-not-ours``, and as `open_`."""
    agefile.check_header(bounded(data, MIB, "a bundle of keys"))
    text = device.private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    try:
        return _decode(bytes(pyrage.decrypt(data, [pyrage.ssh.Identity.from_buffer(text)])))
    except pyrage.DecryptError:
        raise FormatError("age-not-ours", "found a bundle of keys that is not this device's, or was changed") from None


def _decode(plain: bytes) -> Bundle:
    return decode_json(plain, Bundle, what="a bundle of keys")
