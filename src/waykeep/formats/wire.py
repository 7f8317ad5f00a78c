"""Strict decoding: bytes from outside become frozen types once, bounded, and unknown fields are refused."""

from __future__ import annotations

import contextlib
import struct
from collections.abc import Iterable
from typing import TypeVar

import msgspec

from waykeep.errors import FormatError

T = TypeVar("T")

MIB = 1 << 20
MAX_JSON = MIB
"""The largest JSON body, in bytes, that any server or client decodes unless it says otherwise."""
MAX_FRAME = 4 * MIB
"""The largest frame between the processes of one node, in bytes."""
_LENGTH = struct.Struct(">I")


def bounded(data: bytes, limit: int, what: str) -> bytes:
    """Raises: FormatError: ``too-large`` (413) when ``data`` is longer than ``limit`` bytes."""
    if len(data) > limit:
        raise FormatError("too-large", f"found {what} of {len(data)} bytes, at most {limit} are taken", status=413)
    return data


def decode_json(data: bytes, kind: type[T], *, limit: int = MAX_JSON, what: str = "a body") -> T:
    """Decode JSON into a frozen type.

    Raises:
        FormatError: ``too-large``, ``malformed``. The message names the field's path, never its value.
    """
    bounded(data, limit, what)
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError("malformed", f"found {what} that does not fit: {_reason(error)}") from None


def decode_frame(data: bytes, kind: type[T], *, limit: int = MAX_FRAME, what: str = "a frame") -> T:
    """Decode MessagePack into a frozen type. Raises as `decode_json` does."""
    bounded(data, limit, what)
    try:
        return msgspec.msgpack.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise FormatError("malformed", f"found {what} that does not fit: {_reason(error)}") from None


def learn(kinds: Iterable[type] | None = None) -> None:
    """Learn how all frozen types are spelled, which else is done when the first of each comes: half a millisecond each.

    For a process that forks: what it has learned its children know.

    Args:
        kinds: Types, each with those that inherit from it; all that were imported by default.
    """
    for kind in msgspec.Struct.__subclasses__() if kinds is None else kinds:
        if kind.__module__.startswith("waykeep"):
            with contextlib.suppress(TypeError):  # a generic one, which is spelled by those that inherit from it
                msgspec.json.Decoder(kind)
        learn(kind.__subclasses__())


def _reason(error: Exception) -> str:
    if not isinstance(error, msgspec.ValidationError):
        return "it cannot be parsed"
    text = str(error)
    # In these msgspec quotes names and values from outside, which may hold anything, even what looks like a path.
    for start in ("Object contains unknown field", "Invalid value", "Invalid enum value"):
        if text.startswith(start):
            return start[0].lower() + start[1:]
    return text[0].lower() + text[1:]


def encode_json(value: object) -> bytes:
    return msgspec.json.encode(value)


def encode_frame(value: object) -> bytes:
    """A frame: four bytes of length (big endian), then MessagePack.

    Raises:
        FormatError: ``too-large``.
    """
    body = bounded(msgspec.msgpack.encode(value), MAX_FRAME, "a frame")
    return _LENGTH.pack(len(body)) + body


def frame_length(prefix: bytes) -> int:
    """The length in bytes that a frame's four-byte prefix announces, bounded before anything is read.

    Raises:
        FormatError: ``too-large``, ``malformed``.
    """
    if len(prefix) != _LENGTH.size:
        raise FormatError("malformed", "found a frame cut in its length")
    length: int = _LENGTH.unpack(prefix)[0]
    if length > MAX_FRAME:
        raise FormatError("too-large", f"found a frame of {length} bytes, at most {MAX_FRAME} are taken", status=413)
    return length
