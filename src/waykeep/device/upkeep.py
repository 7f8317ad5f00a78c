"""What must follow from the owner log, made up for wherever a command was cut off: each step looks at what is there.

In this order: the host's key list says who is in force; after a key was revoked or the authority rotated, logs get new
recipients, whose secret only the devices in force are given, and then a new epoch begins. A secret is kept here, and
lies in the store for the other devices and for the paper, before the entry that puts it to use.
"""

from __future__ import annotations

import secrets as randomness
from collections.abc import Callable

import msgspec

from waykeep.authority import access, dsse
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.statements import (
    EPOCH_TYPE,
    KEY_LIST_TYPE,
    AuthorityRotated,
    EpochOpened,
    EpochStatement,
    KeyList,
    KeyRevoked,
    RecipientsNamed,
)
from waykeep.device import handing
from waykeep.device.appending import OwnerLog
from waykeep.device.handing import Bundle
from waykeep.device.hostclient import HostClient
from waykeep.device.keyring import Keyring
from waykeep.device.owner import EPOCH_LIFE_MS
from waykeep.errors import AuthorityError, DeviceError, FormatError, WaykeepError
from waykeep.formats import agefile
from waykeep.formats.ids import numbered, sha256, statement_name
from waykeep.formats.wire import encode_json

ATTEMPTS = 8


