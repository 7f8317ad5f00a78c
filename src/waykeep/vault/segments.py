"""Segments: checking one that a writer uploaded, making a derived one, and reading the granted rows of many."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from waykeep.authority import dsse
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.records import SegmentEntry
from waykeep.errors import AuthorityError, FormatError, VaultError
from waykeep.formats import agefile, segment, streams, table
from waykeep.formats.ids import OwnerId, PublicKey, sha256
from waykeep.formats.segment import SEGMENT_TYPE, SegmentHeader
from waykeep.formats.wire import decode_json


class EpochKey(msgspec.Struct, frozen=True):
    """An epoch's secret, checked to belong to the public recipient that its statement names."""

    number: int
    secret: str
    recipient: str


class Segment(msgspec.Struct, frozen=True):
    """A segment whose header, writer and payload were checked; only `open_` builds one."""

    header: SegmentHeader
    writer: PublicKey
    rows: pa.Table


def open_(data: bytes, owner: OwnerState, epochs: Mapping[int, EpochKey]) -> Segment:
    """Open and check an uploaded segment.

    Raises:
        FormatError: ``too-large``, ``age-malformed``, ``age-header-too-large``, ``age-not-ours``, ``malformed``,
            ``segment-malformed``, ``stream-unknown``, ``parquet-malformed``, ``columns-mismatch``,
            ``value-out-of-range``.
        AuthorityError: ``signer-unknown``, ``signature-invalid``, ``statement-type``.
        VaultError: ``segment-owner``, ``segment-epoch``, ``segment-payload``, ``segment-kind``.
    """
    number, plaintext = _decrypt(data, epochs)
    envelope, rest = segment.split(plaintext)
    opened = dsse.peek(envelope, SEGMENT_TYPE, limit=8192)
    header = decode_json(opened.payload, SegmentHeader, what="a segment's header")
    if header.owner != owner.owner:
        raise VaultError("segment-owner", "found a segment of another owner", status=403)
    derived = streams.is_derived(streams.parse_stream(header.stream))
    signers = owner.state_keys if derived else owner.writers
    if opened.signer not in signers:
        raise AuthorityError(
            "signer-unknown", "found a segment by a writer that the owner log does not name", status=403
        )
    source = "derived" if derived else owner.writers[opened.signer].source
    if header.kind != ("derived" if derived else "recorded") or header.source != source:
        raise VaultError("segment-kind", "found a segment whose kind or source is not its writer's", status=403)
    if header.epoch != number or header.recipient != epochs[number].recipient:
        raise VaultError(
            "segment-epoch", "found a segment whose header names another epoch than it is encrypted to", status=403
        )
    parquet = segment.payload(rest, header.payload_length)
    if sha256(parquet) != header.payload:
        raise VaultError("segment-payload", "found a segment whose payload does not fit its header", status=403)
    rows = table.from_parquet(parquet)
    if rows.num_rows != header.rows or (rows.num_rows == 0 and not derived):
        raise VaultError(
            "segment-payload", f"found {rows.num_rows} rows where the header says {header.rows}", status=403
        )
    return Segment(header, opened.signer, rows if derived else table.conform(rows, header.stream))


def _decrypt(data: bytes, epochs: Mapping[int, EpochKey]) -> tuple[int, bytes]:
    # Each secret alone, so that it is known which epoch the file is encrypted to: a header could name another.
    for number in sorted(epochs, reverse=True):
        try:
            return number, agefile.open_(data, [epochs[number].secret], limit=segment.MAX_SEGMENT, what="a segment")
        except FormatError as error:
            if error.rule != "age-not-ours":
                raise
    raise FormatError("age-not-ours", "found a segment that no epoch key at hand opens, or that was changed")


