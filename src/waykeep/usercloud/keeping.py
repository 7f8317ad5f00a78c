"""Keeping a result in its owner's vault, as a derived segment."""

from __future__ import annotations

import secrets

import pyarrow as pa

from waykeep.authority import segment
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.plans import ReadPlan
from waykeep.authority.records import SegmentEntry
from waykeep.formats import manifest as manifests
from waykeep.formats import results, table
from waykeep.formats.ids import sha256
from waykeep.formats.manifest import Manifest
from waykeep.formats.segment import SegmentHeader
from waykeep.usercloud import derived
from waykeep.usercloud.cloud import Cloud
from waykeep.vault import segments
from waykeep.vault.segments import Segment


def keep(
    cloud: Cloud, log: OwnerState, plan: ReadPlan, store_as: str, manifest: Manifest, rows: list[results.Row]
) -> SegmentEntry:
    """Put a result into the store, durably, before the record that names it; unnamed ones are swept away.

    Args:
        log: Under which the plan was made.
    """
    epoch = cloud.keys.epochs[max(cloud.keys.epochs)]
    names = [field.name for field in manifest.output.fields]
    kept = pa.table({name: pa.array([row[name] for row in rows], _arrow(manifest, name)) for name in names})
    parquet = table.to_parquet(kept)
    header = SegmentHeader(
        owner=cloud.owner,
        kind="derived",
        stream=store_as,
        epoch=epoch.number,
        number=cloud.next_derived(),
        recipient=epoch.recipient,
        payload=sha256(parquet),
        payload_length=len(parquet),
        rows=kept.num_rows,
        source="derived",
    )
    name = f"{secrets.token_hex(16)}.age"
    derived.put(cloud.store, cloud.owner, name, segment.seal(header, parquet, cloud.state_key))
    found = Segment(header, cloud.state_key.public, kept)
    window = (plan.from_ms, plan.to_ms)
    return segments.entry(name, found, kept.num_rows, window=window, made_under=log.head.number)


def _arrow(manifest: Manifest, name: str) -> pa.DataType:
    domain = next(f.domain for f in manifest.output.fields if f.name == name)
    if isinstance(domain, manifests.Integer):
        return pa.int64()
    return pa.bool_() if isinstance(domain, manifests.Boolean) else pa.string()
