"""Answers in one length, whatever came."""

from __future__ import annotations

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support import algorithms
from tests.unit.builders import points, refused
from waykeep.authority.plans import ReadPlan
from waykeep.errors import FormatError
from waykeep.formats import answers, streams, table
from waykeep.formats.messages import GrantedRows
from waykeep.vault.coarse import coarse


@given(st.binary(max_size=200), st.integers(0, 300))
def test_a_frame_comes_back_and_all_are_of_one_length(frame: bytes, more: int) -> None:
    size = len(frame) + 4 + more
    padded = answers.pad(frame, size)
    assert len(padded) == size and answers.unpad(padded) == frame


def test_answer_too_large() -> None:
    with refused("answer-too-large", FormatError):
        answers.pad(b"12345", 8)


@pytest.mark.parametrize("data", [b"", b"\0\0\0", b"\0\0\0\5abcd", b"\xff" * 10], ids=range(4))
def test_a_cut_answer(data: bytes) -> None:
    with refused("malformed", FormatError):
        answers.unpad(data)


def test_read_unbounded() -> None:
    for inputs, rows in (
        ({"json/stats": ("ts_ms",)}, 1),
        ({"location": tuple(streams.schema("location").names)}, 10**7),
    ):
        with refused("read-unbounded", FormatError):
            answers.of_read(inputs, rows)


@given(st.integers(0, 60), st.sampled_from([("ts_ms",), tuple(streams.schema("location").names), ("zone", "lat_e7")]))
def test_every_read_fits_its_size(rows: int, columns: tuple[str, ...]) -> None:
    found = coarse(points(max(rows, 1)), "location", columns, ReadPlan({}, 0, streams.MAX_TS_MS)).slice(0, rows)
    frame = msgspec.msgpack.encode(GrantedRows("r" * 22, [], {"location": table.to_ipc(found)}, b"r" * 3000, "", False))
    answers.pad(frame, answers.of_read({"location": columns}, rows))


def test_the_size_of_a_run_follows_from_the_manifest_alone() -> None:
    found, _ = algorithms.slow()
    assert answers.of_algorithm(found) == answers.of_algorithm(found) > answers.PAPERS


def test_arrow_malformed() -> None:
    good = table.to_ipc(pa.table({"a": [1, 2]}))
    assert table.from_ipc(good).to_pylist() == [{"a": 1}, {"a": 2}]
    for data in (b"", b"x" * 100, good[:-20], good[:40] + b"\xff" * 40):
        with refused("arrow-malformed", FormatError):
            table.from_ipc(data)


def test_a_dictionary_tells_nothing_of_rows_that_were_left_out() -> None:
    zones = pa.array(["Europe/Berlin", "Asia/Tokyo", "America/Lima"]).dictionary_encode()
    rows = pa.table({"zone": zones}).take(pa.array([0]))
    assert b"Tokyo" in table.to_ipc(rows), "this is what is guarded against"
    found = table.to_ipc(table.prune(rows))
    assert b"Berlin" in found and b"Tokyo" not in found and b"Lima" not in found
