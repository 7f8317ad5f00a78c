"""Checking a run's receipt, by the owner alone.

From the envelope, the rows and the state key that the owner log names.
"""

from __future__ import annotations

from waykeep.authority import dsse
from waykeep.authority.records import RECEIPT_TYPE, Receipt
from waykeep.errors import DeviceError
from waykeep.formats import results
from waykeep.formats.ids import OwnerId, PublicKey, sha256, unb64
from waykeep.formats.messages import Run, RunResult
from waykeep.formats.wire import decode_json

SALT_BYTES = 16


def open_receipt(envelope: bytes, keys: list[PublicKey]) -> Receipt:
    """Raises: AuthorityError when no key of ``keys`` signed it."""
    return decode_json(dsse.open_(envelope, RECEIPT_TYPE, keys).payload, Receipt, what="a receipt")


def check_receipt(result: RunResult, asked: Run, owner: OwnerId, state_key: PublicKey) -> Receipt:
    """The receipt of a run, which must say what was asked and commit to the rows that came.

    Raises:
        DeviceError: ``receipt-mismatch``; AuthorityError for its signature.
    """
    receipt = open_receipt(result.receipt, [state_key])
    fits = (
        receipt.owner == owner
        and receipt.run_id == asked.run_id
        and receipt.algorithm == asked.digest
        and receipt.time_ms == asked.time_ms
        and asked.from_ms in (None, receipt.from_ms)
        and asked.to_ms in (None, receipt.to_ms)
        # repr(): True == 1, and a run with one was not a run with the other.
        and all(repr(receipt.parameters.get(name)) == repr(value) for name, value in asked.parameters.items())
        and receipt.rows_out == len(result.rows)
        and receipt.result == sha256(unb64(result.salt, SALT_BYTES) + results.result_digest_bytes(result.rows))
    )
    if not fits:
        raise DeviceError(
            "receipt-mismatch", "found a receipt that is not of this run and these rows", hint="do not use the result"
        )
    return receipt
