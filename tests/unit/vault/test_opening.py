"""A segment is opened only with rows that are its stream's: its columns, types and ranges, and none missing."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tests.support.people import refused
from tests.unit.vault.segmenting import EPOCHS, LOG, NOW_MS, SECRETS, rows, uploaded
from waykeep.vault import segments
from waykeep.vault.segments import Segment


def opened(data: bytes) -> Segment:
    return segments.open_(data, LOG, EPOCHS)


def test_an_honest_segment_is_taken() -> None:
    found = opened(uploaded())
    assert (found.header.rows, found.writer) == (3, SECRETS.writer_key.public)
    assert found.rows.equals(rows())


HONEST = rows()


@pytest.mark.parametrize(
    "found",
    [
        HONEST.drop_columns(["zone"]),
        HONEST.append_column("more", pa.array([1, 1, 1])),
        HONEST.select(HONEST.column_names[::-1]),
        HONEST.rename_columns(["ts", *HONEST.column_names[1:]]),
        rows(level_pct=pa.array(["1", "1", "1"])),
        rows(level_pct=pa.array([1.0, 1.0, 1.0])),
        rows(ts_ms=pa.array([NOW_MS] * 3, pa.timestamp("ms"))),
        rows(status=pa.array([1, 1, 1], pa.int32())),
        rows(zone=pa.array([1, 1, 1])),
    ],
    ids=["one less", "one more", "order", "name", "text", "real", "time", "wider", "a number for a zone"],
)
def test_columns_that_are_not_the_streams(found: pa.Table) -> None:
    with refused("columns-mismatch", "format"):
        opened(uploaded(found))


@pytest.mark.parametrize("column", ["ts_ms", "write_ms", "level_pct", "zone"])
def test_a_null_in_a_required_column(column: str) -> None:
    wanted = rows().schema.field(column).type
    one = rows().column(column).to_pylist()[0]
    values = pa.array([one, None, one], pa.string() if column == "zone" else wanted)
    with refused("columns-mismatch", "format"):
        opened(uploaded(rows(**_plain(column, values))))


def test_a_null_where_the_phone_may_not_know() -> None:
    found = opened(uploaded(rows(**_plain("status", pa.array([1, None, 1], pa.int16())))))
    assert found.rows.column("status").to_pylist() == [1, None, 1]


def _plain(column: str, values: pa.Array) -> dict[str, object]:
    """Every column in its own type, and one of other values."""
    return {name: rows().column(name) for name in rows().column_names} | {column: values}


@pytest.mark.parametrize("value", [0, -1, 978_307_199_999, 4_102_444_800_001, 2**63 - 1, -(2**63)])
@pytest.mark.parametrize("column", ["ts_ms", "write_ms"])
def test_a_time_out_of_its_range(column: str, value: int) -> None:
    with refused("value-out-of-range", "format"):
        opened(uploaded(rows(**_plain(column, pa.array([NOW_MS, NOW_MS, value])))))


@pytest.mark.parametrize(
    ("column", "value"),
    [("lat_e7", 900_000_001), ("lat_e7", -900_000_001), ("lon_e7", 1_800_000_001), ("lon_e7", -1_800_000_001)],
)
def test_a_place_off_the_globe(column: str, value: int) -> None:
    places = rows([NOW_MS], "location")
    at = places.column_names.index(column)
    assert opened(uploaded(places, stream="location")).rows.num_rows == 1
    with refused("value-out-of-range", "format"):
        opened(uploaded(places.set_column(at, column, pa.array([value], pa.int32())), stream="location"))
