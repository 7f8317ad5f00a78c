"""Uids of processes: a user cloud's is the same each time, an algorithm's is fresh."""

from __future__ import annotations

import os
from pathlib import Path

from waykeep.errors import SupervisorError
from waykeep.formats.ids import OwnerId, parse_owner_id

CLOUD_BASE = 1_000_000_000
ALGORITHM_BASE = 1_500_000_000
_SPAN = 400_000_000


class Uids:
    """Hands out uids. Owners' are kept in a file that only grows: the owner in line n has uid base + n.

    Args:
        path: The file; its folder exists.

    Raises:
        FormatError: ``owner-id-malformed``. SupervisorError: ``uids-damaged``.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)  # the file's own name has to last as well
        finally:
            os.close(folder)
        text = path.read_bytes()
        whole = text[: text.rfind(b"\n") + 1]
        if len(whole) != len(text):  # a line cut by a crash was never handed out
            os.ftruncate(self._file, len(whole))
        lines = whole.decode("ascii", "replace").splitlines()
        self._owners = {parse_owner_id(line): n for n, line in enumerate(lines)}
        if len(self._owners) != len(lines):
            raise SupervisorError("uids-damaged", "found an owner twice in the file of uids")
        self._length = len(whole)
        self._next = 0

    def of_owner(self, owner: OwnerId) -> int:
        """The uid of an owner's user cloud, durable before it is used.

        Raises:
            SupervisorError: ``uids-used-up``, ``uids-failed`` (503) when the file takes no line; nothing is handed out.
        """
        if owner not in self._owners:
            if len(self._owners) >= _SPAN:
                raise SupervisorError("uids-used-up", "found no uid left for another owner on this node", status=503)
            self._append(owner.encode() + b"\n")
            self._owners[owner] = len(self._owners)
        return CLOUD_BASE + self._owners[owner]

    def _append(self, line: bytes) -> None:
        try:
            # What a failure before this left would be a line too many, and move every owner after it.
            os.ftruncate(self._file, self._length)
            written = os.write(self._file, line)
            os.fsync(self._file)
        except OSError as error:
            raise _failed(os.strerror(error.errno or 0)) from None
        if written != len(line):
            raise _failed("it was cut")
        self._length += len(line)

    def fresh(self) -> int:
        """A uid that no process of this supervisor has had for the last 400 million."""
        self._next = (self._next + 1) % _SPAN
        return ALGORITHM_BASE + self._next

    def close(self) -> None:
        os.close(self._file)


def claim_home(store: Path, owner: OwnerId, uids: Uids | None) -> int | None:
    """Give the owner's folder in the store to their user cloud's uid, or to none where there are no ``uids``.

    The store is the host's: a link in its place is not followed.

    Raises:
        SupervisorError: ``owner-unknown``; and as `Uids.of_owner` does.
    """
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        home = os.open(store / "owners" / owner, flags)
    except OSError:
        raise SupervisorError(
            "owner-unknown",
            "found no folder of this owner in the store",
            hint="register the owner first",
            status=404,
        ) from None
    try:
        if uids is None:
            return None
        uid = uids.of_owner(owner)
        os.fchown(home, uid, -1)
        return uid
    finally:
        os.close(home)


def _failed(why: str) -> SupervisorError:
    return SupervisorError(
        "uids-failed", f"the file of uids takes no line ({why})", hint="look at the node's disk", status=503
    )
