"""Taking an owner id back on an empty machine, with the two secrets on paper and what any host has.

What is done, in this order, so that a repetition after a crash at any point goes on and nobody is ever stuck:

1. New keys and a new paper are made, the paper is shown, and then the keys are kept here. Before that nothing depends
   on either; a machine that dies here leaves the old paper as good as it was.
2. The host takes a key list with the public rotation: from now on it takes puts of this device only. Another machine
   can begin anew with the old paper, since the log does not hold the rotation yet; what it shows then is the new paper.
3. Logs and secrets are read with the opening secret. All secrets lie at the host for the new paper before the log turns
   to it.
4. The owner log takes the rotation. From now on the new paper is the one that counts, and both its secrets are enough.
5. This device and its writer are added, new log keys named, a new epoch begun; the key list says the same as the log.
6. The witness is told, which takes the rotation whatever it holds; where it is down, any later command tells it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import chain
from typing import NamedTuple, NoReturn

import msgspec

from waykeep.authority import controls, dsse, ownerlog
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.statements import (
    KEY_LIST_TYPE,
    AuthorityRotated,
    DeviceAdded,
    KeyList,
    RecipientsNamed,
    WriterAdded,
)
from waykeep.device import epochs, files, handing, upkeep, witnesses, writing
from waykeep.device.account import Account
from waykeep.device.chain import beside
from waykeep.device.handing import Bundle
from waykeep.device.heads import log_rewound, remember
from waykeep.device.hostclient import HostClient
from waykeep.device.keyring import Keyring
from waykeep.device.keystore import Lock, Secrets
from waykeep.device.owner import Paper
from waykeep.device.paper import Staged, begin, staged
from waykeep.device.profile import Folder, Profile
from waykeep.errors import AuthorityError, DeviceError, FormatError, WaykeepError
from waykeep.formats import agefile
from waykeep.formats.ids import OwnerId, numbered
from waykeep.formats.wire import MIB, encode_json

ATTEMPTS = 8


class Recovered(NamedTuple):
    """What came of it.

    Attributes:
        number: Of the rotation's entry.
        untold: Why the witness does not know of it yet, or empty.
        void: Addresses of witnesses that it made void and that could not be told.
    """

    number: int
    untold: str
    void: tuple[str, ...]


def recover(
    folder: Folder,
    profile: Profile,
    lock: Lock,
    paper: Callable[[], Paper],
    name: str,
    *,
    void_from: int | None = None,
    show: Callable[[Paper], None],
    clock: Callable[[], int],
) -> Recovered:
    """Take the id back; a repetition in the same folder goes on where it was cut off, and asks for no paper.

    Args:
        paper: Gives the two secrets of the paper in force.
        void_from: Entries from this number on have no effect.
        show: Shows the new paper, before anything depends on it.

    Raises:
        DeviceError: ``paper-mismatch``, ``paper-used``, ``opening-secret-mismatch``, ``folder-in-use``.
        AuthorityError: ``rotating-secret-malformed``. HostError.
    """
    if not (folder.recovering.exists() and folder.keystore.exists()):
        begin(folder, profile, lock, paper(), name, void_from, show)
    ring = Keyring(folder, lock)
    under_way = staged(folder, ring.secrets)
    host = HostClient(profile.host, profile.owner, ring.secrets.device_key)
    try:
        _list_keys(host, ring.secrets, under_way, folder)
        _restore(host, ring, under_way, folder)
    finally:
        host.close()
    with Account(folder, lock, clock) as account:
        return _turn(account, under_way)


def _list_keys(host: HostClient, secrets: Secrets, staged: Staged, folder: Folder) -> None:
    """Have the host take puts by this device, and by no other."""
    owner, device, writer = secrets.owner, secrets.device_key.public, secrets.writer_key.public
    inception = host.get("access", numbered(0)) or b""
    for _ in range(ATTEMPTS):
        number = int(host.names("access")[-1])
        listed = writing.newest_list(host, owner, inception)
        if listed is not None and listed.rotations == staged.rotations and device in listed.devices:
            return
        if listed is not None and listed.pending and listed.rotations and listed.rotations == staged.rotations[:-1]:
            # Were it told of this rotation, the host would take no other paper any more, and the log takes none of it.
            _forget(folder)
            raise DeviceError(
                "paper-unconfirmed",
                "found a paper of a recovery that was cut off, which your log may not hold yet",
                hint="take the paper before it, or repeat the recovery on the machine where it was begun; where the "
                "paper before is refused as used, this one is taken after that",
                status=409,
            )
        wanted = KeyList(owner, number + 1, (device,), (writer,), rotations=staged.rotations, pending=True)
        try:
            host.put_key_list(number + 1, dsse.sign(KEY_LIST_TYPE, encode_json(wanted), secrets.authority_key))
            return
        except WaykeepError as error:
            if error.rule == "key-list-rotation":  # a newer paper has rotated since
                _forget(folder)
                raise _used() from None
            if error.rule not in ("name-taken", "key-list-skips"):
                raise
    raise DeviceError("key-list-contended", "found the key list ahead of this device each time", hint="try again")


def _restore(host: HostClient, ring: Keyring, staged: Staged, folder: Folder) -> None:
    """Log and epoch secrets, from what lies at the host for the paper; and leave them for the new paper."""
    if not ring.secrets.logs:
        _read(host, ring, staged, folder)
    recipient = agefile.recipient_of(ring.secrets.logs[-1])
    if handing.name_of(recipient) not in host.names("keys"):
        bundle = Bundle(ring.secrets.logs, ring.secrets.epochs)
        host.put("keys", handing.name_of(recipient), handing.seal(bundle, (recipient, ring.secrets.recovery_recipient)))


def _read(host: HostClient, ring: Keyring, staged: Staged, folder: Folder) -> None:
    bundles = []
    for name in host.names("keys"):
        if name.startswith("log-") and name.count("-") == 1:
            try:
                bundles.append(handing.open_(host.get("keys", name) or b"", [staged.opening]))
            except FormatError:
                continue
    found = tuple(dict.fromkeys(secret for bundle in bundles for secret in bundle.logs))
    readers = (*found, staged.opening)
    mismatch = DeviceError(
        "opening-secret-mismatch",
        "found an opening secret that does not open this owner's log",
        hint="begin again with the right one; if a recovery was cut off, that of the paper before",
    )
    try:
        log, whole = _read_log(host, ring.secrets.owner, found, staged.opening)
    except FormatError as error:
        if error.rule != "age-not-ours":
            raise
        _forget(folder)
        raise mismatch from None
    if len(log.rotations) >= len(staged.rotations):
        _give_up(host, ring.secrets, folder, log)
    if not whole:
        _forget(folder)
        raise mismatch
    secrets = {n: s for bundle in bundles for n, s in bundle.epochs.items()}
    for number, epoch in log.epochs.items():
        if agefile.recipient_of(secrets.get(str(number), "") or found[0]) != epoch.recipient:
            secrets[str(number)] = epochs.find(host, readers, number, epoch.recipient)
    kept = {number: secret for number, secret in secrets.items() if secret}
    # The newest last; it is named once the log has the rotation.
    logs = (*found, agefile.generate()[0])
    ring.change(lambda before: msgspec.structs.replace(before, logs=logs, epochs=kept))


def _read_log(host: HostClient, owner: OwnerId, found: tuple[str, ...], opening: str) -> tuple[OwnerState, bool]:
    """The owner log up to where nothing is an entry of it, and whether the paper goes with it up to there.

    It does where it gave the log secret that was named last: then what follows is no entry, and not one for others.
    """
    state: OwnerState | None = None
    while True:
        number = 0 if state is None else state.head.number + 1
        data = host.get("owner-log", numbered(number))
        if data is None:
            break
        secrets = _readers(state, found, opening)
        after: OwnerState | None = None
        for other in chain((data,), (other for _, other in beside(host, number))):
            try:
                envelope = agefile.open_(other, secrets, limit=MIB, what="an owner-log entry")
                after = ownerlog.begin(owner, envelope) if state is None else ownerlog.fold(state, [envelope])
                break
            except (AuthorityError, FormatError):
                if state is None:
                    raise
        if after is None:
            break
        state = after
    if state is None:
        raise log_rewound("the host shows no entry of this owner's log")
    newest = state.recipients[-1].log if state.recipients else ""
    return state, newest in {agefile.recipient_of(secret) for secret in found}


def _readers(state: OwnerState | None, found: tuple[str, ...], opening: str) -> tuple[str, ...]:
    """The secrets with which a device reads the next entry, and no other: one for the paper alone is no entry."""
    entries = () if state is None else state.entries
    named = {entry.body.log for _, entry, _ in entries if isinstance(entry.body, RecipientsNamed)}
    return tuple(s for s in found if not named or agefile.recipient_of(s) in named) or (opening,)


def _turn(account: Account, staged: Staged) -> Recovered:
    secrets, name = account.keys.secrets, staged.name
    turned = controls.rotation(secrets.control_key, secrets.control_salt, staged.next_control)
    body = AuthorityRotated(staged.rotations[-1], turned, staged.void_from)
    # A thief may have led it on, or taken it over for good: the id comes first.
    account.witness.loud = False
    with account.unfinished():
        log = account.log()
        if len(log.rotations) < len(staged.rotations):
            account.owner_log.append(body)
            log = account.log()
        for key, kept, added in (
            (secrets.device_key.public, log.devices, DeviceAdded(secrets.device_key.public, name)),
            (
                secrets.writer_key.public,
                log.writers,
                WriterAdded(secrets.writer_key.public, f"importer on {name}", "imported"),
            ),
        ):
            if key not in kept:
                account.owner_log.append(added)
        log = account.upkeep.mend()
    held = account.witness.tell(log)
    if held is not None and held.journal is not None:
        remember(account.folder, journal=held.journal)
    void = witnesses.rotate_void(account, log)
    files.remove(account.folder.recovering)
    return Recovered(log.rotated, "" if account.witness.untold is None else account.witness.untold.rule, void)


def _give_up(host: HostClient, secrets: Secrets, folder: Folder, log: OwnerState) -> NoReturn:
    """The log holds a rotation by this paper: have the host list what the log says, and keep nothing.

    Not what it listed before: that may be of another try, with a rotation that no log holds.
    """
    number, authority = int(host.names("access")[-1]) + 1, secrets.authority_key
    if log.authority == authority.public:
        said = upkeep.listed(log, number)
        host.put_key_list(number, dsse.sign(KEY_LIST_TYPE, encode_json(said), authority))
    _forget(folder)
    raise _used()


def _used() -> DeviceError:
    return DeviceError(
        "paper-used",
        "found a paper that took this id back already; the one that was shown just now is void",
        hint="use the paper that was shown when this one took the id back",
        status=409,
    )


def _forget(folder: Folder) -> None:
    files.remove(folder.recovering)
    folder.discard()
