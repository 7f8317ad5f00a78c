"""Epoch secrets that another device of the owner made, from where they lie wrapped for all of them."""

from __future__ import annotations

from waykeep.authority.ownerstate import OwnerState
from waykeep.device import handing
from waykeep.device.hostclient import HostClient
from waykeep.device.keyring import Keyring
from waykeep.errors import FormatError
from waykeep.formats import agefile


def learn(host: HostClient, keys: Keyring, log: OwnerState) -> None:
    """Keep the secrets of epochs that this device does not have yet. What does not lie there stays unreadable here."""
    held = keys.epochs(log)
    for number, epoch in log.epochs.items():
        if str(number) not in held:
            secret = find(host, keys.secrets.logs, number, epoch.recipient)
            if secret:
                keys.add_epoch(number, secret)


def find(host: HostClient, secrets: tuple[str, ...], number: int, recipient: str) -> str:
    """The epoch's secret, opened with one of ``secrets``; empty where it does not lie there."""
    for name in (f"{number}.age", f"{number}-{handing.short(recipient)}.age"):
        try:
            data = host.get("keys", name) or b""
            secret = agefile.open_(data, secrets, limit=65536, what="an epoch's secret").decode("ascii", "replace")
            if agefile.recipient_of(secret) == recipient:
                return secret
        except FormatError:
            continue
    return ""
