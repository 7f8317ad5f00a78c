"""What may lie packed inside other bytes: compressed streams, Parquet files and base64, at any offset.

Nothing here is trusted to be what its first bytes promise: random data begins a zlib stream every 16 KiB, and what
comes out of that is rubbish that ends in an error. Whatever came out before the error is handed on.

Found are gzip (RFC 1952), zlib (RFC 1950, with the 32 KiB window that everybody uses), Zstandard (RFC 8878), LZ4
frames, Parquet, and base64 (RFC 4648, plain and URL-safe, in one line or wrapped). Not found are formats without a
recognisable beginning: a bare DEFLATE or Brotli stream, and base64 of less than 24 bytes (for which canaries bring
base64 patterns of their own).
"""

from __future__ import annotations

import binascii
import contextlib
import io
import re
import zlib
from collections.abc import Iterator
from typing import Any, Literal, Protocol, TypeAlias, cast

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

Form: TypeAlias = Literal["gzip", "zlib", "zstd", "lz4", "parquet", "base64"]

_MAGICS: dict[Form, bytes] = {
    "gzip": b"\x1f\x8b\x08",
    "zstd": b"\x28\xb5\x2f\xfd",
    "lz4": b"\x04\x22\x4d\x18",
    "parquet": b"PAR1",
    "zlib": b"\x78",
}
MAGIC_BYTES = 4

_ZLIB_FLAGS = np.zeros(256, np.bool_)
_ZLIB_FLAGS[[0x01, 0x5E, 0x9C, 0xDA]] = True

_STEP = 1 << 16
_BLOCK = 1 << 18
"""Bytes searched at a time: the intermediate arrays stay in the processor's cache."""

_PARQUET_ENDS = 8
"""How many later `PAR1` are tried as the end of a file that begins with one: one may stand inside it by chance."""

