"""Files of the device: written whole or not at all, and durable before anybody relies on them."""

from __future__ import annotations

import os
from pathlib import Path


def write(path: Path, data: bytes, *, private: bool = True) -> None:
    """Replace a file. It is durable when this returns, and after a crash holds either the old bytes or the new."""
    staging = path.with_name(path.name + ".new")
    with open(staging, "wb", opener=lambda name, flags: os.open(name, flags, 0o600 if private else 0o644)) as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(staging, path)
    sync(path.parent)


def remove(path: Path) -> None:
    """Remove a file, durably; a missing one is no error."""
    path.unlink(missing_ok=True)
    sync(path.parent)


def sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
