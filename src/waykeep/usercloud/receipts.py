"""Receipts: what ran on the owner's data, signed by the state key."""

from __future__ import annotations

import secrets

import msgspec

from waykeep.authority import dsse
from waykeep.authority.approvals import ReadPlan
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.records import RECEIPT_TYPE, Receipt
from waykeep.formats import results
from waykeep.formats.ids import Digest, b64, sha256
from waykeep.formats.messages import Value
from waykeep.formats.wire import encode_json
from waykeep.usercloud.cloud import Cloud
from waykeep.usercloud.reading import Found

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
    found: Found,
    rows: list[results.Row],
    measured: dict[str, str],
    time_ms: int,
) -> Done:
    """The signed receipt of a run under an approval or grant.

    Args:
        found: What was read. measured: The measurements of all code involved, by part.
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
        rows_in={stream: table.num_rows for stream, table in found.tables.items()},
        rows_out=len(rows),
        result=sha256(salt + results.result_digest_bytes(rows)),
        time_ms=time_ms,
        measurements=measured,
        epochs_missing=found.epochs_missing,
    )
    return Done(rows, receipt, dsse.sign(RECEIPT_TYPE, encode_json(receipt), cloud.state_key), b64(salt))
