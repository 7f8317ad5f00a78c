"""Receipts: what ran on the owner's data, signed by the state key."""

from __future__ import annotations

import secrets

import msgspec
import pyarrow as pa

from waykeep.authority import dsse
from waykeep.authority.approvals import ReadPlan
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.records import RECEIPT_TYPE, Receipt
from waykeep.formats import results
from waykeep.formats.ids import Digest, b64, sha256
from waykeep.formats.messages import Value
from waykeep.formats.wire import encode_json
from waykeep.usercloud import reading
from waykeep.usercloud.cloud import Cloud

SALT_BYTES = 16


class Done(msgspec.Struct, frozen=True):
    """A run that was done: rows, receipt, its envelope, and the salt that opens its commitment to the rows."""

    rows: list[results.Row]
    receipt: Receipt
    envelope: bytes
    salt: str


def done(
    cloud: Cloud,
    log: OwnerState,
    run_id: str,
    algorithm: Digest,
    parameters: dict[str, Value],
    plan: ReadPlan,
    tables: dict[str, pa.Table],
    rows: list[results.Row],
    measured: dict[str, str],
    time_ms: int,
) -> Done:
    """The signed receipt of a run under an approval or grant.

    Args:
        tables: What was read, per stream. measured: The measurements of all code involved, by part.
    """
    salt = secrets.token_bytes(SALT_BYTES)
    receipt = Receipt(
        owner=cloud.owner,
        run_id=run_id,
        algorithm=algorithm,
        parameters=parameters,
        approval=plan.approval,
        owner_head=log.head,
        inputs=plan.inputs,
        from_ms=plan.from_ms,
        to_ms=plan.to_ms,
        rows_in={stream: found.num_rows for stream, found in tables.items()},
        rows_out=len(rows),
        result=sha256(salt + results.result_digest_bytes(rows)),
        time_ms=time_ms,
        measurements=measured,
        epochs_missing=reading.missing_epochs(cloud, tuple(plan.inputs), plan.from_ms, plan.to_ms),
    )
    return Done(rows, receipt, dsse.sign(RECEIPT_TYPE, encode_json(receipt), cloud.state_key), b64(salt))
