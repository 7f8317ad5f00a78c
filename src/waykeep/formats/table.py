"""Tables as Parquet (at rest) and as Arrow IPC (in a pipe), with bounds.

Parquet is zstd with delta encoding of integers: about 6 bytes a point on a phone's track. Reads start no thread, which
a process that forks must not: neither Arrow's own (``use_threads``) nor that of its input (``pre_buffer``).
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from waykeep.errors import FormatError
from waykeep.formats import streams
from waykeep.formats.segment import MAX_ROWS

_MAX_DECODED = 512 << 20
_MAX_COLUMNS = 256
_MAX_NUMBER = 8


def to_parquet(table: pa.Table) -> bytes:
    """Parquet bytes of a table; the same table gives the same bytes under one version of pyarrow."""
    integers = [f.name for f in table.schema if pa.types.is_integer(f.type)]
    sink = io.BytesIO()
    pq.write_table(
        table,
        sink,
        compression="zstd",
        compression_level=3,
        use_dictionary=[f.name for f in table.schema if f.name not in integers],
        column_encoding=dict.fromkeys(integers, "DELTA_BINARY_PACKED"),
        write_statistics=False,
        store_schema=False,
    )
    return sink.getvalue()


def from_parquet(data: bytes, *, columns: list[str] | None = None) -> pa.Table:
    """Read Parquet bytes whose signature was checked (Parquet parsers are not for a stranger's bytes).

    Raises:
        FormatError: ``parquet-malformed``, also for columns that are not flat; ``too-large`` for more than `MAX_ROWS`
            rows or 512 MiB, as announced or once spelled out.
    """
    try:
        # Text as dictionaries: one that is written once and repeated a million times would be spelled out unbounded.
        file = _file(data)
        if texts := _check_announced(file):
            file = _file(data, texts, file.metadata)
        found = file.read(columns=columns, use_threads=False)
        found.validate(full=True)
        return _spell_out(found)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise FormatError("parquet-malformed", f"found bytes that are no Parquet ({type(error).__name__})") from None


def _file(data: bytes, texts: Sequence[str] = (), metadata: pq.FileMetaData | None = None) -> pq.ParquetFile:
    return pq.ParquetFile(
        pa.BufferReader(data),
        read_dictionary=list(texts),
        metadata=metadata,
        pre_buffer=False,
        thrift_string_size_limit=1 << 20,
        thrift_container_size_limit=1 << 16,
    )


def _check_announced(file: pq.ParquetFile) -> list[str]:
    """Refuse a file by what its footer announces; returns the names of its columns of text."""
    meta, fields = file.metadata, list(file.schema_arrow)
    groups = [meta.row_group(i) for i in range(meta.num_row_groups)]
    rows = max(meta.num_rows, sum(group.num_rows for group in groups))
    size = max(sum(group.total_byte_size for group in groups), rows * meta.num_columns * _MAX_NUMBER)
    if rows > MAX_ROWS or size > _MAX_DECODED or meta.num_columns > _MAX_COLUMNS:
        raise FormatError("too-large", f"found {rows} rows, at most {MAX_ROWS} are taken", status=413)
    texts = [f.name for f in fields if pa.types.is_string(f.type)]
    if any(f.name not in texts and not pa.types.is_primitive(f.type) for f in fields):
        raise FormatError("parquet-malformed", "found a column that is neither of numbers nor of text")
    return texts


def _spell_out(table: pa.Table) -> pa.Table:
    size = 0
    for column in table.columns:
        for chunk in column.chunks if pa.types.is_dictionary(column.type) else ():
            texts = chunk.dictionary
            if len(texts):
                lengths = np.diff(np.frombuffer(texts.buffers()[1], np.int32, len(texts) + 1, texts.offset * 4))
                size += int(lengths[chunk.indices.drop_null().to_numpy()].sum(dtype=np.int64))
    if size > _MAX_DECODED:
        raise FormatError("too-large", f"found {size} bytes of text, at most {_MAX_DECODED} are taken", status=413)
    return table.cast(pa.schema([pa.field(f.name, _plain(f.type), f.nullable) for f in table.schema]))


def conform(table: pa.Table, stream: str) -> pa.Table:
    """A recorded stream's table in exactly the columns of its schema.

    Raises:
        FormatError: ``columns-mismatch`` for other columns or types, ``value-out-of-range`` for a time before 2001 or
            after 2100, or a position off the globe.
    """
    wanted = streams.schema(stream)
    if table.column_names != wanted.names:
        raise FormatError("columns-mismatch", f"found columns that are not those of stream {stream}")
    if not all(map(_same_type, table.schema, wanted)):
        raise FormatError("columns-mismatch", f"found column types that are not those of stream {stream}")
    try:
        table = table.cast(wanted)
        table.validate(full=True)
    except (pa.ArrowException, ValueError):
        raise FormatError("columns-mismatch", f"found column types that are not those of stream {stream}") from None
    if any(not f.nullable and table.column(f.name).null_count for f in wanted):
        raise FormatError("columns-mismatch", f"found a null in a column of {stream} that has none")
    _within(table, "ts_ms", streams.MIN_TS_MS, streams.MAX_TS_MS)
    _within(table, "write_ms", streams.MIN_TS_MS, streams.MAX_TS_MS)
    if streams.has_places(stream):
        _within(table, "lat_e7", -900_000_000, 900_000_000)
        _within(table, "lon_e7", -1_800_000_000, 1_800_000_000)
    return table


def _same_type(found: pa.Field, wanted: pa.Field) -> bool:
    # A cast alone would take numbers as text and times as numbers. Text may come spelled out or as a dictionary.
    return bool(_plain(found.type) == _plain(wanted.type))


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _within(table: pa.Table, name: str, low: int, high: int) -> None:
    # numpy, not pyarrow.compute: a compute kernel may start Arrow's thread pool.
    values = table.column(name).to_numpy()
    if len(values) and (values.min() < low or values.max() > high):
        raise FormatError("value-out-of-range", f"found a value of {name} outside {low}..{high}")


def prune(table: pa.Table) -> pa.Table:
    """The same table, its dictionaries cut to what its rows hold, and sorted: else they told of rows left out."""
    for index, field in enumerate(table.schema):
        if pa.types.is_dictionary(field.type):
            chunks = [_pruned(chunk) for chunk in table.column(index).chunks]
            table = table.set_column(index, field, pa.chunked_array(chunks, field.type))
    return table


def _pruned(chunk: pa.DictionaryArray) -> pa.DictionaryArray:
    codes, texts = chunk.indices.to_numpy(), chunk.dictionary.to_pylist()
    used = np.flatnonzero(np.bincount(codes, minlength=len(texts)))
    kept = sorted({texts[code] for code in used})
    places = {text: place for place, text in enumerate(kept)}
    moved = np.zeros(max(len(texts), 1), dtype=np.int16)
    moved[used] = [places[texts[code]] for code in used]
    return pa.DictionaryArray.from_arrays(pa.array(moved[codes], chunk.indices.type), pa.array(kept, pa.string()))


def to_ipc(table: pa.Table) -> bytes:
    """Arrow IPC stream of a table; only ever sent towards less trusted code, never read from it."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


def from_ipc(data: bytes) -> pa.Table:
    """Read an Arrow IPC stream of an appraised peer, fully checked.

    Raises: FormatError: ``arrow-malformed``.
    """
    try:
        with pa.ipc.open_stream(pa.BufferReader(data)) as reader:
            found = reader.read_all()
        found.validate(full=True)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise FormatError("arrow-malformed", f"found bytes that are no Arrow stream ({type(error).__name__})") from None
    return found
