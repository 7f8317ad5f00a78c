"""A receipt is of the run that was asked for and of the rows that came, or the result is not to be used."""

from __future__ import annotations

import msgspec
import pytest

from tests.support.people import refused
from waykeep.authority import dsse
from waykeep.authority.keys import SigningKey
from waykeep.authority.records import HEAD_TYPE, RECEIPT_TYPE, Receipt
from waykeep.device.receipts import check_receipt, open_receipt
from waykeep.formats import results
from waykeep.formats.ids import OwnerId, b64, sha256
from waykeep.formats.messages import Head, Run, RunResult
from waykeep.formats.wire import encode_json

STATE_KEY, STRANGER = SigningKey(b"s" * 32), SigningKey(b"x" * 32)
OWNER, OTHER = OwnerId("a" * 52), OwnerId("b" * 52)
SALT = bytes(range(16))
ROWS: list[results.Row] = [{"start_ms": 1, "mode": "walk", "gap": False}, {"start_ms": 2, "mode": "ride", "gap": True}]
ASKED = Run("r" * 22, sha256(b"bundle"), {"radius": 100, "strict": True}, 1000, 2000, 3000)
RECEIPT = Receipt(
    owner=OWNER,
    run_id=ASKED.run_id,
    algorithm=ASKED.digest,
    parameters={"radius": 100, "strict": True, "pace": "slow"},
    approval=6,
    owner_head=Head(6, sha256(b"head")),
    inputs={"location": ("ts_ms",)},
    from_ms=1000,
    to_ms=2000,
    rows_in={"location": 10},
    rows_out=2,
    result=sha256(SALT + results.result_digest_bytes(ROWS)),
    time_ms=3000,
    measurements={},
    epochs_missing=(),
)


def result(receipt: Receipt = RECEIPT, rows: list[results.Row] = ROWS, salt: bytes = SALT) -> RunResult:
    signed = dsse.sign(RECEIPT_TYPE, encode_json(receipt), STATE_KEY)
    return RunResult(rows, signed, b64(salt), {}, head=b"")


def check(found: RunResult, asked: Run = ASKED) -> Receipt:
    return check_receipt(found, asked, OWNER, STATE_KEY.public)


def test_a_receipt_of_the_run_is_taken() -> None:
    # It also names the default of a parameter that was not asked for.
    assert check(result()) == RECEIPT


@pytest.mark.parametrize(
    "changes",
    [
        {"owner": OTHER},
        {"run_id": "s" * 22},
        {"algorithm": sha256(b"another bundle")},
        {"parameters": {"radius": 101, "strict": True}},
        {"parameters": {"radius": 100}},
        {"parameters": {"radius": 100, "strict": 1}},
        {"parameters": {}},
        {"from_ms": 999},
        {"to_ms": 2001},
        {"time_ms": 3001},
        {"rows_out": 1},
        {"rows_out": 3},
        {"result": sha256(results.result_digest_bytes(ROWS))},
        {"result": sha256(b"")},
    ],
    ids=str,
)
def test_a_receipt_that_says_otherwise(changes: dict[str, object]) -> None:
    with refused("receipt-mismatch", "device"):
        check(result(msgspec.structs.replace(RECEIPT, **changes)))


@pytest.mark.parametrize(
    "asked",
    [
        msgspec.structs.replace(ASKED, run_id="s" * 22),
        msgspec.structs.replace(ASKED, digest=sha256(b"another bundle")),
        msgspec.structs.replace(ASKED, parameters={"pace": "fast"}),
        msgspec.structs.replace(ASKED, parameters={"more": 1}),
        msgspec.structs.replace(ASKED, to_ms=1999),
    ],
    ids=["run", "algorithm", "parameter", "one more parameter", "window"],
)
def test_a_receipt_of_another_run_that_was_really_made(asked: Run) -> None:
    with refused("receipt-mismatch", "device"):
        check(result(), asked)


@pytest.mark.parametrize(
    "rows",
    [
        [],
        ROWS[:1],
        ROWS[::-1],
        [*ROWS, ROWS[0]],
        [ROWS[0], ROWS[1] | {"start_ms": 3}],
        [ROWS[0], ROWS[1] | {"gap": 1}],
        [ROWS[0], {"start_ms": 2, "mode": "ride"}],
    ],
    ids=["none", "one less", "order", "one more", "a value", "a type", "a field less"],
)
def test_rows_that_the_receipt_does_not_commit_to(rows: list[results.Row]) -> None:
    with refused("receipt-mismatch", "device"):
        check(result(rows=rows))


def test_another_salt_does_not_open_the_commitment() -> None:
    with refused("receipt-mismatch", "device"):
        check(result(salt=bytes(16)))


@pytest.mark.parametrize("salt", ["", "A" * 21, "A" * 23, "A" * 20 + "=="])
def test_a_salt_malformed(salt: str) -> None:
    with refused("base64-malformed", "format"):
        check(msgspec.structs.replace(result(), salt=salt))


def test_a_receipt_by_another_key() -> None:
    signed = dsse.sign(RECEIPT_TYPE, encode_json(RECEIPT), STRANGER)
    with refused("signer-unknown", "authority"):
        check(msgspec.structs.replace(result(), receipt=signed))
    for keys in ([], [STATE_KEY.public]):
        with refused("signer-unknown", "authority"):
            open_receipt(signed, keys)


def test_a_statement_of_another_type_is_no_receipt() -> None:
    signed = dsse.sign(HEAD_TYPE, encode_json(RECEIPT), STATE_KEY)
    with refused("statement-type", "authority"):
        check(msgspec.structs.replace(result(), receipt=signed))


def test_a_receipt_with_an_unknown_field() -> None:
    more = msgspec.to_builtins(RECEIPT) | {"more": 1}
    signed = dsse.sign(RECEIPT_TYPE, encode_json(more), STATE_KEY)
    with refused("malformed", "format"):
        check(msgspec.structs.replace(result(), receipt=signed))
