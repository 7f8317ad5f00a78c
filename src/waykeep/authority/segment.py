"""Signing and sealing a segment: what every writer does, on a phone, in an importer and in a user cloud."""

from __future__ import annotations

from waykeep.authority import dsse
from waykeep.authority.keys import SigningKey
from waykeep.formats import agefile, segment
from waykeep.formats.segment import SEGMENT_TYPE, SegmentHeader
from waykeep.formats.wire import encode_json


def seal(header: SegmentHeader, parquet: bytes, writer: SigningKey) -> bytes:
    """The age file of a segment, to the recipient that its header names."""
    envelope = dsse.sign(SEGMENT_TYPE, encode_json(header), writer)
    return agefile.seal(segment.join(envelope, parquet), [header.recipient])
