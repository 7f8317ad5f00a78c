"""A witness's folder: its key, made once, and that one process works in it."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from waykeep.authority.keys import SigningKey
from waykeep.errors import WitnessError

NAME = "witness-key"
LOCK = "lock"


def make_folder(folder: Path) -> None:
    """A folder of its user's alone, durable with those above it that were missing.

    Raises:
        WitnessError: ``witness-folder``.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in reversed(missing):
            sync(path.parent)
    except OSError as error:
        raise _unusable(error) from None


def only_one(folder: Path) -> int:
    """A lock on a folder, held while its descriptor is open. Raises: WitnessError: ``witness-running``."""
    try:
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise _unusable(error) from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise WitnessError(
            "witness-running", "another witness uses this folder", hint="end it, or give another --state"
        ) from None
    return lock


def release(lock: int) -> None:
    os.close(lock)


def load(folder: Path, seed: bytes) -> SigningKey:
    """The witness's key, which is durable before anybody sees its public half.

    Args:
        seed: 32 random bytes, for the first time.

    Raises:
        WitnessError: ``witness-key-damaged``.
    """
    path = folder / NAME
    try:
        if not path.exists():
            staging = path.with_suffix(".new")
            with open(staging, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
                file.write(seed)
                file.flush()
                os.fsync(file.fileno())
            os.replace(staging, path)
        sync(folder)  # also where somebody made it who died before this
        found = path.read_bytes()
    except OSError as error:
        raise _unusable(error) from None
    if len(found) != 32:
        raise WitnessError(
            "witness-key-damaged",
            "found a witness's key that has not 32 bytes",
            hint=f"put back {NAME} from a copy; with another key it is another witness, to which owners have to move",
        )
    return SigningKey(found)


def sync(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _unusable(error: OSError) -> WitnessError:
    return WitnessError(
        "witness-folder",
        f"cannot use the witness's folder ({os.strerror(error.errno or 0)})",
        hint="name a folder that you may write to, on a disk that has room",
    )
