"""Reading one owner's segments: what a read plan grants, and nothing else."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import NamedTuple

import pyarrow as pa

from waykeep.authority.permissions import Withheld
from waykeep.authority.plans import ReadPlan
from waykeep.authority.records import SegmentEntry
from waykeep.errors import UserCloudError
from waykeep.usercloud.cloud import Cloud
from waykeep.vault import catalogue, segments
from waykeep.vault.coarse import coarse
from waykeep.vault.segments import Segment


def parts(
    cloud: Cloud,
    stream: str,
    from_ms: int,
    to_ms: int,
    until: int | None = None,
    epochs: Collection[int] | None = None,
    withheld: Mapping[int, Withheld] | None = None,
) -> list[tuple[SegmentEntry, Segment]]:
    """The segments that a read needs, opened, of the epochs whose keys are at hand.

    Args:
        until: Leave out what was accepted after this record; None takes all.
        epochs: Read these alone; None takes all whose keys are at hand.
        withheld: As in `catalogue.select`.
    """
    keys, log = cloud.keys, cloud.log
    wanted = keys.epochs.keys() if epochs is None else epochs
    return [
        (line, segments.open_(cloud.store.get(f"owners/{cloud.owner}/segments/{line.name}"), log, keys.epochs))
        for line in catalogue.select(cloud.journal, stream, from_ms, to_ms, until, withheld)
        # A writer whose entry was made void never was one.
        if line.epoch in wanted and (line.kind == "derived" or line.writer in log.wrote)
    ]


class Found(NamedTuple):
    """The rows of a read, per stream; and epochs that it would have needed, and whose secrets are not at hand."""

    tables: dict[str, pa.Table]
    epochs_missing: tuple[int, ...]


def read(
    cloud: Cloud, plan: ReadPlan, until: int | None = None, epochs: Collection[int] | None = None, newest: int = 0
) -> Found:
    """What a read plan grants.

    Args:
        until, epochs: As in `parts`. newest: As in `coarse`.

    Raises:
        UserCloudError: ``epoch-locked`` when one of ``epochs`` is not at hand. And as `segments.read` does.
    """
    with cloud.lock:
        if epochs is not None and not set(epochs) <= cloud.keys.epochs.keys():
            raise UserCloudError(
                "epoch-locked",
                "found no key of an epoch that this request read before",
                hint="the owner's device hands it over when it unlocks the user cloud",
                status=409,
            )
        at_hand = cloud.keys.epochs.keys() if epochs is None else set(epochs)
        needed = {
            line.epoch
            for stream in plan.inputs
            for line in catalogue.select(cloud.journal, stream, plan.from_ms, plan.to_ms, until, plan.withheld)
        }
        tables = {}
        for stream, columns in plan.inputs.items():
            opened = parts(cloud, stream, plan.from_ms, plan.to_ms, until, epochs, plan.withheld)
            rows = segments.read(opened, cloud.owner, stream, (), plan.from_ms, plan.to_ms)
            tables[stream] = coarse(rows, stream, columns, plan, newest)
        return Found(tables, tuple(sorted(needed - at_hand)))
