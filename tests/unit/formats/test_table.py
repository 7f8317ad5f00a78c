"""Tables: what is written is read again, in exactly the columns of its stream and within their bounds."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.builders import NOW_MS, empty, points, refused
from waykeep.errors import FormatError
from waykeep.formats import streams, table

ALL_STREAMS = [*streams.RECORDED, "json/stats/pipeline_time"]
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "ts_ms": st.integers(streams.MIN_TS_MS, streams.MAX_TS_MS),
    "write_ms": st.integers(streams.MIN_TS_MS, streams.MAX_TS_MS),
    "lat_e7": st.integers(-900_000_000, 900_000_000),
    "lon_e7": st.integers(-1_800_000_000, 1_800_000_000),
    "zone": st.sampled_from(["", "UTC", "Europe/Berlin", "America/Argentina/Ushuaia", "ü" * 10]),
    "entry": st.text(max_size=20),
}


@st.composite
def tables(draw: st.DrawFn) -> tuple[str, pa.Table]:
    """A stream and a table of it, with values from end to end of each column."""
    stream = draw(st.sampled_from(ALL_STREAMS))
    schema, count = streams.schema(stream), draw(st.integers(0, 6))
    columns = {}
    for field in schema:
        values = VALUES.get(field.name)
        if values is None:
            bits = field.type.bit_width - 1
            values = st.integers(-(2**bits), 2**bits - 1)
        values = st.one_of(st.none(), values) if field.nullable else values
        plain = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        columns[field.name] = pa.array(draw(st.lists(values, min_size=count, max_size=count)), plain)
    return stream, pa.table(columns)


@settings(max_examples=60)
@given(tables())
def test_what_was_written_is_read(found: tuple[str, pa.Table]) -> None:
    stream, rows = found
    conformed = table.conform(rows, stream)
    assert conformed.schema.equals(streams.schema(stream))
    read = table.conform(table.from_parquet(table.to_parquet(conformed)), stream)
    assert read.to_pydict() == rows.to_pydict()
    assert read.schema.equals(conformed.schema)


@pytest.mark.parametrize("stream", ALL_STREAMS)
def test_no_rows_are_read_as_no_rows(stream: str) -> None:
    assert table.conform(table.from_parquet(table.to_parquet(empty(stream))), stream).num_rows == 0


def test_the_same_table_gives_the_same_bytes() -> None:
    assert table.to_parquet(points(100)) == table.to_parquet(points(100))


def test_only_the_columns_that_are_asked_for_are_read() -> None:
    assert table.from_parquet(table.to_parquet(points()), columns=["ts_ms", "zone"]).column_names == ["ts_ms", "zone"]


def test_text_is_read_spelled_out() -> None:
    read = table.from_parquet(table.to_parquet(points()))
    assert read.schema.field("zone").type == pa.string()
    derived = pa.table({"mode": ["walking", "walking", "train"], "ms": [1, 2, 3], "ok": [True, False, True]})
    assert table.from_parquet(table.to_parquet(derived)) == derived


def test_texts_that_are_long_but_within_the_bound_are_read() -> None:
    long = pa.table({"entry": ["x" * 100_000] * 100 + ["y"]})
    assert table.from_parquet(table.to_parquet(long)) == long


def test_a_point_takes_few_bytes() -> None:
    """5.9 bytes on a phone's track; a straight line takes less. SQLite takes 110."""
    assert len(table.to_parquet(points(10_000))) < 10_000 * 6


# -- columns and types -------------------------------------------------------------------------------------------------


def replaced(name: str, values: pa.Array | list[Any]) -> pa.Table:
    rows = points()
    return rows.set_column(rows.column_names.index(name), name, values)