class Upkeep:
    """Keeps host, devices and paper in step with the owner log. Only a device with the authority can."""

    def __init__(self, log: OwnerLog, host: HostClient, keys: Keyring, clock: Callable[[], int]) -> None:
        self._log, self._host, self._keys, self._clock = log, host, keys, clock

    def mend(self) -> OwnerState:
        """Do what is lacking; the owner log then. Raises as `OwnerLog.append` and the host do."""
        state = self._log.state()
        if not self._keys.secrets.authority or self._keys.secrets.device_key.public not in state.devices:
            return state
        self.list_keys(state)
        for _ in range(ATTEMPTS):
            changed, recipients, epoch = _last(state, KeyRevoked), self._recipients_at(state), self._epoch_at(state)
            if recipients <= changed:
                self._name_recipients(state)
            elif epoch <= changed:
                self.open_epoch(state)
            else:
                break
            state = self._log.state()
        self._leave_bundles(state)
        return state

    # -- the host's key list -------------------------------------------------------------------------------------------

    def list_keys(self, state: OwnerState) -> None:
        """Put the key list that the owner log asks for, unless the newest says the same."""
        secrets = self._keys.secrets
        for _ in range(ATTEMPTS):
            newest, found = self.newest_list(state)
            wanted = listed(state, newest + 1)
            if found is not None and _says(found) == _says(wanted):
                return
            envelope = dsse.sign(KEY_LIST_TYPE, encode_json(wanted), secrets.authority_key)
            try:
                self._host.put_key_list(newest + 1, envelope)
            except WaykeepError as error:
                if error.rule not in ("name-taken", "key-list-skips"):
                    raise
                continue
            return
        raise DeviceError("key-list-contended", "found the key list ahead of this device each time", hint="try again")

    def newest_list(self, state: OwnerState) -> tuple[int, KeyList | None]:
        """The number of the newest key list at the host, and what it says if it is one."""
        number = int(self._host.names("access")[-1])
        inception, data = self._host.get("access", numbered(0)), self._host.get("access", numbered(number))
        try:
            return number, access.key_list(state.owner, inception or b"", data or b"", number)
        except (AuthorityError, FormatError):
            return number, None

    # -- recipients and epochs -----------------------------------------------------------------------------------------

    def _name_recipients(self, state: OwnerState) -> None:
        secrets = self._keys.secrets
        named = {line.log for line in state.recipients}
        waiting = [s for s in secrets.logs if agefile.recipient_of(s) not in named]
        # One that was made before a crash is used now.
        secret = waiting[-1] if waiting and waiting[-1] == secrets.logs[-1] else agefile.generate()[0]
        self._keys.add_log(secret)
        recipient = agefile.recipient_of(secret)
        if secrets.control and _last(state, KeyRevoked) > state.rotated:
            # Whoever was revoked knows the control key of before; the witness is told with the next entry.
            self._keys.control_for(recipient, randomness.token_bytes(32))
        self._leave(state, recipient)
        self._log.append(RecipientsNamed(recipient, secrets.recovery_recipient))

    def open_epoch(self, state: OwnerState) -> int:
        """Begin a new epoch; its number."""
        number = state.last_epoch + 1
        secret = self._keys.secrets.epochs.get(str(number)) or agefile.generate()[0]
        self._keys.add_epoch(number, secret)
        recipient = agefile.recipient_of(secret)
        name, sealed = f"{number}.age", agefile.seal(secret.encode(), state.log_recipients())
        if not self._put("keys", name, sealed):
            found = self._opened("keys", name)
            if found != secret.encode():
                self._put("keys", f"{number}-{handing.short(recipient)}.age", sealed)
        statement = EpochStatement(state.owner, number, recipient, self._clock() + EPOCH_LIFE_MS)
        envelope = dsse.sign(EPOCH_TYPE, encode_json(statement), self._keys.secrets.authority_key)
        if not self._put("epochs", numbered(number), envelope):
            found = self._host.get("epochs", numbered(number)) or b""
            if self._is_ours(state, found, number, recipient):
                envelope = found  # from before a crash
            else:
                self._put("epochs", statement_name(number, sha256(envelope)), envelope)
        self._log.append(EpochOpened(number, sha256(envelope), recipient))
        return number

    def _is_ours(self, state: OwnerState, envelope: bytes, number: int, recipient: str) -> bool:
        try:
            return access.epoch(state.owner, state.authority, envelope, number).recipient == recipient
        except (AuthorityError, FormatError):
            return False

    # -- bundles for devices and paper ---------------------------------------------------------------------------------

    def _leave_bundles(self, state: OwnerState) -> None:
        if len(state.recipients) > 1:
            self._leave(state, state.log_recipients()[0])

    def _leave(self, state: OwnerState, log_recipient: str) -> None:
        """Leave all secrets for the recovery recipient and for each device in force, where they do not lie yet."""
        secrets, lying = self._keys.secrets, set(self._host.names("keys"))
        bundle = Bundle(secrets.logs, self._keys.epochs(state))
        name = handing.name_of(log_recipient)
        if name not in lying:
            self._put("keys", name, handing.seal(bundle, (log_recipient, secrets.recovery_recipient)))
        for device in state.devices:
            name = handing.name_of(log_recipient, device)
            if name not in lying:
                whole = msgspec.structs.replace(bundle, controls=secrets.controls)
                self._put("keys", name, handing.seal_for(whole, device))

    def _opened(self, room: str, name: str) -> bytes:
        data = self._host.get(room, name)
        try:
            return agefile.open_(data or b"", self._keys.secrets.logs, limit=65536, what="a wrapped secret")
        except FormatError:
            return b""

    def _put(self, room: str, name: str, data: bytes) -> bool:
        """Put an object; false where other bytes lie there."""
        try:
            self._host.put(room, name, data)
        except WaykeepError as error:
            if error.rule != "name-taken":
                raise
            return False
        return True

    @staticmethod
    def _recipients_at(state: OwnerState) -> int:
        return max((e.number for _, e, _ in state.entries if e.body == state.recipients[-1]), default=0)

    @staticmethod
    def _epoch_at(state: OwnerState) -> int:
        newest = state.epochs[max(state.epochs)] if state.epochs else None
        return max((e.number for _, e, _ in state.entries if e.body == newest), default=0)


def _last(state: OwnerState, *kinds: type) -> int:
    return max((e.number for _, e, _ in state.entries if isinstance(e.body, (*kinds, AuthorityRotated))), default=0)


def listed(state: OwnerState, number: int) -> KeyList:
    """The key list that an owner log asks for."""
    return KeyList(
        owner=state.owner,
        number=number,
        devices=tuple(state.devices),
        writers=tuple(state.writers),
        callers=tuple(dict.fromkeys(grant.holder for grant in state.grants.values())),
        studies=tuple(signed.digest for signed in state.memberships.values()),
        rotations=state.rotations,
    )


def _says(said: KeyList) -> tuple[object, ...]:
    return (*map(set, (said.devices, said.writers, said.callers, said.studies)), said.rotations, said.pending)
