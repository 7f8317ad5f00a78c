"""Entries of the owner log that this device made and no host has taken yet.

Each is kept, encrypted, before anything is sent, and forgotten once the log holds it. So what was decided offline, or
just before a crash, is signed on the newest head by the next command that reaches the host, once.
"""

from __future__ import annotations

import secrets as randomness
from pathlib import Path

import msgspec

from waykeep.authority.statements import Body
from waykeep.device import files
from waykeep.device.profile import Folder
from waykeep.formats import agefile
from waykeep.formats.ids import numbered
from waykeep.formats.wire import MIB, decode_json, encode_json

_SUFFIX = ".age"


class Waiting(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An entry's body, and the number of the newest entry that this device had seen when it was made."""

    body: Body
    after: int


class Pending:
    """What waits, in order.

    Args:
        secret: The age secret key that protects it.
    """

    def __init__(self, folder: Folder, secret: str) -> None:
        self._folder, self._secret = folder, secret

    def add(self, body: Body, after: int) -> Path:
        """Keep a body, durably; one that waits already is the same."""
        with self._folder.locked():
            items = self.items()
            for path, item in items:
                if item.body == body:
                    return path
            files.make_folder(self._folder.pending)
            number = int(items[-1][0].stem.partition("-")[0]) + 1 if items else 0
            # A name of its own: another command may be about to remove one that had the same number.
            path = self._folder.pending / f"{numbered(number)}-{randomness.token_hex(8)}{_SUFFIX}"
            plain = encode_json(Waiting(body, after))
            files.write(path, agefile.seal(plain, [agefile.recipient_of(self._secret)]))
            return path

    def items(self) -> list[tuple[Path, Waiting]]:
        """All that wait, oldest first."""
        files.sweep(self._folder.pending)
        found = []
        for path in sorted(self._folder.pending.glob(f"*{_SUFFIX}")):
            try:
                data = path.read_bytes()
            except FileNotFoundError:  # another command had it taken meanwhile
                continue
            plain = agefile.open_(data, [self._secret], limit=MIB, what="a pending entry")
            found.append((path, decode_json(plain, Waiting, what="a pending entry")))
        return found

    def remove(self, path: Path) -> None:
        files.remove(path)
