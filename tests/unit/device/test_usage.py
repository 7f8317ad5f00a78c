"""Who used my data: what records sum up to, one outcome for each request."""

from __future__ import annotations

import msgspec
import pytest

from tests.unit.authority.entries import BITS, BUNDLE, HOLDER, a_debit, a_run, an_outcome
from tests.unit.builders import NOW_MS, key, refused
from waykeep.authority import dsse
from waykeep.authority.records import RECEIPT_TYPE, Detail, Receipt, RunDone, Spent
from waykeep.device.usage import OWN, By, Use, summed
from waykeep.formats.ids import OwnerId, sha256
from waykeep.formats.messages import Head
from waykeep.formats.wire import encode_json

STATE_KEY = key("a state key")
RECEIPT = Receipt(
    owner=OwnerId("a" * 52),
    run_id="r" * 22,
    algorithm=BUNDLE,
    parameters={},
    approval=6,
    owner_head=Head(6, sha256(b"head")),
    inputs={},
    from_ms=NOW_MS,
    to_ms=NOW_MS + 1000,
    rows_in={},
    rows_out=0,
    result=sha256(b"result"),
    time_ms=NOW_MS,
    measurements={},
    epochs_missing=(),
)


def signed(detail: RunDone | Spent, failed: str = "", after_ms: int = 0) -> Detail:
    """With a receipt of its own."""
    receipt = msgspec.structs.replace(RECEIPT, failed=bool(failed), time_ms=NOW_MS + after_ms)
    envelope = dsse.sign(RECEIPT_TYPE, encode_json(receipt), STATE_KEY).decode()
    found = msgspec.structs.replace(detail, receipt=envelope, time_ms=NOW_MS + after_ms)
    if isinstance(found, Spent) and failed:
        return msgspec.structs.replace(found, failed=failed, rows_in={}, rows_out=0)
    return found


DEBIT = a_debit(7)
LATE, LATER = signed(an_outcome(), "run-late", after_ms=1), signed(an_outcome(), "run-crashed", after_ms=2)
DONE = signed(an_outcome(), after_ms=3)


def uses(*details: Detail, by: By = "holder") -> list[Use]:
    return summed(list(details), [STATE_KEY.public], by)


@pytest.mark.parametrize("details", [(DONE,), (LATE, DONE), (LATE, LATER, DONE), (LATE, DONE, LATER)], ids=len)
def test_a_request_that_failed_and_then_succeeded_is_one_that_succeeded(details: tuple[Detail, ...]) -> None:
    (use,) = uses(DEBIT, *details)
    assert (use.of, use.times, use.failed, use.bits) == (HOLDER.public, 1, 0, BITS)
    assert (use.rows_read, use.rows_given, use.last_ms) == (3, 1, NOW_MS + 3)
    assert isinstance(DONE, Spent) and use.receipts == (sha256(DONE.receipt.encode()),)


def test_a_request_that_failed_twice_is_one_that_failed() -> None:
    (use,) = uses(DEBIT, LATE, LATER)
    assert (use.times, use.failed, use.rows_read, use.bits) == (1, 1, 0, BITS)


def test_two_requests_are_two() -> None:
    other = msgspec.structs.replace(DEBIT, request_id=an_outcome("other").request_id)
    (use,) = uses(DEBIT, LATE, other, signed(an_outcome("other"), after_ms=2), DONE)
    assert (use.times, use.failed, use.bits, len(use.receipts)) == (2, 0, 2 * BITS, 2)


def test_a_holder_cannot_hide_a_run_of_the_owners_behind_its_id() -> None:
    run = msgspec.structs.replace(a_run(), run_id=DEBIT.request_id)
    found = {use.of: use.times for use in uses(signed(run), DEBIT, DONE)}
    assert found == {OWN: 1, HOLDER.public: 1}


def test_the_receipt_of_a_failure_is_checked_as_well() -> None:
    assert isinstance(LATE, Spent)
    forged = msgspec.structs.replace(LATE, receipt=dsse.sign(RECEIPT_TYPE, encode_json(RECEIPT), HOLDER).decode())
    with refused("signer-unknown"):
        uses(DEBIT, DONE, forged)