def entry(
    name: str, found: Segment, rows_new: int, window: tuple[int, int] | None = None, made_under: int = 0
) -> SegmentEntry:
    """The catalogue's line.

    Args:
        window: The run's window of time for a derived segment, whose rows have no ``ts_ms``.
        made_under: For one, the number of the owner-log entry under which it was made.
    """
    rows, box = found.rows, None
    if window is None:
        times = rows.column("ts_ms").to_numpy()
        window = (int(times.min()), int(times.max()))
    if streams.has_places(found.header.stream):
        lat, lon = rows.column("lat_e7").to_numpy(), rows.column("lon_e7").to_numpy()
        box = (int(lat.min()), int(lon.min()), int(lat.max()), int(lon.max()))
    header = found.header
    return SegmentEntry(
        name=name,
        stream=header.stream,
        kind=header.kind,
        epoch=header.epoch,
        writer=found.writer,
        payload=header.payload,
        source=header.source,
        rows=rows.num_rows,
        rows_new=rows_new,
        first_ms=window[0],
        last_ms=window[1],
        box=box,
        made_under=made_under,
    )


def record_keys(rows: pa.Table) -> npt.NDArray[np.void]:
    """A record's key within its stream: (time of writing, time of observation)."""
    keys = np.empty(rows.num_rows, dtype=[("write_ms", "<i8"), ("ts_ms", "<i8")])
    keys["write_ms"], keys["ts_ms"] = rows.column("write_ms").to_numpy(), rows.column("ts_ms").to_numpy()
    return keys


def count_new(found: Segment, present: Iterable[pa.Table]) -> int:
    """How many rows of a recorded segment have keys that are in none of the tables ``present``."""
    keys = np.unique(record_keys(found.rows))
    for rows in present:
        keys = np.setdiff1d(keys, record_keys(rows), assume_unique=False)
    return len(keys)


def read(
    parts: Iterable[tuple[SegmentEntry, Segment]],
    owner: OwnerId,
    stream: str,
    columns: tuple[str, ...],
    from_ms: int,
    to_ms: int,
) -> pa.Table:
    """The rows of opened segments within a window, each record once, in the given columns; none are all.

    Raises:
        VaultError: ``segment-changed`` when the store holds another segment than was accepted; ``column-unknown``;
            ``stream-empty`` for a derived stream that holds nothing, so that nobody knows its columns.
    """
    derived = streams.is_derived(stream)
    tables, repeated, epochs = [], False, set()
    for line, found in parts:
        if found.header.payload != line.payload or found.header.owner != owner or found.header.stream != stream:
            raise VaultError("segment-changed", "found another segment than was accepted under this name", status=409)
        tables.append(found.rows)
        epochs.add(line.epoch)
        # Rows were counted as new against those epochs whose keys were at hand, which may not have been all of these.
        repeated = not derived and (repeated or line.rows_new != line.rows or len(epochs) > 1)
    if not tables:
        if derived:
            raise VaultError("stream-empty", f"found nothing in stream {stream}", status=404)
        tables = [streams.schema(stream).empty_table()]
    if derived:
        # Another algorithm may have kept results under the same name; the newest says what the columns are.
        tables = [kept for kept in tables if kept.schema.equals(tables[-1].schema)]
    rows = pa.concat_tables(tables, promote_options="permissive") if len(tables) > 1 else tables[0]
    if repeated:
        _, first = np.unique(record_keys(rows), return_index=True)
        rows = rows.take(pa.array(np.sort(first)))
    if not derived:
        times = rows.column("ts_ms").to_numpy()
        inside = (times >= from_ms) & (times < to_ms)
        if not inside.all():
            rows = rows.take(pa.array(np.flatnonzero(inside)))
    return select(rows, stream, columns)


def select(rows: pa.Table, stream: str, columns: tuple[str, ...]) -> pa.Table:
    """The rows in the given columns, all of them if none is given. Raises: VaultError: ``column-unknown``."""
    unknown = [name for name in columns if name not in rows.column_names]
    if unknown:
        raise VaultError("column-unknown", f"found no column {unknown[0]} in stream {stream}", status=400)
    return rows.select(list(columns)) if columns else rows
