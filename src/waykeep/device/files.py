"""Files of the device: written whole or not at all, and durable before anybody relies on them."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from waykeep.errors import DeviceError

_STAGING = ".new"


def write(path: Path, data: bytes, *, private: bool = True) -> None:
    """Replace a file. It is durable when this returns, and after a crash holds either the old bytes or the new.

    Raises:
        DeviceError: ``folder-failed``; the file then holds either as well.
    """
    staging = path.with_name(path.name + _STAGING)
    with _failing("takes no file"):
        try:
            mode = 0o600 if private else 0o644
            with open(staging, "wb", opener=lambda name, flags: os.open(name, flags, mode)) as file:
                fcntl.flock(file, fcntl.LOCK_EX)  # `sweep` leaves alone what is being written
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
                os.replace(staging, path)
        except OSError:
            with contextlib.suppress(OSError):
                staging.unlink(missing_ok=True)
            raise
        _sync(path.parent)


def remove(path: Path) -> None:
    """Remove a file, durably; a missing one is no error. Raises: DeviceError: ``folder-failed``."""
    with _failing("lets no file go"):
        path.unlink(missing_ok=True)
        _sync(path.parent)


def make_folder(path: Path) -> None:
    """Make a private folder and those above it, durably; one that is there is no error.

    Raises:
        DeviceError: ``folder-failed``.
    """
    with _failing("cannot be made"):
        missing = [folder for folder in (path, *path.parents) if not folder.exists()]
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in missing or [path]:
            _sync(folder.parent)


def sweep(folder: Path) -> None:
    """Remove what a `write` left that was cut off. Raises: DeviceError: ``folder-failed``."""
    for path in folder.glob(f"*{_STAGING}"):
        # Gone meanwhile, or locked: somebody writes it just now.
        with (
            _failing("gives no file"),
            contextlib.suppress(FileNotFoundError, BlockingIOError),
            path.open("rb") as file,
        ):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            remove(path)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def _failing(what: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        name = os.strerror(error.errno) if error.errno else "unknown"
        raise DeviceError(
            "folder-failed",
            f"this device's folder {what} ({name})",
            hint="look at the disk and its free space, then try again",
        ) from None
