"""A holder's key file, and the receipt of what a holder was given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.support.people import refused
from tests.unit.builders import A_DIGEST, key
from waykeep.authority import dsse
from waykeep.authority.asking import Ask, Spend
from waykeep.authority.records import RECEIPT_TYPE, Receipt
from waykeep.device import holder
from waykeep.device.holder import SALT_BYTES, HolderKey
from waykeep.formats import agefile, results
from waykeep.formats.ids import OwnerId, b64, sha256
from waykeep.formats.messages import GrantedRows, Head, Value
from waykeep.formats.wire import encode_json

OWNER = OwnerId("o" * 52)
SALT = b"s" * SALT_BYTES
ROWS: list[dict[str, Value]] = [{"rows": 10}, {"rows": 11}]
ASKED = Spend("r" * 22, 8, A_DIGEST, {"exact": True, "radius": 1}, Ask(from_ms=1000, to_ms=2000))


# -- key files ---------------------------------------------------------------------------------------------------------


def test_a_key_is_made_once_and_for_its_owner_s_eyes(tmp_path: Path) -> None:
    file = tmp_path / "key"
    made = holder.make(file)
    assert holder.make(file) == holder.load(file) == made
    assert file.stat().st_mode & 0o777 == 0o600
    assert holder.make(tmp_path / "other") != made
    agefile.parse_recipient(made.recipient)


def test_a_key_file_that_is_missing_or_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="No such file") as caught:
        holder.load(tmp_path / "none")
    assert "waykeep grant key --file" in str(getattr(caught.value, "hint", ""))
    for path in (tmp_path / "none", tmp_path):
        with refused("holder-key-missing", "device"):
            holder.load(path)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"not JSON",
        b"{}",
        encode_json(HolderKey(b"x" * 31, agefile.generate()[0])),
        encode_json(HolderKey(b"", agefile.generate()[0])),
        encode_json(HolderKey(b"x" * 32, "AGE-SECRET-KEY-1X")),
        encode_json(HolderKey(b"x" * 32, agefile.generate()[1])),
        encode_json({"seed": b"x" * 32, "identity": agefile.generate()[0], "more": 1}),
    ],
    ids=range(8),
)
def test_a_file_that_is_no_holder_s_key_is_left_as_it_is(data: bytes, tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_bytes(data)
    for read in (holder.load, holder.make):
        with refused("holder-key-malformed", "device"):
            read(file)
    assert file.read_bytes() == data


def test_what_is_printed_of_a_key_says_nothing(tmp_path: Path) -> None:
    made = holder.make(tmp_path / "key")
    assert repr(made) == str(made) == "HolderKey(...)"


# -- receipts ----------------------------------------------------------------------------------------------------------


def given(rows: list[dict[str, Value]] = ROWS, request_id: str = ASKED.request_id, **changes: Any) -> GrantedRows:
    """Rows with the receipt of ``ASKED``; ``changes`` replace its fields before it is signed."""
    receipt = Receipt(
        owner=OWNER,
        run_id=ASKED.request_id,
        algorithm=ASKED.digest,
        parameters={**ASKED.parameters, "mode": "fast"},
        approval=ASKED.grant,
        owner_head=Head(9, A_DIGEST),
        inputs={"location": ("ts_ms",)},
        from_ms=1000,
        to_ms=2000,
        rows_in={"location": 50},
        rows_out=len(ROWS),
        result=sha256(SALT + results.result_digest_bytes(ROWS)),
        time_ms=1,
        measurements={},
        epochs_missing=(),
    )
    said = msgspec.structs.replace(receipt, **changes)
    return GrantedRows(request_id, rows, {}, dsse.sign(RECEIPT_TYPE, encode_json(said), key("state")), b64(SALT), False)


def test_a_receipt_that_fits() -> None:
    assert holder.check(given(), ASKED, OWNER).rows_out == 2


@pytest.mark.parametrize(
    "found",
    [
        given(owner=OwnerId("x" * 52)),
        given(run_id="x" * 22),
        given(request_id="x" * 22),
        given(request_id="x" * 22, run_id="x" * 22),
        given(algorithm=sha256(b"another")),
        given(approval=9),
        given(from_ms=999),
        given(to_ms=2001),
        given(parameters={"exact": True, "radius": 2}),
        given(parameters={"exact": True}),
        given(parameters={"exact": 1, "radius": 1}),
        given(parameters={"exact": True, "radius": True}),
        given(rows=ROWS[:1]),
        given(rows=[*reversed(ROWS)]),
        given(rows=[{"rows": 10}, {"rows": 12}]),
        given(rows_out=3),
        given(result=A_DIGEST),
        given(failed=True),
    ],
    ids=range(18),
)
def test_a_receipt_of_something_else_is_refused(found: GrantedRows) -> None:
    with refused("receipt-mismatch", "device"):
        holder.check(found, ASKED, OWNER)
