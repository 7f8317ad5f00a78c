"""What an owner is shown before they agree: what the code is, what changed since the last version, what it comes to."""

from __future__ import annotations

from contextlib import suppress

from waykeep.algorithm.describe import describe
from waykeep.algorithm.difference import difference, tell
from waykeep.authority.permissions import Approved, Granted
from waykeep.cli import output
from waykeep.device import telling
from waykeep.device.account import Account
from waykeep.device.approvals import require
from waykeep.device.hostclient import HostClient
from waykeep.errors import DeviceError, WaykeepError
from waykeep.formats import bundle as bundles
from waykeep.formats.bundle import Bundle
from waykeep.formats.ids import Digest


def fetch(device: Account, digest: Digest, elsewhere: str = "") -> Bundle:
    """The bundle of a digest, from the owner's host, or else from another one; then the owner's host gets it as well.

    Raises: DeviceError: ``bundle-changed``; HostError: As the hosts refuse.
    """
    try:
        found = bundles.load(device.host.bundle(digest))
    except WaykeepError as error:
        if error.status != 404 or not elsewhere:
            raise
        client = HostClient(elsewhere)
        try:
            archive = client.bundle(digest)
        finally:
            client.close()
        found = bundles.load(archive)
        require(found, digest)
        device.host.put_bundle(digest, archive)
    require(found, digest)
    return found


def told(device: Account, found: Bundle | None, allowed: Approved | Granted) -> str:
    """All of it, in plain words."""
    parts = [] if found is None else [describe(found), changes(device, found)]
    return "\n".join([*filter(None, parts), "What you would agree to", telling.consent(allowed)])


def changes(device: Account, found: Bundle) -> str:
    """What is other than in the version that the owner allowed last; empty where there is none at hand."""
    digest = _allowed_before(device, found)
    if digest is None:
        return ""
    with suppress(WaykeepError):  # a host may have dropped it; then there is nothing to compare
        before = bundles.load(device.host.bundle(digest))
        if before.digest == digest:
            return tell(difference(before, found))
    return "You allowed another version of it before; your host does not show that one any more.\n"


def _allowed_before(device: Account, found: Bundle) -> Digest | None:
    for _, entry, _ in reversed(device.log().entries):
        body = entry.body
        named = isinstance(body, Approved | Granted) and body.name.rpartition(" ")[0] == found.manifest.name
        if isinstance(body, Approved | Granted) and named and body.algorithm not in (None, found.digest):
            return body.algorithm
    return None


def agree(text: str, question: str, *, yes: bool, from_elsewhere: bool = False) -> None:
    """Ask, unless ``yes``. What was typed counts as agreed to without a terminal, what came from elsewhere does not.

    Raises: DeviceError: ``not-agreed``.
    """
    if yes:
        return
    if not (output.confirmed if from_elsewhere else output.agreed)(text, question):
        hint = "look at it at a terminal, or say --yes" if from_elsewhere else ""
        raise DeviceError("not-agreed", "you did not agree; nothing was changed", hint=hint)
