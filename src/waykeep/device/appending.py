"""Writing to the owner log: kept here first, then put at the host, then remembered, then told to the witness."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from waykeep.authority import dsse, ownerlog
from waykeep.authority.keys import SigningKey
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.statements import (
    KEY_LIST_TYPE,
    OWNER_ENTRY_TYPE,
    AuthorityRotated,
    Body,
    DeviceAdded,
    EpochOpened,
    KeyList,
    KeyRevoked,
    OwnerEntry,
    RecipientsNamed,
    WitnessNamed,
    WitnessWaived,
    WriterAdded,
)
from waykeep.device import owner, writing
from waykeep.device.chain import OwnerChain, revoked
from waykeep.device.hostclient import HostClient
from waykeep.device.keyring import Keyring
from waykeep.device.pending import Pending, Waiting
from waykeep.device.witnessing import OwnerWitness
from waykeep.errors import AuthorityError, DeviceError, HostError, WaykeepError
from waykeep.formats import agefile, entries
from waykeep.formats.ids import numbered, sha256
from waykeep.formats.messages import Head
from waykeep.formats.wire import decode_json, encode_json

ATTEMPTS = 8
_BY_AUTHORITY = (
    AuthorityRotated
    | DeviceAdded
    | WriterAdded
    | KeyRevoked
    | RecipientsNamed
    | EpochOpened
    | WitnessNamed
    | WitnessWaived
)


class OwnerLog:
    """The owner log, read and written by one device.

    Args:
        clock: The device's, in ms since 1970 UTC; entries carry its time for people to read.

    Attributes:
        dropped: Entries from before that the log refuses by now, each with the rule; nothing of them is lost that could
            still have an effect.
    """

    def __init__(
        self,
        chain: OwnerChain,
        pending: Pending,
        host: HostClient,
        keys: Keyring,
        witness: OwnerWitness,
        clock: Callable[[], int],
    ) -> None:
        self.chain, self.witness = chain, witness
        self._pending, self._host, self._keys, self._clock = pending, host, keys, clock
        self.dropped: list[tuple[str, str]] = []

    def state(self) -> OwnerState:
        """The owner log as `OwnerChain.state` has it, after what waits here was put onto it.

        Raises:
            DeviceError: As `OwnerChain.state`; ``device-revoked`` names how many entries wait, ``entry-withheld``.
        """
        try:
            state = self.chain.state()
        except DeviceError as error:
            if error.rule != "device-revoked":
                raise
            raise revoked(len(self._pending.items())) from None
        return self._settle(state, None)[0]

    def append(self, body: Body) -> int:
        """Append an entry; its number. It is kept here until the log holds it, whatever happens in between.

        Raises:
            DeviceError: ``entry-pending`` when the host cannot be reached, ``entry-withheld`` when it does not take the
                entry, ``device-revoked``, ``owner-log-contended``, ``authority-missing``.
            AuthorityError: When the log refuses the entry, by its rules; then it is not kept. FormatError: As
                `_require_readable`.
        """
        self._require_readable(body)
        after = self._seen()
        path = self._pending.add(body, after)
        try:
            state, number = self._settle(self.chain.state(), path)
        except HostError as error:
            if error.rule != "host-unreachable":
                raise
            raise DeviceError(
                "entry-pending",
                "the host cannot be reached; what you decided is kept on this device and not in force yet",
                hint="the next command that reaches the host brings it into your log",
                status=503,
            ) from None
        if number is None:  # another command took it along
            number = self._done(state, Waiting(body, after))
        if number is None:
            raise DeviceError(
                "owner-log-contended", "found an entry taken along by another command", hint="look with 'waykeep audit'"
            )
        return number

    def _require_readable(self, body: Body) -> None:
        """What nobody could read must not wait here: it would stand in the way of all that follows.

        Raises: FormatError: ``too-large``, ``malformed``.
        """
        longest = Head(10**10 - 2, sha256(b""))
        entry = owner.entry_after(self._keys.secrets.owner, longest, self._clock(), body, self._signer(body))
        payload = dsse.peek(entry, OWNER_ENTRY_TYPE, limit=ownerlog.MAX_ENTRY).payload
        decode_json(payload, OwnerEntry, what="an owner-log entry")

    def _settle(self, state: OwnerState, wanted: Path | None) -> tuple[OwnerState, int | None]:
        """Put what waits onto the log, oldest first; the log then, and the number of the ``wanted`` one."""
        number = None
        items = self._pending.items()
        if items:
            # Before anything is added: an entry on a log from which the host withholds some would be a fork.
            self.witness.tell(state)
        for path, item in items:
            try:
                state, taken = self._put(state, item, len(items))
            except AuthorityError as error:
                self._pending.remove(path)
                if path == wanted:
                    raise
                self.dropped.append((str(item.body.__struct_config__.tag), error.rule))
                continue
            self._pending.remove(path)
            number = taken if path == wanted else number
        if items:
            self.witness.tell(state)
        return state, number

    def _put(self, state: OwnerState, item: Waiting, waiting: int) -> tuple[OwnerState, int]:
        places = 0
        for _ in range(ATTEMPTS):
            done = self._done(state, item)
            if done is not None:
                return state, done
            if not isinstance(item.body, AuthorityRotated):
                self._require_in_force(state, item.body, waiting)
            key = self._signer(item.body)
            entry = owner.entry_after(self._keys.secrets.owner, state.head, self._clock(), item.body, key)
            after = ownerlog.fold(state, [entry])
            number = state.head.number + 1
            readers = {*state.log_recipients(), *(after.log_recipients() if after.recipients else ())}
            name = numbered(number)
            if self.chain.blocked == number:
                name, places = self._beside(state, after, renew=places > 0), places + 1
            try:
                self._host.put("owner-log", name, agefile.seal(entry, sorted(readers)))
            except WaykeepError as error:
                if error.rule == "host-unreachable":
                    raise
                if error.rule not in ("name-taken", "entry-skips"):
                    raise _withheld(f"the host does not take entry {number} ({error.rule})") from None
            else:
                state = self.chain.state()
                if state.head.number < number:
                    raise _withheld(f"the host says that it took entry {number}, and does not show it")
                continue
            state = self.chain.state()
            if state.head.number >= number:  # another device was faster
                places = 0
        raise DeviceError("owner-log-contended", "found the owner log ahead of this device each time", hint="try again")

    def _beside(self, state: OwnerState, after: OwnerState, *, renew: bool) -> str:
        """The name beside the number that follows, under which something lies that is no entry.

        Where that is taken as well, a device with the authority has the host take a newer key list, and so another
        name. Whom the log revokes, or is about to, is not on that list.
        """
        secrets, number = self._keys.secrets, state.head.number + 1
        inception = self._host.get("access", numbered(0)) or b""
        listed = writing.newest_list(self._host, secrets.owner, inception)
        if listed is None or (renew and not secrets.authority):
            raise DeviceError(
                "owner-log-contended",
                f"found something that is no entry wherever entry {number} may lie: a listed device puts it there",
                hint="revoke that device with one that may, or take your id back with 'waykeep keys recover'",
                status=409,
            )
        if renew:
            listed = KeyList(
                owner=listed.owner,
                number=listed.number + 1,
                devices=tuple(key for key in listed.devices if key in after.devices or key not in state.known),
                writers=tuple(key for key in listed.writers if key in after.writers or key not in state.known),
                callers=listed.callers,
                rotations=listed.rotations,
            )
            try:
                envelope = dsse.sign(KEY_LIST_TYPE, encode_json(listed), secrets.authority_key)
                self._host.put_key_list(listed.number, envelope)
            except WaykeepError as error:
                if error.rule not in ("name-taken", "key-list-skips"):
                    raise
        return entries.beside(number, len(listed.rotations), listed.number)

    def _done(self, state: OwnerState, item: Waiting) -> int | None:
        """The number of the entry that says the same, by this device, and was not there when this one was made."""
        own = {self._keys.secrets.device_key.public}
        if self._keys.secrets.authority:
            own.add(self._keys.secrets.authority_key.public)
        for signer, entry, _ in reversed(state.entries[item.after :]):
            if signer in own and entry.body == item.body:
                return entry.number
        return None

    def _signer(self, body: Body) -> SigningKey:
        secrets = self._keys.secrets
        return secrets.authority_key if isinstance(body, _BY_AUTHORITY) else secrets.device_key

    def _require_in_force(self, state: OwnerState, body: Body, waiting: int) -> None:
        """The authority adds the first device after a rotation; all else a device does."""
        secrets = self._keys.secrets
        by_authority = secrets.authority and secrets.authority_key.public == state.authority
        if isinstance(body, DeviceAdded) and by_authority and not state.devices:
            return
        if secrets.device_key.public not in state.devices:
            raise revoked(waiting)

    def _seen(self) -> int:
        """The number of the newest entry that this device has seen."""
        known = self.chain.remembered()
        return 0 if known is None else known.number


def _withheld(found: str) -> DeviceError:
    return DeviceError(
        "entry-withheld",
        f"ALARM: {found}. What you decided is kept on this device and not in force",
        hint="'waykeep witness stop' stops all spends at your witness, whatever the host does; then ask its operator",
        status=502,
    )
