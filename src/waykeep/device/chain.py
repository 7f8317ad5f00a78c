"""The device's copy of the owner log: read from the host, believed for its signatures, appended to by this device."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from waykeep.authority import ownerlog
from waykeep.authority.ownerlog import OwnerState
from waykeep.authority.statements import Approved
from waykeep.device import files, owner
from waykeep.device.hostclient import HostClient
from waykeep.device.keystore import Secrets
from waykeep.device.profile import Folder
from waykeep.errors import DeviceError, WaykeepError
from waykeep.formats import agefile
from waykeep.formats.ids import numbered, sha256
from waykeep.formats.messages import Head
from waykeep.formats.wire import MIB, encode_json

ATTEMPTS = 8


class OwnerChain:
    """The owner log as this device sees it.

    Args:
        clock: The device's, in ms since 1970 UTC; entries carry its time for people to read.
    """

    def __init__(self, folder: Folder, host: HostClient, secrets: Secrets, clock: Callable[[], int]) -> None:
        self._folder, self._host, self._secrets, self._clock = folder, host, secrets, clock
        self._log: OwnerState | None = None

    def state(self) -> OwnerState:
        """The owner log, as the host shows it now, checked by its own rules and against what this device remembers.

        Raises:
            DeviceError: ``owner-log-rewound`` when the host shows less than this device has seen, or another log.
        """
        state, remembered = self._log, self._folder.heads().owner
        number = 0 if state is None else state.head.number + 1
        while (found := self._log_object(number)) is not None:
            data, envelope = found
            state = ownerlog.begin(self._secrets.owner, envelope) if state is None else ownerlog.fold(state, [envelope])
            number += 1
            if remembered is not None and state.head.number == remembered.number and state.head != remembered:
                raise _rewound("another entry", remembered)
            # Not before it was checked: a forged entry would stay here when the host has long shown the right one.
            if data:
                files.write(self._folder.log / numbered(number - 1), data)
        if state is None or (remembered is not None and state.head.number < remembered.number):
            raise _rewound("a shorter log", remembered or Head(0, sha256(b"")))
        self._log = state
        remember(self._folder, owner=state.head)
        return state

    def _log_object(self, number: int) -> tuple[bytes, bytes] | None:
        """An entry's object, where it is not among this device's copies yet (else empty), and its envelope."""
        copy = self._folder.log / numbered(number)
        known = copy.read_bytes() if copy.exists() else b""
        data = known or self._host.get("owner-log", numbered(number))
        if data is None:
            return None
        return b"" if known else data, agefile.open_(data, [self._secrets.log], limit=MIB, what="an owner-log entry")

    def approve(self, approval: Approved) -> int:
        """Append an approval; its number.

        Where the newest of this algorithm says the same already, that one stands: a repetition may not know of it.
        """
        known = self.state().approvals
        newest = max((number for number, a in known.items() if a.algorithm == approval.algorithm), default=None)
        if newest is not None and encode_json(known[newest]) == encode_json(approval):
            return newest
        return self.append(approval)

    def append(self, body: object) -> int:
        """Append an entry to the owner log; where another device was faster, sign it again on the new head."""
        for _ in range(ATTEMPTS):
            state = self.state()
            entry = owner.entry_after(self._secrets.owner, state.head, self._clock(), body, self._secrets.device_key)
            ownerlog.fold(state, [entry])
            sealed = agefile.seal(entry, state.log_recipients())
            try:
                self._host.put("owner-log", numbered(state.head.number + 1), sealed)
            except WaykeepError as error:
                if error.rule != "name-taken":
                    raise
                continue
            self.state()
            return state.head.number + 1
        raise DeviceError("owner-log-contended", "found the owner log ahead of this device each time", hint="try again")


def remember(folder: Folder, **heads: Head | int) -> None:
    """Keep what was seen, durably, where it is newer: another command may have seen more meanwhile."""
    with folder.locked():
        merge(folder, **heads)


def merge(folder: Folder, **heads: Head | int) -> None:
    """As `remember`, for a caller that holds the folder's lock."""
    before = folder.heads()
    newer = {name: head for name, head in heads.items() if not _behind(head, getattr(before, name))}
    after = msgspec.structs.replace(before, **newer)
    if after != before:
        folder.save_heads(after)


def _behind(head: Head | int, seen: Head | int | None) -> bool:
    if isinstance(head, Head) and isinstance(seen, Head):
        return head.number < seen.number
    return isinstance(head, int) and isinstance(seen, int) and head < seen


def _rewound(what: str, remembered: Head) -> DeviceError:
    return DeviceError(
        "owner-log-rewound",
        f"the host shows {what}; this device has seen entry {remembered.number}",
        hint="the host lost or withholds entries, or shows another log; nothing was sent",
    )
