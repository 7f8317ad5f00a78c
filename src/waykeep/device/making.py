"""Making an owner on a device: keys, paper, registration at a host."""

from __future__ import annotations

import secrets as randomness
import time
from collections.abc import Callable

from waykeep.device import handing, owner
from waykeep.device.handing import Bundle
from waykeep.device.hostclient import HostClient
from waykeep.device.keystore import Lock, Secrets, save
from waykeep.device.owner import NewOwner, Paper
from waykeep.device.profile import Folder, Profile
from waykeep.formats import agefile
from waykeep.formats.ids import numbered

Clock = Callable[[], int]


def now_ms() -> int:
    """The device's clock: milliseconds since 1970 UTC."""
    return time.time_ns() // 1_000_000


def create(
    folder: Folder,
    profile_of: Callable[[Secrets], Profile],
    lock: Lock,
    name: str,
    clock: Clock = now_ms,
    show: Callable[[Paper], None] = lambda paper: None,
) -> Paper:
    """Make an owner: registered at the host first, then kept on this device. Returns what goes on paper, once.

    The keystore comes last: with it the device has an owner, whose paper was shown. Before that nothing is lost with
    the keys, so where this fails or is cut off, a repetition makes another owner.

    Args:
        show: Shows the paper, before anything depends on it.

    Raises:
        DeviceError: ``folder-in-use``; HostError.
    """
    made = owner.create(name, clock(), randomness.token_bytes)
    profile = profile_of(made.secrets)
    folder.create(profile)
    try:
        _register(profile, made)
        show(made.paper)
        save(folder.keystore, made.secrets, lock)
    except BaseException:
        folder.discard()
        raise
    return made.paper


def _register(profile: Profile, made: NewOwner) -> None:
    host = HostClient(profile.host, made.secrets.owner, made.secrets.device_key)
    try:
        host.register(made.inception)
        host.put_key_list(1, made.key_list)
        recipients = (agefile.recipient_of(made.secrets.logs[0]), made.secrets.recovery_recipient)
        # The paper opens it: what comes after, and the user cloud, go on with the log secret.
        host.put("keys", handing.name_of(recipients[0]), handing.seal(Bundle(made.secrets.logs, {}), recipients))
        for number, entry in enumerate(made.entries):
            host.put("owner-log", numbered(number), agefile.seal(entry, recipients))
        for epoch, secret in made.secrets.epochs.items():
            host.put("keys", f"{int(epoch)}.age", agefile.seal(secret.encode(), recipients))
        host.put("epochs", numbered(1), made.epoch)
    finally:
        host.close()
