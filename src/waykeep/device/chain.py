"""The device's copy of the owner log: read from the host, believed for its signatures and for what was seen before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

from waykeep.authority import access, ownerlog
from waykeep.authority.ownerstate import OwnerState
from waykeep.device import files, handing
from waykeep.device.heads import log_rewound, remember, resumed
from waykeep.device.hostclient import HostClient
from waykeep.device.keyring import Keyring
from waykeep.device.profile import Folder
from waykeep.errors import AuthorityError, DeviceError, FormatError, WaykeepError
from waykeep.formats import agefile, entries
from waykeep.formats.ids import numbered
from waykeep.formats.messages import Head
from waykeep.formats.wire import MIB


def beside(host: HostClient, number: int) -> Iterator[tuple[str, bytes]]:
    """What the host shows beside an entry's number, where entry ``number`` may lie as well: names and objects."""
    for name in entries.among(number, host.names("owner-log")):
        if (data := host.get("owner-log", name)) is not None:
            yield name, data


class OwnerChain:
    """The owner log as this device sees it.

    Attributes:
        blocked: The number after the newest entry, where something lies there that is no entry; else None.
    """

    def __init__(self, folder: Folder, host: HostClient, keys: Keyring) -> None:
        self._folder, self._host, self._keys = folder, host, keys
        self._log: OwnerState | None = None
        self.blocked: int | None = None

    def state(self) -> OwnerState:
        """The owner log, as the host shows it now, checked by its own rules and against what this device remembers.

        Raises:
            DeviceError: ``owner-log-rewound`` when the host shows less than this device has seen, or another log;
                ``device-revoked``, ``log-secret-missing`` when the rest is not for this device any more, or not yet.
        """
        state, remembered = self._log, self._folder.heads().owner
        self.blocked = None
        while (found := self._next(state, remembered)) is not None:
            data, state = found
            if remembered is not None and state.head.number == remembered.number and state.head != remembered:
                raise log_rewound(f"the host shows another entry {remembered.number} than this device has seen")
            # Not before it was checked: a forged entry would stay here when the host has long shown the right one.
            if data:
                files.write(self._folder.log / numbered(state.head.number), data)
        if state is None or (remembered is not None and state.head.number < remembered.number):
            shown = "no entry" if state is None else f"entries up to {state.head.number}"
            seen = "" if remembered is None else f"; this device has seen entry {remembered.number}"
            raise log_rewound(f"the host shows {shown} of your owner log{seen}")
        self._log = state
        remember(self._folder, owner=state.head)
        resumed(self._folder, state)
        return state

    def known(self) -> OwnerState:
        """The owner log up to what this device has copies of; nobody is asked.

        Raises:
            DeviceError: ``owner-log-unread`` where there is none.
        """
        state = self._log
        while (copy := self._folder.log / numbered(0 if state is None else state.head.number + 1)).exists():
            try:
                state = self._after(state, self._open(copy.read_bytes()))
            except FormatError:  # for a log secret that is not here yet
                break
        if state is None:
            raise DeviceError(
                "owner-log-unread",
                "found no copy of your owner log on this device, which has not read it yet",
                hint="try again when your host can be reached",
                status=409,
            )
        return state

    def envelope(self, number: int) -> bytes:
        """The envelope of an entry, which `state` has read."""
        return self._open((self._folder.log / numbered(number)).read_bytes())

    def remembered(self) -> Head | None:
        """The newest head that this device has seen."""
        return self._folder.heads().owner

    def _after(self, state: OwnerState | None, envelope: bytes) -> OwnerState:
        if state is None:
            return ownerlog.begin(self._keys.secrets.owner, envelope)
        return ownerlog.fold(state, [envelope])

    def _next(self, state: OwnerState | None, remembered: Head | None) -> tuple[bytes, OwnerState] | None:
        """The next entry's object, where it is not among this device's copies yet (else empty), and the state after it.

        Where this device has the newest log secret, it can judge that what lies there is no entry: the log ends there,
        unless the entry was seen before.
        """
        number = 0 if state is None else state.head.number + 1
        copy = self._folder.log / numbered(number)
        known = copy.read_bytes() if copy.exists() else b""
        data = known or self._fetch(numbered(number))
        if data is None:
            return None
        try:
            return b"" if known else data, self._after(state, self._open(data))
        except (AuthorityError, FormatError):
            if state is None or not state.recipients:
                raise
            if not self._has_newest(state):
                self._learn(state)
                return self._next(state, remembered)
            for _, other in beside(self._host, number):
                with suppress(AuthorityError, FormatError):
                    return other, self._after(state, self._open(other))
            if remembered is not None and number <= remembered.number:
                raise
        self.blocked = number
        return None

    def _open(self, data: bytes) -> bytes:
        return agefile.open_(data, self._keys.secrets.logs, limit=MIB, what="an owner-log entry")

    def _has_newest(self, state: OwnerState) -> bool:
        return state.log_recipients()[0] in {agefile.recipient_of(secret) for secret in self._keys.secrets.logs}

    def _learn(self, state: OwnerState) -> None:
        """Take the log secret that goes with the newest recipients, which another device left for this one."""
        newest, device = state.log_recipients()[0], self._keys.secrets.device_key
        data = self._host.get("keys", handing.name_of(newest, device.public))
        if data is None:
            if device.public not in state.devices:
                raise revoked(0)
            raise DeviceError(
                "log-secret-missing",
                "found new log keys that were not handed to this device yet",
                hint="run any command on the device that named them, then try again",
                status=409,
            )
        bundle = handing.open_with(data, device)
        for secret in bundle.logs:
            if agefile.recipient_of(secret) == newest:
                if newest in bundle.controls:
                    self._keys.control_for(newest, bundle.controls[newest])
                self._keys.add_log(secret)
                return
        raise DeviceError("log-secret-missing", "found a bundle of keys without the newest log secret", status=409)

    def _fetch(self, name: str) -> bytes | None:
        try:
            return self._host.get("owner-log", name)
        except WaykeepError as error:
            if error.status == 401 and not self._listed():
                raise revoked(0) from None
            raise

    def _listed(self) -> bool:
        """Whether the newest key list at the host, which the authority signed, holds this device."""
        owner, names = self._keys.secrets.owner, self._host.names("access")
        inception = self._host.get("access", numbered(0))
        data = self._host.get("access", names[-1]) if len(names) > 1 else None
        if inception is None or data is None:
            return True
        try:
            listed = access.key_list(owner, inception, data, int(names[-1]))
        except (AuthorityError, FormatError, ValueError):
            return True
        return self._keys.secrets.device_key.public in listed.devices


def revoked(waiting: int) -> DeviceError:
    kept = f"; {waiting} entries that it made wait here and count nowhere" if waiting else ""
    return DeviceError(
        "device-revoked",
        f"found this device revoked by its owner{kept}",
        hint="if this device is yours, add it anew from another one with 'waykeep keys enroll'",
        status=403,
    )