_BASE64 = re.compile(rb"[A-Za-z0-9+/_-]{32,}(?:\r?\n[A-Za-z0-9+/_-]+)*")
_STANDARD = bytes.maketrans(b"-_", b"+/")
_BASE64_CLASS = np.zeros(256, np.bool_)
_BASE64_CLASS[list(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_")] = True


class Source(Protocol):
    """Bytes that can be read in pieces: a file, a region of memory, or a buffer (`waykeep.demo.places`)."""

    size: int

    @property
    def lost(self) -> int:
        """How many of the bytes asked for so far could not be read."""

    def read(self, offset: int, length: int) -> bytes:
        """The bytes from `offset`, at most `length` of them, fewer only at the end or where they cannot be had."""


class Unpacked(msgspec.Struct, frozen=True):
    """What came out of one packed stream.

    Attributes:
        part: Which part of the stream, such as a column; empty where it has none.
        data: The bytes.
        left_out: Why it is not all of the stream, empty if it is.
        used: Bytes of the source that need not be looked at again for the same form.
    """

    part: str
    data: bytes
    left_out: str = ""
    used: int = 0


def find(data: bytes, limit: int) -> list[tuple[int, Form]]:
    """Where something may begin that is packed: (offset, form), offsets below `limit`, in their order."""
    view = np.frombuffer(data, np.uint8)
    found: list[tuple[int, Form]] = []
    for start in range(0, min(limit, len(view) - 1), _BLOCK):
        block = view[start : min(start + _BLOCK, limit) + 1]
        found += ((start + at, form) for at, form in _magics(block) if data.startswith(_MAGICS[form], start + at))
    end = 0
    for first, last in _base64_likely(view):
        end = max(end, first - 3)
        while match := _BASE64.search(data, end, last + 4):
            end = cast(re.Match[bytes], _BASE64.match(data, match.start())).end()
            if match.start() < limit:
                found.append((match.start(), "base64"))
    return sorted(found)


def _magics(view: npt.NDArray[np.uint8]) -> Iterator[tuple[int, Form]]:
    """Where the first two bytes of a magic are, one byte before the end of `view` at the latest."""
    zlibs = np.flatnonzero(view[:-1] == _MAGICS["zlib"][0])
    yield from ((at, "zlib") for at in zlibs[_ZLIB_FLAGS[view[zlibs + 1]]].tolist())
    for form, magic in _MAGICS.items():
        if form != "zlib":
            hits = np.flatnonzero((view[:-1] == magic[0]) & (view[1:] == magic[1]))
            yield from ((at, form) for at in hits.tolist())


def unpack(source: Source, offset: int, form: Form, limit: int) -> Iterator[Unpacked]:
    """Takes a stream apart that `find` found.

    Args:
        source: What holds it.
        offset: Where it begins.
        form: What it seems to be.
        limit: Bytes that may come out of it; when there would be more, the rest is `left_out`.
    """
    if form == "parquet":
        yield from _parquet(source, offset, limit)
    elif form == "base64":
        yield from _base64(source, offset, limit)
    elif form in ("gzip", "zlib"):
        yield _deflate(source, offset, 31 if form == "gzip" else 15, limit)
    else:
        yield _frames(source, offset, form, limit)


def _deflate(source: Source, offset: int, window: int, limit: int) -> Unpacked:
    stream = zlib.decompressobj(window)
    out = bytearray()
    # The first look is short, because what begins by chance ends within a few bytes.
    step = 1 << 9
    while not stream.eof and len(out) <= limit and (packed := stream.unconsumed_tail or source.read(offset, step)):
        if not stream.unconsumed_tail:
            offset += len(packed)
            step = _STEP
        before = stream.copy()
        try:
            out += stream.decompress(packed, limit + 1 - len(out))
        except zlib.error:
            out += _until_error(before, packed, limit + 1 - len(out))
            break
    return _bounded("", bytes(out), limit)


def _until_error(stream: Any, packed: bytes, limit: int) -> bytes:
    """What a damaged piece still gives; zlib throws that away when the piece is handed over as a whole."""
    out = bytearray()
    with contextlib.suppress(zlib.error):
        for position in range(len(packed)):
            out += stream.decompress(packed[position : position + 1])
            if len(out) > limit:
                break
    return bytes(out[:limit])


def _frames(source: Source, offset: int, codec: str, limit: int) -> Unpacked:
    """Zstandard and LZ4; pyarrow drops the piece in which an error is met, so that piece is read again in bytes."""
    out = bytearray()
    piece = _STEP
    while True:
        stream = pa.CompressedInputStream(pa.PythonFile(_Cursor(source, offset), mode="r"), codec)
        try:
            if out:
                stream.read(len(out))
            while len(out) <= limit and (data := stream.read(piece)):
                out += data
            break
        except OSError:
            if piece == 1:
                break
            piece = 1
    return _bounded("", bytes(out), limit)


def _parquet(source: Source, start: int, limit: int) -> Iterator[Unpacked]:
    # A file is magic, columns, footer, its length, magic; page headers and footers begin with field 1, an i32, which
    # is 0x15 in Thrift. What does not go on like this is the magic at the end of a file, or there by chance.
    if source.read(start + 4, 1) != b"\x15":
        return
    head = source.read(start, limit)
    end = 4
    for _ in range(_PARQUET_ENDS):
        end = head.find(b"PAR1", end) + 4
        if end == 3:
            break
        footer = int.from_bytes(head[end - 8 : end - 4], "little")
        if 0 < footer <= end - 12 and head[end - 8 - footer] == 0x15:
            try:
                yield from _columns(pq.ParquetFile(io.BytesIO(head[:end])), limit)
                return
            except (OSError, pa.ArrowException):
                continue
    yield Unpacked("", b"", "begins like Parquet, has no readable end")


def _columns(file: pq.ParquetFile, limit: int) -> Iterator[Unpacked]:
    for group in range(file.metadata.num_row_groups):
        if file.metadata.row_group(group).total_byte_size > limit:
            yield Unpacked(f"row group {group}", b"", "larger than the limit")
            continue
        table = file.read_row_group(group, use_threads=False)
        for name, column in zip(table.column_names, table.columns, strict=True):
            for data in _serialise(column.combine_chunks()):
                yield _bounded(f"column {name}", data, limit)


def _serialise(column: Any) -> Iterator[bytes]:
    """A column's values side by side, in the byte order of this machine; texts a line each."""
    if pa.types.is_dictionary(column.type):
        column = column.dictionary_decode()
    column = column.drop_null()
    if _is_text(column.type):
        yield b"\n".join(column.cast(pa.large_binary()).to_pylist())
        return
    yield from (buffer.to_pybytes() for buffer in column.buffers() if buffer)
    if pa.types.is_int64(column.type):
        yield from _serialise(column.cast(pa.int32(), safe=False))


def _is_text(kind: Any) -> bool:
    return kind in (pa.string(), pa.large_string(), pa.binary(), pa.large_binary())


def _base64(source: Source, offset: int, limit: int) -> Iterator[Unpacked]:
    length = 1 << 10
    match = _BASE64.match(source.read(offset, length))
    while match and match.end() == length and length < limit:
        length *= 4
        match = _BASE64.match(source.read(offset, length))
    if match is None:
        return
    text = match.group().translate(_STANDARD, b"\r\n")
    left_out = "longer than the limit" if match.end() == length else ""
    # What stands before the base64 may be of the same alphabet, so any of four characters can be the first.
    for first in range(4):
        rest = text[first:] if (len(text) - first) % 4 != 1 else text[first:-1]
        yield Unpacked("", binascii.a2b_base64(rest + b"=" * (-len(rest) % 4)), left_out, match.end())


def _base64_likely(view: npt.NDArray[np.uint8]) -> list[tuple[int, int]]:
    """Stretches (first, last byte) that contain every run of 32 characters or more; one byte in four is looked at."""
    inside = _BASE64_CLASS.take(view[::4], mode="clip")
    count = len(inside) - 6
    if count <= 0:
        return []
    runs = np.zeros(count + 2, np.int8)
    runs[1:-1] = inside[:count]
    for step in range(1, 7):
        runs[1:-1] &= inside[step : step + count]
    edges = np.diff(runs)
    firsts, ends = np.flatnonzero(edges == 1) * 4, np.flatnonzero(edges == -1) * 4 + 24
    return list(zip(firsts.tolist(), ends.tolist(), strict=True))


def _bounded(part: str, data: bytes, limit: int) -> Unpacked:
    return Unpacked(part, data) if len(data) <= limit else Unpacked(part, data[:limit], "longer than the limit")


class _Cursor:
    """A source as a file for pyarrow."""

    closed = False

    def __init__(self, source: Source, offset: int) -> None:
        self._source, self._offset = source, offset

    def read(self, length: int) -> bytes:
        data = self._source.read(self._offset, length)
        self._offset += len(data)
        return data

    def close(self) -> None:
        self.closed = True
