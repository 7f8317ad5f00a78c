"""The plaintext of a segment: a signed header, then Parquet, then padding.

Layout, before age encrypts it (``docs/spec.md``)::

    8 bytes   magic "WKSEG1\\n\\0"
    4 bytes   length of the envelope, big endian
    n bytes   DSSE envelope of the segment header (`SegmentHeader`)
    m bytes   Parquet, as long as the header says
    p bytes   zero bytes up to a Padme length

Padme (Nikitin et al., PETS 2019, "Reducing Metadata Leakage from Encrypted Files") rounds a length so that it tells at
most O(log log n) bits, for at most 12 % of overhead.
"""

from __future__ import annotations

import struct
from typing import Annotated

import msgspec

from waykeep.errors import FormatError
from waykeep.formats.ids import Digest, OwnerId
from waykeep.formats.messages import Number

MAX_SEGMENT = 16 << 20
"""The largest segment at rest, in bytes."""
MAX_ROWS = 2_000_000
"""The most rows of one segment."""
SEGMENT_TYPE = "application/vnd.waykeep.segment+json"
_MAGIC = b"WKSEG1\n\0"
_LENGTH = struct.Struct(">I")
_MAX_ENVELOPE = 8192


class SegmentHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a writer signs of a segment. age does not tell who encrypted, this does.

    Attributes:
        owner: Whose data it is.
        kind: ``recorded`` by a phone or importer, or ``derived`` by a user cloud.
        stream: See `waykeep.formats.streams`.
        epoch: Number of the epoch it is encrypted to.
        number: The writer's own count of its segments, from 0.
        recipient: The epoch's public recipient.
        payload: Digest of the Parquet bytes.
        payload_length: Their length in bytes.
        rows: Number of rows.
        source: Who or what recorded it: ``signed`` by the phone itself, or ``imported`` from a source that cannot sign.
    """

    owner: OwnerId
    kind: str
    stream: str
    epoch: Number
    number: Number
    recipient: str
    payload: Digest
    payload_length: Annotated[int, msgspec.Meta(ge=0, le=MAX_SEGMENT)]
    rows: Annotated[int, msgspec.Meta(ge=0, le=MAX_ROWS)]
    source: str = "signed"


def padme(length: int) -> int:
    """The Padme length that ``length`` is rounded up to."""
    if length < 2:
        return length
    exponent = length.bit_length() - 1
    zero_bits = exponent - exponent.bit_length()
    mask = (1 << zero_bits) - 1
    return (length + mask) & ~mask


def join(envelope: bytes, parquet: bytes) -> bytes:
    """The plaintext of a segment."""
    if len(envelope) > _MAX_ENVELOPE:
        raise FormatError("segment-malformed", f"found a header of {len(envelope)} bytes, at most {_MAX_ENVELOPE}")
    body = _MAGIC + _LENGTH.pack(len(envelope)) + envelope + parquet
    return body.ljust(padme(len(body)), b"\0")


def split(plaintext: bytes) -> tuple[bytes, bytes]:
    """(envelope, Parquet followed by padding) of a segment's plaintext.

    Raises:
        FormatError: ``segment-malformed``.
    """
    start = len(_MAGIC) + _LENGTH.size
    if not plaintext.startswith(_MAGIC) or len(plaintext) < start:
        raise FormatError("segment-malformed", "found a plaintext that does not begin as a segment does")
    length: int = _LENGTH.unpack(plaintext[len(_MAGIC) : start])[0]
    if length > _MAX_ENVELOPE or start + length > len(plaintext):
        raise FormatError("segment-malformed", "found a segment cut in its header")
    return plaintext[start : start + length], plaintext[start + length :]


def payload(rest: bytes, length: int) -> bytes:
    """The Parquet bytes of a segment, once its header is known. What follows must be padding and nothing else.

    Raises:
        FormatError: ``segment-malformed``.
    """
    if length > len(rest) or rest[length:].strip(b"\0"):
        raise FormatError("segment-malformed", "found a segment that is shorter or longer than its header says")
    return rest[:length]
