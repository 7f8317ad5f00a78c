"""The keystore in use: what changes in it is durable before anything depends on it, and no command undoes another's."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from waykeep.authority.keys import SigningKey
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.statements import RecipientsNamed
from waykeep.device import keystore
from waykeep.device.keystore import Lock, Secrets
from waykeep.device.profile import Folder
from waykeep.formats import agefile


class Keyring:
    """The secrets of one device.

    Attributes:
        secrets: As they were last read or kept.

    Raises:
        DeviceError: ``keystore-missing``, ``keystore-locked``.
    """

    def __init__(self, folder: Folder, lock: Lock) -> None:
        self._folder, self._lock = folder, lock
        self.secrets = keystore.load(folder.keystore, lock)

    def change(self, alter: Callable[[Secrets], Secrets]) -> Secrets:
        """Keep what ``alter`` makes of the secrets as they lie in the keystore now; durable when this returns."""
        with self._folder.locked():
            before = keystore.load(self._folder.keystore, self._lock)
            after = alter(before)
            if after != before:
                keystore.save(self._folder.keystore, after, self._lock)
            self.secrets = after
        return after

    def add_log(self, secret: str) -> None:
        """Keep a log secret, as the newest."""
        self.change(
            lambda kept: kept if secret in kept.logs else msgspec.structs.replace(kept, logs=(*kept.logs, secret))
        )

    def add_epoch(self, number: int, secret: str) -> None:
        """Keep an epoch's secret, in place of one that was made and never opened."""
        self.change(lambda kept: msgspec.structs.replace(kept, epochs={**kept.epochs, str(number): secret}))

    def control_for(self, log_recipient: str, seed: bytes) -> None:
        """Keep a control key that goes with new log recipients, unless there is one."""
        self.change(lambda kept: msgspec.structs.replace(kept, controls={log_recipient: seed} | kept.controls))

    def control_keys(self, log: OwnerState) -> list[SigningKey]:
        """The owner's control keys, the one of now first; the others were replaced, or soon are.

        Raises: DeviceError: ``control-missing``.
        """
        first, seeds = self.secrets.control_key, self.secrets.controls
        return [*(SigningKey(seeds[r.log]) for r in reversed(log.recipients) if r.log in seeds), first]

    def logs(self, log: OwnerState) -> tuple[str, ...]:
        """The log secrets that the owner log ever named, the one of its present recipients last."""
        held = {agefile.recipient_of(secret): secret for secret in self.secrets.logs}
        named = [e.body.log for _, e, _ in log.entries if isinstance(e.body, RecipientsNamed)]
        newest = log.log_recipients()[0]
        order = [*dict.fromkeys(recipient for recipient in named if recipient != newest), newest]
        return tuple(held[recipient] for recipient in order if recipient in held)

    def epochs(self, log: OwnerState) -> dict[str, str]:
        """The secrets of epochs that the owner log names. One may lie here that another device was faster to open."""
        return {
            text: secret
            for text, secret in self.secrets.epochs.items()
            if int(text) in log.epochs and agefile.recipient_of(secret) == log.epochs[int(text)].recipient
        }
