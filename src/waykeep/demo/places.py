"""Where a scan reads: buffers, files, and the memory of another process."""

from __future__ import annotations

import os
import stat
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

_GAP = bytes(16)
"""Stands between things that are looked through together, so that no pattern begins in one and ends in the next."""

_PAGE = os.sysconf("SC_PAGE_SIZE")


class Buffer:
    """Bytes at hand."""

    lost = 0

    def __init__(self, data: bytes) -> None:
        self._data, self.size = data, len(data)

    def read(self, offset: int, length: int) -> bytes:
        return self._data[offset : offset + length]


class File:
    """A regular file, read with `pread` and not mapped: a mapped file that somebody cuts short kills the reader.

    Use as a context manager.

    Raises:
        OSError: It cannot be opened.
        ValueError: It is no regular file.
    """

    lost = 0

    def __init__(self, path: Path) -> None:
        # Without O_NONBLOCK, opening a FIFO waits for somebody who writes.
        self._descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        status = os.fstat(self._descriptor)
        self.size = status.st_size
        if not stat.S_ISREG(status.st_mode):
            os.close(self._descriptor)
            raise ValueError("expected a regular file")

    def __enter__(self) -> File:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._descriptor)

    def read(self, offset: int, length: int) -> bytes:
        return os.pread(self._descriptor, length, offset)


class Memory:
    """A region of another process, through an open `/proc/PID/mem`; a page that cannot be read is zeros.

    Attributes:
        size: Bytes of the region.
        lost: Bytes of it that could not be read so far.
    """

    def __init__(self, descriptor: int, first: int, size: int) -> None:
        self._descriptor, self._first, self.size = descriptor, first, size
        self._lost: set[int] = set()

    @property
    def lost(self) -> int:
        return len(self._lost) * _PAGE

    def read(self, offset: int, length: int) -> bytes:
        end = min(offset + length, self.size)
        found = bytearray()
        while (at := offset + len(found)) < end:
            page_end = min((at // _PAGE + 1) * _PAGE, end)
            data = b""
            if at // _PAGE not in self._lost:
                try:
                    data = os.pread(self._descriptor, end - at, self._first + at)
                except OSError:
                    data = b""
            if not data:
                self._lost.add(at // _PAGE)
                data = bytes(page_end - at)
            found += data
        return bytes(found)


class Together:
    """Many small things in one buffer, so that looking through them costs only their bytes."""

    def __init__(self) -> None:
        self.data = bytearray()
        self._starts: list[int] = []
        self._places: list[str] = []

    def add(self, place: str, data: bytes) -> None:
        self._starts.append(len(self.data))
        self._places.append(place)
        self.data += data
        self.data += _GAP

    def where(self, offset: int) -> tuple[str, int]:
        """Which thing stands at an offset of the buffer, and at which of its own bytes."""
        index = bisect_right(self._starts, offset) - 1
        return self._places[index], offset - self._starts[index]


def readable_regions(maps: str) -> Iterator[tuple[int, int, str]]:
    """The regions of `/proc/PID/maps` (proc(5)) that can be read: (first address, bytes, name).

    Devices are left out, since reading one can have effects; memory shared through files in `/dev/shm` is read.
    """
    for line in maps.splitlines():
        addresses, permissions, _, _, _, *name = line.split(maxsplit=5)
        first, last = (int(address, 16) for address in addresses.split("-"))
        what = name[0] if name else "anonymous"
        if permissions.startswith("r") and (not what.startswith("/dev/") or "shm" in Path(what).parts):
            yield first, last - first, what


def entries_below(folder: Path) -> Iterator[Path]:
    """Everything below a folder, without following links.

    Raises:
        OSError: It, or a folder below it, cannot be listed.
    """

    def refuse(error: OSError) -> None:
        raise error

    for root, folders, files in os.walk(folder, onerror=refuse):
        for name in (*folders, *files):
            yield Path(root, name)
