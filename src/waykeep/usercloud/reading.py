"""Reading one owner's segments: what a read plan grants, and nothing else."""

from __future__ import annotations

from collections.abc import Collection

import pyarrow as pa

from waykeep.authority.approvals import ReadPlan
from waykeep.authority.records import SegmentEntry
from waykeep.usercloud.cloud import Cloud
from waykeep.vault import catalogue, segments
from waykeep.vault.segments import Segment


def parts(
    cloud: Cloud, stream: str, from_ms: int, to_ms: int, until: int | None = None
) -> list[tuple[SegmentEntry, Segment]]:
    """The segments that a read needs, opened, of the epochs whose keys are at hand.

    Args:
        until: Leave out what was accepted after this record; None takes all.
    """
    keys, log = cloud.keys, cloud.log
    return [
        (line, segments.open_(cloud.store.get(f"owners/{cloud.owner}/segments/{line.name}"), log, keys.epochs))
        for line in catalogue.select(cloud.journal, stream, from_ms, to_ms, until)
        # A writer whose entry was made void never was one.
        if line.epoch in keys.epochs and (line.kind == "derived" or line.writer in log.wrote)
    ]


def missing_epochs(cloud: Cloud, streams: Collection[str], from_ms: int, to_ms: int) -> tuple[int, ...]:
    """Epochs whose secrets were not handed over, of segments that a read of these streams would need."""
    with cloud.lock:
        needed = {e.epoch for s in streams for e in catalogue.select(cloud.journal, s, from_ms, to_ms)}
        return tuple(sorted(needed - cloud.keys.epochs.keys()))


def read(cloud: Cloud, plan: ReadPlan, until: int | None = None) -> dict[str, pa.Table]:
    """The rows that a read plan grants, per stream. Args: until: As in `parts`. Raises as `segments.read` does."""
    with cloud.lock:
        return {
            stream: segments.read(
                parts(cloud, stream, plan.from_ms, plan.to_ms, until),
                cloud.owner,
                stream,
                columns,
                plan.from_ms,
                plan.to_ms,
            )
            for stream, columns in plan.inputs.items()
        }
