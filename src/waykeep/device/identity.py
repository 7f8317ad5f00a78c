"""The owner's keys: what there is, a new epoch, revoking a device or a writer, nodes."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from waykeep.authority import access
from waykeep.authority.ownerstate import FOREVER, OwnerState
from waykeep.authority.statements import DeviceAdded, KeyRevoked, NodeApproved, NodeWithdrawn, WriterAdded
from waykeep.device.account import Account
from waykeep.errors import AuthorityError, DeviceError, FormatError, WaykeepError
from waykeep.formats import agefile
from waykeep.formats.ids import PublicKey, numbered, sha256, statement_name


class Line(msgspec.Struct, frozen=True):
    """One key of the owner's.

    ``here`` says whether this device holds its secret; ``until_ms`` when an epoch expires.
    """

    kind: str
    key: str
    name: str
    in_force: bool
    here: bool
    until_ms: int | None = None


# -- what there is -----------------------------------------------------------------------------------------------------


def list_keys(account: Account) -> list[Line]:
    """All keys that the owner log names, also those that were revoked."""
    log, secrets = account.upkeep.mend(), account.keys.secrets
    own, held = {secrets.device_key.public, secrets.writer_key.public}, account.keys.epochs(log)
    lines = [Line("authority", log.authority, f"{len(log.rotations)} rotations", True, bool(secrets.authority))]
    for _, entry, _ in log.entries:
        body = entry.body
        if isinstance(body, DeviceAdded):
            lines.append(Line("device", body.key, body.name, body.key in log.devices, body.key in own))
        elif isinstance(body, WriterAdded):
            lines.append(Line("writer", body.key, body.name, body.key in log.writers, body.key in own))
    for number, epoch in sorted(log.epochs.items()):
        until, newest = _expiry(account, log, number), number == max(log.epochs)
        lines.append(Line("epoch", str(number), epoch.recipient, newest, str(number) in held, until))
    for key, life in log.state_keys.items():
        lines.append(Line("user cloud", key, "state key", life.until == FOREVER and not life.void, False))
    lines += [Line("node", recipient, node.name, True, False) for recipient, node in log.nodes.items()]
    if log.witness is not None:
        lines.append(Line("witness", log.witness.key, log.witness.url, True, False))
    return lines


def _expiry(account: Account, log: OwnerState, number: int) -> int | None:
    """When an epoch expires, where its statement can be had and was signed by the authority of now."""
    statement = log.epochs[number].statement
    for name in (numbered(number), statement_name(number, statement)):
        data = account.host.get("epochs", name) or b""
        if sha256(data) == statement:
            with suppress(AuthorityError, FormatError):
                return access.epoch(log.owner, log.authority, data, number).expires_ms
    return None


# -- epochs and revocation ---------------------------------------------------------------------------------------------


def rotate(account: Account) -> int:
    """Begin a new epoch, and hand its secret to the user cloud if it can be reached; the epoch's number."""
    with account.unfinished():
        log = account.upkeep.mend()
        number = account.upkeep.open_epoch(log)
    hand_over(account)
    return number


def hand_over(account: Account) -> bool:
    """Unlock the user cloud again with the secrets of now; false where it cannot be reached."""
    account.disconnect()
    try:
        account.connect()
    except WaykeepError as error:
        if error.rule in ("journal-rewound", "owner-log-rewound"):
            raise
        return False
    return True


def find(log: OwnerState, text: str) -> PublicKey:
    """The device or writer in force that a person means, by key, beginning of a key or name.

    Raises:
        DeviceError: ``key-unknown``, ``key-ambiguous``.
    """
    named = {key: body.name for key, body in log.devices.items()}
    named |= {key: body.name for key, body in log.writers.items()}
    found = [key for key, name in named.items() if key == text] or [
        key for key, name in named.items() if name == text or (len(text) >= 6 and key.startswith(text))
    ]
    if not found:
        raise DeviceError(
            "key-unknown",
            "found no device or writer in force of this key or name",
            hint="'waykeep keys list' shows them",
        )
    if len(found) > 1:
        raise DeviceError("key-ambiguous", f"found {len(found)} keys of this name", hint="give the key itself")
    return found[0]


def revoke(account: Account, key: PublicKey) -> int:
    """Revoke a device or a writer; the entry's number. New log keys and a new epoch always follow.

    After a device every grant is used up, and the user cloud gets a new state key.

    Raises:
        DeviceError: ``key-own``; and as `OwnerLog.append`.
    """
    if key == account.keys.secrets.device_key.public:
        raise DeviceError(
            "key-own", "found this very device's key", hint="revoke it from another device, or 'waykeep keys recover'"
        )
    with account.unfinished():
        of_a_device = key in account.log().devices
        number = account.owner_log.append(KeyRevoked(key))
        if of_a_device:
            account.retire_at_witness()
        account.upkeep.mend()
    hand_over(account)
    return number


# -- nodes -------------------------------------------------------------------------------------------------------------


def approve_node(account: Account, recipient: str, name: str) -> int:
    """Allow the user cloud to wake on a node without its owner; the entry's number."""
    agefile.parse_recipient(recipient)
    log = account.log()
    if log.nodes.get(recipient) == NodeApproved(recipient, name):
        return max(e.number for _, e, _ in log.entries if e.body == log.nodes[recipient])
    return account.owner_log.append(NodeApproved(recipient, name))


def withdraw_node(account: Account, recipient: str) -> int:
    """Take that back; the entry's number. All state keys are retired with it, since one may lie sealed on that node."""
    number = account.owner_log.append(NodeWithdrawn(recipient))
    account.retire_at_witness()
    return number
