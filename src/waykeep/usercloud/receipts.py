"""Receipts: what ran on the owner's data, signed by the state key."""

from __future__ import annotations

import secrets

import msgspec

from waykeep.authority import dsse
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.plans import ReadPlan
from waykeep.authority.records import RECEIPT_TYPE, Receipt
from waykeep.formats import results
from waykeep.formats.ids import Digest, b64, sha256
from waykeep.formats.messages import Value
from waykeep.formats.wire import encode_json
from waykeep.usercloud.cloud import Cloud

SALT_BYTES = 16


class Made(msgspec.Struct, frozen=True):
    """What came of a run or read.

    Attributes:
        rows: Of an algorithm. tables: Of a read: per stream an Arrow IPC stream.
        rows_in: Per stream how many rows left the vault. rows_out: How many came out.
        measured: The measurements of all code involved, by part.
        failed: The rule by which nothing came of it, or empty.
    """

    rows: list[results.Row]
    tables: dict[str, bytes]
    rows_in: dict[str, int]
    rows_out: int
    epochs_missing: tuple[int, ...]
    measured: dict[str, str]
    failed: str = ""


class Done(msgspec.Struct, frozen=True):
    """A receipt, its envelope, and the salt that opens its commitment to the rows."""

    receipt: Receipt
    envelope: bytes
    salt: str


def done(
    cloud: Cloud,
    log: OwnerState,
    run_id: str,
    algorithm: Digest | None,
    parameters: dict[str, Value],
    entry: int,
    plan: ReadPlan,
    made: Made,
    time_ms: int,
) -> Done:
    """The signed receipt of a run or read under an approval or grant.

    Args:
        entry: The number of the approval's or grant's entry.
    """
    salt = secrets.token_bytes(SALT_BYTES)
    receipt = Receipt(
        owner=cloud.owner,
        run_id=run_id,
        algorithm=algorithm,
        parameters=parameters,
        approval=entry,
        owner_head=log.head,
        inputs=plan.inputs,
        from_ms=plan.from_ms,
        to_ms=plan.to_ms,
        rows_in=made.rows_in,
        rows_out=made.rows_out,
        result=sha256(salt + results.result_digest_bytes(made.rows, made.tables)),
        time_ms=time_ms,
        measurements=made.measured,
        epochs_missing=made.epochs_missing,
        level=plan.level,
        step_ms=plan.step_ms,
        areas=len(plan.areas),
        failed=bool(made.failed),
    )
    return Done(receipt, dsse.sign(RECEIPT_TYPE, encode_json(receipt), cloud.state_key), b64(salt))
