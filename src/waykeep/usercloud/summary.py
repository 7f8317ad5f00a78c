"""What a user cloud holds, in numbers: the answer to a device's request for its status."""

from __future__ import annotations

from collections.abc import Collection

from waykeep.authority.journal import JournalState
from waykeep.authority.ownerlog import OwnerState
from waykeep.authority.statements import SegmentEntry
from waykeep.formats.messages import Status, StreamStatus
from waykeep.formats.streams import MAX_TS_MS, MIN_TS_MS
from waykeep.vault import segments


def summarise(log: OwnerState, journal: JournalState, epochs: Collection[int]) -> Status:
    """The status; ``epochs`` are those whose secrets are at hand."""
    names = sorted({line.stream for line in journal.segments.values()})
    # What a read of all times would take: a result that a later one superseded is not counted.
    by_stream = {name: segments.select(journal.segments, name, MIN_TS_MS, MAX_TS_MS) for name in names}
    used = {line.epoch for line in journal.segments.values()}
    return Status(
        owner=log.owner,
        streams=tuple(_stream(stream, lines) for stream, lines in by_stream.items() if lines),
        runs=len(journal.runs),
        approvals=len(log.approvals),
        journal=journal.head,
        owner_head=log.head,
        epochs=tuple(sorted(epochs)),
        epochs_missing=tuple(sorted(used - set(epochs))),
    )


def _stream(stream: str, lines: list[SegmentEntry]) -> StreamStatus:
    return StreamStatus(
        stream=stream,
        segments=len(lines),
        rows=sum(line.rows_new for line in lines),
        first_ms=min(line.first_ms for line in lines),
        last_ms=max(line.last_ms for line in lines),
    )
