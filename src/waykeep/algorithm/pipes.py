"""Frames between front and child: four bytes of length (big endian), then the body, over a pipe each way.

The front to the child: `Start`, the archive, then one Arrow IPC stream for each table that `Start` names. The child to
the front: `Report` before the author's code is there, and one `Answer` after it ran. Both sides bound a frame before
they read it. The front waits with a deadline; the child just blocks, since its sandbox has no call that waits, and a
pipe whose front is gone ends.
"""

from __future__ import annotations

import os
import select
import struct
import time
from collections.abc import Callable
from typing import Annotated, Final

import msgspec

from waykeep.errors import AlgorithmError
from waykeep.formats.manifest import Value
from waykeep.formats.manifest_file import MAX_FIELDS, MAX_ROWS

MAX_START: Final = 1 << 20
"""The largest first frame, in bytes."""
MAX_TABLE: Final = 256 << 20
"""The largest table, in bytes of Arrow IPC."""
MAX_REPORT: Final = 4096

_LENGTH = struct.Struct(">I")
_CHUNK = 1 << 20
_Rule = Annotated[str, msgspec.Meta(max_length=64)]


class Report(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The sandbox's features in force, or the rule under which it could not be put on."""

    features: Annotated[tuple[_Rule, ...], msgspec.Meta(max_length=32)] = ()
    error: _Rule = ""


class Start(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One run: the approved digest, the parameters, and the streams whose tables follow, in this order."""

    digest: str
    parameters: dict[str, Value]
    tables: tuple[str, ...]


class Failure(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where an author's code failed, for the owner: a built-in exception's name, and lines of the bundle's files.

    There is no message and no value in it; the innermost line comes last.
    """

    kind: _Rule
    lines: Annotated[tuple[tuple[Annotated[str, msgspec.Meta(max_length=100)], int], ...], msgspec.Meta(max_length=16)]


class Answer(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The result's rows, or the rule that refused.

    A frame has few bytes and could announce many empty rows, each of which costs its reader much more than its byte.
    """

    rows: Annotated[
        list[Annotated[dict[str, Value], msgspec.Meta(max_length=MAX_FIELDS)]], msgspec.Meta(max_length=MAX_ROWS)
    ] = []
    error: _Rule = ""
    failure: Failure | None = None


def read_frame(descriptor: int, limit: int) -> bytearray:
    """The next frame, however long it takes.

    Raises:
        AlgorithmError: ``pipe-closed`` at the end of the pipe, ``frame-too-large`` beyond ``limit`` bytes.
    """
    return _read(descriptor, limit, _no_wait)


def write_frame(descriptor: int, body: bytes) -> None:
    """Send a frame, however long it takes.

    Raises:
        AlgorithmError: ``pipe-closed`` when nobody reads any more.
    """
    _write(descriptor, body, _no_wait)


def read_frame_until(descriptor: int, limit: int, deadline: float) -> bytearray:
    """As `read_frame`, until ``deadline`` on `time.monotonic`, and then ``pipe-timeout``."""
    return _read(descriptor, limit, lambda: _wait(descriptor, select.POLLIN, deadline))


def write_frame_until(descriptor: int, body: bytes, deadline: float) -> None:
    """As `write_frame`, until ``deadline`` on `time.monotonic`, and then ``pipe-timeout``."""
    # Ready means that one page can be written; a blocking pipe would then wait for the rest of a chunk.
    os.set_blocking(descriptor, False)
    _write(descriptor, body, lambda: _wait(descriptor, select.POLLOUT, deadline))


def read_end_until(descriptor: int, deadline: float) -> bool:
    """Whether the pipe ends without another byte, by ``deadline``; ``pipe-timeout`` if neither happens."""
    _wait(descriptor, select.POLLIN, deadline)
    return os.read(descriptor, 1) == b""


def _read(descriptor: int, limit: int, wait: Callable[[], None]) -> bytearray:
    length: int = _LENGTH.unpack(_fill(descriptor, _LENGTH.size, wait))[0]
    if length > limit:
        raise AlgorithmError(
            "frame-too-large", f"found a frame of {length} bytes, at most {limit} are taken", status=413
        )
    return _fill(descriptor, length, wait)


def _fill(descriptor: int, count: int, wait: Callable[[], None]) -> bytearray:
    buffer, at = bytearray(count), 0
    while at < count:
        wait()
        part = os.read(descriptor, min(count - at, _CHUNK))
        if not part:
            raise _closed()
        buffer[at : at + len(part)] = part
        at += len(part)
    return buffer


def _write(descriptor: int, body: bytes, wait: Callable[[], None]) -> None:
    for rest in (memoryview(_LENGTH.pack(len(body))), memoryview(body)):
        while rest:
            wait()
            try:
                rest = rest[os.write(descriptor, rest[:_CHUNK]) :]
            except BlockingIOError:
                continue
            except BrokenPipeError:
                raise _closed() from None


def _wait(descriptor: int, event: int, deadline: float) -> None:
    poll = select.poll()
    poll.register(descriptor, event)
    if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
        raise AlgorithmError("pipe-timeout", "the other side took longer than it may", status=504)


def _no_wait() -> None:
    """A blocking pipe waits by itself."""


def _closed() -> AlgorithmError:
    return AlgorithmError("pipe-closed", "the other side ended", status=502)
