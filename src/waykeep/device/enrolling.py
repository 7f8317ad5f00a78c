"""Another device of the same owner: it makes its own keys, is added by one that has the authority, and takes the rest.

Each step may be repeated after it was cut off.
"""

from __future__ import annotations

import base64
import binascii
import secrets as randomness

import msgspec

from waykeep.authority.keys import SigningKey, commitment
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.statements import DeviceAdded, WriterAdded
from waykeep.device import files, handing, keystore
from waykeep.device.account import Account
from waykeep.device.chain import OwnerChain
from waykeep.device.handing import Bundle
from waykeep.device.hostclient import HostClient
from waykeep.device.keyring import Keyring
from waykeep.device.keystore import Lock, Secrets
from waykeep.device.profile import Folder, Profile
from waykeep.errors import AuthorityError, DeviceError, FormatError, WaykeepError
from waykeep.formats import agefile
from waykeep.formats.ids import OwnerId, PublicKey, parse_owner_id, parse_public_key
from waykeep.formats.messages import Small
from waykeep.formats.wire import decode_json, encode_json

_PREFIX = "waykeep-device-1:"
MAX_REQUEST = 2048


class Enrolment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a new device asks to be added with: public keys only."""

    owner: OwnerId
    name: Small
    device: PublicKey
    writer: PublicKey


def enroll(folder: Folder, profile: Profile, lock: Lock, name: str) -> str:
    """Make a new device's keys in its folder; the line with which it asks to be added. Again it is the same line.

    Raises:
        DeviceError: ``folder-in-use``, ``keystore-locked``.
    """
    if not (folder.enrolling.exists() and folder.keystore.exists()):
        folder.create(profile)
        seeds = [randomness.token_bytes(32) for _ in range(2)]
        made = Secrets(
            owner=profile.owner,
            authority=b"",
            control=b"",
            control_salt=b"",
            device=seeds[0],
            writer=seeds[1],
            logs=(),
            queue=agefile.generate()[0],
            recovery_recipient="",
            epochs={},
        )
        files.write(folder.enrolling, encode_json(name))
        keystore.save(folder.keystore, made, lock)
    secrets = keystore.load(folder.keystore, lock)
    kept = decode_json(folder.enrolling.read_bytes(), str, what="a device's name")
    asked = Enrolment(secrets.owner, kept, secrets.device_key.public, secrets.writer_key.public)
    return _PREFIX + base64.urlsafe_b64encode(encode_json(asked)).decode().rstrip("=")


def parse_request(text: str) -> Enrolment:
    """Raises: DeviceError: ``enrolment-malformed``."""
    body = text.strip().removeprefix(_PREFIX)
    try:
        if len(text) > MAX_REQUEST or not text.strip().startswith(_PREFIX):
            raise ValueError
        found = decode_json(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)), Enrolment, what="a request")
        parse_owner_id(found.owner)
        parse_public_key(found.device)
        parse_public_key(found.writer)
    except (ValueError, binascii.Error, FormatError):
        raise DeviceError(
            "enrolment-malformed",
            "found text that is no device's request",
            hint="copy the whole line that 'waykeep keys enroll' printed",
        ) from None
    return found


def add(account: Account, asked: Enrolment, *, with_authority: bool) -> int:
    """Add a device; the entry's number. It is handed log and epoch secrets and the control key.

    Args:
        with_authority: It may add and revoke devices as well.

    Raises:
        DeviceError: ``enrolment-foreign``, ``authority-missing``; as `OwnerLog.append`, whose ``log-repeat`` refuses a
            key that was revoked.
    """
    if asked.owner != account.owner:
        raise DeviceError("enrolment-foreign", "found a request to another owner", hint="give it to that owner")
    with account.unfinished():
        log = account.upkeep.mend()
        if asked.device not in log.devices:
            account.owner_log.append(DeviceAdded(asked.device, asked.name))
        if asked.writer not in log.writers:
            account.owner_log.append(WriterAdded(asked.writer, f"importer on {asked.name}", "imported"))
        _hand(account, asked.device, with_authority=with_authority)
        log = account.upkeep.mend()
    return max(e.number for _, e, _ in log.entries if isinstance(e.body, DeviceAdded) and e.body.key == asked.device)


def _hand(account: Account, device: PublicKey, *, with_authority: bool) -> None:
    secrets = account.keys.secrets
    bundle = Bundle(
        logs=secrets.logs,
        epochs=account.keys.epochs(account.log()),
        control=secrets.control,
        control_salt=secrets.control_salt,
        authority=secrets.authority if with_authority else b"",
        controls=secrets.controls,
    )
    sealed, name = handing.seal_for(bundle, device), handing.name_for(device)
    try:
        account.host.put("keys", name, sealed)
    except WaykeepError as error:
        if error.rule != "name-taken":
            raise
        again = name.replace(".age", f"-{randomness.token_hex(4)}.age")
        account.host.put("keys", again, sealed)


def finish(folder: Folder, lock: Lock) -> OwnerState:
    """On a new device: take what another one left for it; the owner log then.

    Raises:
        DeviceError: ``device-not-added``; ``bundle-mismatch`` when what lies there is not this owner's.
    """
    profile, keys = folder.profile(), Keyring(folder, lock)
    host = HostClient(profile.host, keys.secrets.owner, keys.secrets.device_key)
    try:
        if not folder.enrolling.exists():
            return OwnerChain(folder, host, keys).state()
        refused: WaykeepError = DeviceError(
            "device-not-added",
            "found nothing that was left for this device",
            hint="run 'waykeep keys add' with its request on another device first",
            status=409,
        )
        for bundle in _left(host, keys.secrets):  # anybody who is listed at the host could have put one
            try:
                log = _take(folder, host, keys, bundle)
            except (AuthorityError, DeviceError, FormatError) as error:
                refused = error
                continue
            files.remove(folder.enrolling)
            return log
        raise refused
    finally:
        host.close()


def _left(host: HostClient, secrets: Secrets) -> list[Bundle]:
    """What lies at the host for this device, the newest try last."""
    stem, found = handing.name_for(secrets.device_key.public).removesuffix(".age"), []
    try:
        names = [name for name in host.names("keys") if name.startswith(stem)]
    except WaykeepError as error:
        if error.status != 401:
            raise
        names = []  # no key list has this device yet
    for name in names:
        try:
            found.append(handing.open_with(host.get("keys", name) or b"", secrets.device_key))
        except FormatError:
            continue
    return found


def _take(folder: Folder, host: HostClient, keys: Keyring, bundle: Bundle) -> OwnerState:
    keys.change(
        lambda kept: msgspec.structs.replace(
            kept,
            logs=bundle.logs,
            epochs=bundle.epochs,
            control=bundle.control,
            control_salt=bundle.control_salt,
            authority=bundle.authority,
            controls=bundle.controls,
        )
    )
    log, secrets = OwnerChain(folder, host, keys).state(), keys.secrets
    good = secrets.device_key.public in log.devices
    if secrets.control:
        good = good and commitment(secrets.control_salt, SigningKey(secrets.control).public) == log.control
    if secrets.authority:
        good = good and SigningKey(secrets.authority).public == log.authority
    if not good:
        raise DeviceError(
            "bundle-mismatch",
            "found keys left for this device that are not of this owner's log",
            hint="have it added again",
            status=409,
        )
    keys.change(lambda kept: msgspec.structs.replace(kept, recovery_recipient=log.log_recipients()[1]))
    return log
