"""What a user cloud holds, in numbers: the answer to a device's request for its status."""

from __future__ import annotations

from collections.abc import Collection

from waykeep.authority.journalstate import JournalState
from waykeep.authority.ownerstate import OwnerState
from waykeep.formats.messages import Status, StreamStatus
from waykeep.vault import catalogue


def summarise(log: OwnerState, journal: JournalState, epochs: Collection[int]) -> Status:
    """The status; ``epochs`` are those whose secrets are at hand."""
    # What a read of all times would take: a result that a later one superseded is not counted.
    totals = catalogue.totals(journal).items()
    return Status(
        owner=log.owner,
        streams=tuple(StreamStatus(stream, t.segments, t.rows, t.first_ms, t.last_ms) for stream, t in totals),
        runs=catalogue.runs(journal),
        approvals=len(log.approvals),
        journal=journal.head,
        owner_head=log.head,
        epochs=tuple(sorted(epochs)),
        epochs_missing=tuple(sorted(catalogue.epochs(journal) - set(epochs))),
        learned=dict(journal.learned),
        spent={
            str(line.number): (used.runs, used.bits)
            for _, line, digest in log.entries
            if (used := journal.used.get(digest)) is not None
        },
    )