@pytest.mark.parametrize(
    "rows",
    [
        points().drop_columns(["zone"]),
        points().append_column("more", pa.array([1, 2, 3])),
        points().rename_columns(["write_ms", "ts_ms", *points().column_names[2:]]),
        points().select(points().column_names[::-1]),
        points().append_column("zone", pa.array(["a", "b", "c"])),
        replaced("ts_ms", pa.array([1.0, 2.0, 3.0])),
        replaced("ts_ms", pa.array([str(NOW_MS)] * 3)),
        replaced("ts_ms", pa.array([NOW_MS] * 3, pa.timestamp("ms"))),
        replaced("lat_e7", pa.array([1, 2, 3], pa.int64())),
        replaced("accuracy_cm", pa.array([True, False, None])),
        replaced("zone", pa.array([1, 2, 3])),
        replaced("ts_ms", pa.array([NOW_MS, None, NOW_MS], pa.int64())),
        replaced("lat_e7", pa.array([1, None, 3], pa.int32())),
        replaced("zone", pa.array(["UTC", None, "UTC"])),
    ],
)
def test_columns_mismatch(rows: pa.Table) -> None:
    with refused("columns-mismatch", FormatError):
        table.conform(rows, "location")


def test_columns_mismatch_for_more_zones_than_the_column_numbers() -> None:
    count = 40_000
    rows = pa.table(
        {
            "ts_ms": np.full(count, NOW_MS),
            "write_ms": np.full(count, NOW_MS),
            "entry": ["{}"] * count,
            "zone": [f"Zone/{n}" for n in range(count)],
        }
    )
    with refused("columns-mismatch", FormatError):
        table.conform(rows, "json/some_key")


@pytest.mark.parametrize("stream", ["derived/trips", "nothing", ""])
def test_stream_unknown(stream: str) -> None:
    with refused("stream-unknown", FormatError):
        table.conform(points(), stream)


# -- ranges ------------------------------------------------------------------------------------------------------------

EDGES = [
    ("ts_ms", streams.MIN_TS_MS, streams.MAX_TS_MS, pa.int64()),
    ("write_ms", streams.MIN_TS_MS, streams.MAX_TS_MS, pa.int64()),
    ("lat_e7", -900_000_000, 900_000_000, pa.int32()),
    ("lon_e7", -1_800_000_000, 1_800_000_000, pa.int32()),
]


@pytest.mark.parametrize(("name", "low", "high", "kind"), EDGES)
def test_value_out_of_range(name: str, low: int, high: int, kind: pa.DataType) -> None:
    assert table.conform(replaced(name, pa.array([low, high, high], kind)), "location").num_rows == 3
    for value in (low - 1, high + 1):
        with refused("value-out-of-range", FormatError):
            table.conform(replaced(name, pa.array([low, value, high], kind)), "location")


def test_the_refusal_of_a_place_does_not_tell_it() -> None:
    with pytest.raises(FormatError) as caught:
        table.conform(replaced("lat_e7", pa.array([0, 987_654_321, 0], pa.int32())), "location")
    assert "987654321" not in str(caught.value).replace("_", "")


# -- Arrow IPC ---------------------------------------------------------------------------------------------------------


def test_ipc_holds_the_rows_of_several_chunks() -> None:
    """Chunks whose dictionaries differ, as rows of several segments have."""
    one, other = points(2), points(2).set_column(8, "zone", pa.array(["Asia/Tokyo", "UTC"]).dictionary_encode())
    rows = pa.concat_tables([one, other.cast(one.schema)])
    with pa.ipc.open_stream(table.to_ipc(rows)) as reader:
        assert reader.read_all().to_pydict() == rows.to_pydict()


@pytest.mark.parametrize("name", ["location", "json/a", "json/stats/pipeline_time", "derived/trips", "derived/a-1"])
def test_streams_that_are_taken(name: str) -> None:
    assert streams.parse_stream(name) == name
    assert streams.is_derived(name) == name.startswith("derived/")


@pytest.mark.parametrize(
    "name", ["", "Location", "json/", "json/A", "json/a/b/c/d/e", "derived/1", "derived/a/b", "a\n"]
)
def test_streams_that_are_not(name: str) -> None:
    with refused("stream-unknown", FormatError):
        streams.parse_stream(name)
