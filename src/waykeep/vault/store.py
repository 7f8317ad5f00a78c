"""A store in a local directory whose acknowledged writes are durable.

A put is create-only: the bytes go to a file without a name (``O_TMPFILE``), are synced, get their name with one
``linkat`` (which fails if it is taken), and the directory is synced. So after ``kill -9`` or power loss at any
instruction what was acknowledged is there, nothing half-written is visible, and no staging file is left. Object stores
(S3) will stand behind the same methods, through obstore; its local store neither syncs nor is free of staging files
(``docs/adr/0003``).
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import BinaryIO

from waykeep.errors import VaultError
from waykeep.formats.ids import ROOMS
from waykeep.formats.segment import MAX_SEGMENT

MAX_OBJECT = MAX_SEGMENT
"""The largest object that is read, in bytes."""
_FLAGS = os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC


class DirectoryStore:
    """Objects under a root folder; keys are ``/``-joined names that `waykeep.formats.ids` made.

    Args:
        root: The folder, which exists.
    """

    def __init__(self, root: Path) -> None:
        self._root = root

    def put_new(self, key: str, data: bytes) -> bool:
        """Put an object under a new name; it is durable when this returns.

        Returns:
            True if it is new, False if the very same bytes lay there already (a retry).

        Raises:
            VaultError: ``name-taken`` (409) when other bytes lie there, ``store-failed`` (503).
        """
        path = self._root / key
        try:
            directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise _failed(error) from None
        try:
            new = self._link(directory, path, data)
            os.fsync(directory)
        except OSError as error:
            raise _failed(error) from None
        finally:
            os.close(directory)
        return new

    def _link(self, directory: int, path: Path, data: bytes) -> bool:
        staging = os.open(path.parent, _FLAGS, 0o644)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(staging, view) :]
            os.fsync(staging)
            # With a directory descriptor os.link calls linkat(AT_SYMLINK_FOLLOW), which names the open file itself.
            os.link(f"/proc/self/fd/{staging}", path.name, dst_dir_fd=directory)
            return True
        except FileExistsError:
            if not _holds(path, data):
                raise VaultError("name-taken", "found other bytes under this name", status=409) from None
            return False
        finally:
            os.close(staging)

    def get(self, key: str) -> bytes:
        """Raises: VaultError: ``object-missing`` (404), ``object-too-large`` (413), ``store-failed`` (503)."""
        try:
            with _open(self._root / key) as file:
                if not _regular(file):
                    raise VaultError("object-missing", "found something under this name that is no file", status=404)
                data = file.read(MAX_OBJECT + 1)
                if len(data) > MAX_OBJECT:
                    raise VaultError("object-too-large", f"found an object over {MAX_OBJECT} bytes", status=413)
                return data
        except (FileNotFoundError, NotADirectoryError):
            raise VaultError("object-missing", "found no object of this name", status=404) from None
        except OSError as error:
            raise _failed(error) from None

    def names(self, prefix: str, after: str = "", limit: int = 1000) -> list[str]:
        """Names directly under ``prefix``, ascending, greater than ``after``; none if there is no such folder."""
        try:
            found = os.listdir(self._root / prefix)
        except (FileNotFoundError, NotADirectoryError):
            return []
        except OSError as error:
            raise _failed(error) from None
        return sorted(name for name in found if name > after)[:limit]

    def delete(self, key: str) -> None:
        """Delete an object, durably; a missing one is no error. Raises: VaultError: ``store-failed`` (503)."""
        path = self._root / key
        try:
            with contextlib.suppress(FileNotFoundError):
                path.unlink()
            self._sync(path.parent)
        except OSError as error:
            raise _failed(error) from None

    def sync(self, prefix: str) -> None:
        """Make names directly under ``prefix`` durable that somebody put who may have died, or failed, before it was.

        Raises:
            VaultError: ``store-failed`` (503).
        """
        try:
            self._sync(self._root / prefix)
        except OSError as error:
            raise _failed(error) from None

    def create_shared(self) -> None:
        """Make the folders that are no owner's, durably."""
        for name in ("bundles", "studies", "stopped", "members"):
            (self._root / name).mkdir(exist_ok=True)
        self._sync(self._root)

    def create_members(self, study: str) -> None:
        """Make the folder of a study's members, durably."""
        (self._root / "members" / study).mkdir(exist_ok=True)
        self._sync(self._root / "members")

    def create_owner(self, owner: str) -> None:
        """Make an owner's folders, durably.

        A user cloud has a uid of its own; its folder admits that uid and the host's group.
        """
        home = self._root / "owners" / owner
        made = [self._root / "owners", home, *(home / room for room in ROOMS)]
        for path in made:
            path.mkdir(exist_ok=True)
            # Below `home`, whose own mode keeps everybody else out, both host and user cloud write.
            mode = 0o777 if path.parent == home else 0o770 if path == home else 0o711
            # Not only where it was made: whoever made it may have died before this.
            if stat.S_IMODE(path.stat().st_mode) != mode:
                path.chmod(mode)
        # The rooms too: their names lie in `home`, their modes do not.
        for path in (*reversed(made), self._root):
            self._sync(path)

    @staticmethod
    def _sync(path: Path) -> None:
        directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)


def _open(path: Path) -> BinaryIO:
    # Whoever shares the folder could have put a link or a pipe there: neither is followed, nor waited for.
    return open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb")


def _regular(file: BinaryIO) -> bool:
    return stat.S_ISREG(os.fstat(file.fileno()).st_mode)


def _holds(path: Path, data: bytes) -> bool:
    """Whether a file holds just these bytes; they are durable then, as whoever put them may have died too early."""
    with _open(path) as file:
        if not _regular(file) or file.read(len(data) + 1) != data:
            return False
        os.fsync(file.fileno())
        return True


def _failed(error: OSError) -> VaultError:
    name = os.strerror(error.errno) if error.errno else "unknown"
    return VaultError("store-failed", f"the store does not take or give an object ({name})", status=503)
