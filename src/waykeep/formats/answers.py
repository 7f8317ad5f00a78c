"""What a holder gets, in a length that tells nothing: padded to the most that could have come.

    4 bytes   length of the frame, big endian
    n bytes   the frame, MessagePack
    p bytes   zero bytes up to the size

For an algorithm the size follows from its manifest, for a read from the columns and the number of rows that the grant
allows. Encryption (age) adds the same to the same length.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence

import pyarrow as pa

from waykeep.errors import FormatError
from waykeep.formats import streams
from waykeep.formats.bundle import MANIFEST, Bundle
from waykeep.formats.manifest import max_result_bytes
from waykeep.formats.wire import MIB

PAPERS = 16 << 10
"""Bytes for the receipt and the rest, beside what grows with manifest or columns."""
MAX_ANSWER = 64 * MIB
_TEXT = 64
_LENGTH = struct.Struct(">I")


def of_algorithm(bundle: Bundle) -> int:
    """Bytes of an answer of a run."""
    return PAPERS + 4 * len(bundle.files[MANIFEST]) + max_result_bytes(bundle.manifest)


def of_read(inputs: Mapping[str, Sequence[str]], rows: int) -> int:
    """Bytes of an answer of a read of at most so many rows of each stream.

    Raises: FormatError: ``read-unbounded`` for a stream whose rows have no largest size, or more than `MAX_ANSWER`.
    """
    size = PAPERS
    for stream, columns in inputs.items():
        if stream.startswith("json/"):
            raise _unbounded()
        size += 4096 + sum(512 + rows * _width(stream, column) for column in columns)
    if size > MAX_ANSWER:
        raise _unbounded()
    return size


def pad(frame: bytes, size: int) -> bytes:
    """Raises: FormatError: ``answer-too-large``."""
    if _LENGTH.size + len(frame) > size:
        raise FormatError("answer-too-large", "found an answer over the largest that was declared")
    return (_LENGTH.pack(len(frame)) + frame).ljust(size, b"\0")


def unpad(data: bytes) -> bytes:
    """Raises: FormatError: ``malformed``."""
    length = _LENGTH.unpack_from(data)[0] if len(data) >= _LENGTH.size else -1
    if not 0 <= length <= len(data) - _LENGTH.size:
        raise FormatError("malformed", "found an answer that is cut off")
    return data[_LENGTH.size : _LENGTH.size + length]


def _width(stream: str, column: str) -> int:
    """Bytes of a value, with what says whether it is there."""
    if streams.is_derived(stream):
        return _TEXT
    names = streams.schema(stream)
    kind = names.field(column).type if column in names.names else pa.string()
    return _TEXT if pa.types.is_dictionary(kind) or pa.types.is_string(kind) else kind.bit_width // 8 + 1


def _unbounded() -> FormatError:
    return FormatError(
        "read-unbounded",
        "found a read whose answer has no largest size, or one that is too large",
        hint="ask for columns of recorded streams, and for fewer rows",
    )
