"""What an owner is shown before they agree: what the code is, what changed since the last version, what it comes to."""

from __future__ import annotations

from contextlib import suppress

from waykeep.algorithm.describe import describe
from waykeep.algorithm.difference import difference, tell
from waykeep.authority.permissions import Approved, Granted
from waykeep.cli import output
from waykeep.device import proposing, telling
from waykeep.device.account import Account
from waykeep.errors import DeviceError, WaykeepError
from waykeep.formats import bundle as bundles
from waykeep.formats.bundle import Bundle


def told(device: Account, found: Bundle | None, allowed: Approved | Granted) -> str:
    """All of it, in plain words."""
    parts = [] if found is None else [describe(found), changes(device, found)]
    return "\n".join([*filter(None, parts), "What you would agree to", telling.consent(allowed)])


def changes(device: Account, found: Bundle) -> str:
    """What is other than in the version that the owner allowed last; empty where there is none at hand."""
    digest = proposing.allowed_before(device, found)
    if digest is None:
        return ""
    with suppress(WaykeepError):  # a host may have dropped it; then there is nothing to compare
        before = bundles.load(device.host.bundle(digest))
        if before.digest == digest:
            return tell(difference(before, found))
    return "You allowed another version of it before; your host does not show that one any more.\n"


def agree(text: str, question: str, *, yes: bool, from_elsewhere: bool = False) -> None:
    """Ask, unless ``yes``. What was typed counts as agreed to without a terminal, what came from elsewhere does not.

    Raises: DeviceError: ``not-agreed``.
    """
    if yes:
        return
    if not (output.confirmed if from_elsewhere else output.agreed)(text, question):
        hint = "look at it at a terminal, or say --yes" if from_elsewhere else ""
        raise DeviceError("not-agreed", "you did not agree; nothing was changed", hint=hint)
