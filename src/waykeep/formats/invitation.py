"""Invitations: what a QR code or a link asks an owner to join, as a URI ``waykeep:join?digest=…&host=…``.

Nothing in it is believed: the study behind the digest is fetched and checked, and the owner is shown what it comes to.
"""

from __future__ import annotations

import re

import msgspec

from waykeep.errors import FormatError
from waykeep.formats.ids import Digest

SCHEME = "waykeep:join?"
_URI = re.compile(r"waykeep:join\?digest=(sha256:[0-9a-f]{64})&host=(https?://[A-Za-z0-9.\[\]:-]{1,190}/?)")


class Invitation(msgspec.Struct, frozen=True):
    """``host`` is where the study, and the bundles that it names, can be fetched."""

    digest: Digest
    host: str


def write(invitation: Invitation) -> str:
    """The URI. Raises: FormatError: As `parse`."""
    uri = f"{SCHEME}digest={invitation.digest}&host={invitation.host}"
    parse(uri)
    return uri


def parse(uri: str) -> Invitation:
    """The invitation in a URI from outside. Raises: FormatError: ``invitation-malformed``."""
    found = _URI.fullmatch(uri)
    if found is None:
        raise FormatError(
            "invitation-malformed", "found text that is no invitation", hint="ask the study's researcher for another"
        )
    return Invitation(Digest(found[1]), found[2])
