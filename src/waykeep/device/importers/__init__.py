"""Importers: the bytes of somebody else's recording become the tables of Waykeep's streams.

An importer is a pure function from one file's bytes; what it makes is the same for every importer, and stands here.
"""

from __future__ import annotations

import msgspec
import pyarrow as pa


class Refusal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One entry that was not taken.

    Attributes:
        index: The entry's place in the file, from 0.
        key: The entry's key as its recorder named it; empty when it has none that may be shown.
        rule: Stable name of the rule that refused.
        reason: What was found and what was expected. May name a time, never a place or a user id.
    """

    index: int
    key: str
    rule: str
    reason: str


class Imported(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What an importer made of one file.

    Attributes:
        tables: The rows kept, per stream, in exactly the columns of `waykeep.formats.streams.schema`, sorted by
            (``ts_ms``, ``write_ms``), each such key once. A stream without rows is not there.
        entries: How many entries the file holds: those kept and those refused.
        kept: How many were kept, per stream.
        refused: The others, in the order of the file.
    """

    tables: dict[str, pa.Table]
    entries: int
    kept: dict[str, int]
    refused: tuple[Refusal, ...]
