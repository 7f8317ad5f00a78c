"""What is read of many segments equals what a few lines of Python over lists say, for any segments."""

from __future__ import annotations

from typing import NamedTuple

import msgspec
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.support.people import refused
from tests.unit.vault.segmenting import EPOCHS, LOG, NOW_MS, SECRETS, STATE_KEY, header, rows, uploaded
from waykeep.authority import journalstate
from waykeep.authority.records import SegmentEntry
from waykeep.errors import VaultError
from waykeep.formats.ids import sha256
from waykeep.vault import catalogue as catalogues
from waykeep.vault import segments
from waykeep.vault.segments import Segment


class Row(NamedTuple):
    """A row of stream ``battery``, as a model sees it."""

    ts_ms: int
    write_ms: int
    level_pct: int
    zone: str


COLUMNS = ("ts_ms", "write_ms", "level_pct", "status", "zone")
# Few times, so that windows meet edges and records repeat within a segment and across segments.
TIMES = st.integers(NOW_MS, NOW_MS + 6)
ROWS = st.lists(
    st.builds(Row, TIMES, TIMES, st.integers(0, 100), st.sampled_from(["Europe/Zurich", "UTC"])), max_size=8
)
PARTS = st.lists(st.tuples(ROWS.filter(bool), st.integers(1, 2)), max_size=5)


def table_of(given_rows: list[Row]) -> pa.Table:
    ts, write, level, zone = (list(column) for column in zip(*given_rows, strict=True)) if given_rows else ([],) * 4
    empty = rows([])
    given = {"ts_ms": ts, "write_ms": write, "level_pct": level, "status": [None] * len(ts), "zone": zone}
    return pa.table(given, schema=empty.schema)


def segment_of(given_rows: list[Row], name: str = "a.age", epoch: int = 1) -> Segment:
    """As `segments.open_` gives it, but without the cost of its cryptography."""
    made = header(name.encode(), len(given_rows), epoch=epoch)
    return Segment(made, SECRETS.writer_key.public, table_of(given_rows))


def accepted(parts: list[tuple[list[Row], int]]) -> list[tuple[SegmentEntry, Segment]]:
    """Segments as a cloud accepts them one after another: rows are new against those of the epochs it can open."""
    found: list[tuple[SegmentEntry, Segment]] = []
    for given_rows, epoch in parts:
        name = f"{len(found)}.age"
        one = segment_of(given_rows, name, epoch)
        new = segments.count_new(one, [other.rows for line, other in found if line.epoch == epoch])
        found.append((segments.entry(name, one, new), one))
    return found


def select(lines: dict[str, SegmentEntry], stream: str, from_ms: int, to_ms: int) -> list[SegmentEntry]:
    """What is chosen of lines that one record each accepted."""
    places = {name: number for number, name in enumerate(lines)}
    state = msgspec.structs.replace(journalstate.EMPTY, segments=lines, places=places)
    return catalogues.select(state, stream, from_ms, to_ms)


@settings(max_examples=150, deadline=None)
@given(PARTS, TIMES, TIMES, st.lists(st.sampled_from(COLUMNS), unique=True))
@example([([Row(NOW_MS, NOW_MS, 1, "UTC")] * 2, 1)], NOW_MS, NOW_MS + 1, [])
@example([([Row(NOW_MS, NOW_MS, 1, "UTC")], 1), ([Row(NOW_MS, NOW_MS, 2, "UTC")], 2)], NOW_MS, NOW_MS + 1, [])
def test_a_read_equals_a_model(
    parts: list[tuple[list[Row], int]], from_ms: int, to_ms: int, columns: list[str]
) -> None:
    catalogue = accepted(parts)
    chosen = {line.name for line in select({e.name: e for e, _ in catalogue}, "battery", from_ms, to_ms)}
    found = segments.read(
        [(line, one) for line, one in catalogue if line.name in chosen],
        SECRETS.owner,
        "battery",
        tuple(columns),
        from_ms,
        to_ms,
    )

    first: dict[tuple[int, int], Row] = {}
    for given_rows, _ in parts:
        for row in given_rows:
            if from_ms <= row.ts_ms < to_ms:
                first.setdefault((row.write_ms, row.ts_ms), row)
    wanted = [row._asdict() | {"status": None} for row in first.values()]
    assert found.to_pylist() == [{name: row[name] for name in columns or COLUMNS} for row in wanted]


@settings(max_examples=150, deadline=None)
@given(ROWS, st.lists(ROWS, max_size=4))
def test_new_rows_equal_a_model(given_rows: list[Row], present: list[list[Row]]) -> None:
    keys = {(row.write_ms, row.ts_ms) for row in given_rows}
    known = {(row.write_ms, row.ts_ms) for other in present for row in other}
    found = segments.count_new(segment_of(given_rows), [table_of(other) for other in present])
    assert found == len(keys - known)


@settings(max_examples=60, deadline=None)
@given(PARTS, TIMES, TIMES)
def test_what_is_not_selected_has_no_row_in_the_window(
    parts: list[tuple[list[Row], int]], from_ms: int, to_ms: int
) -> None:
    catalogue = accepted(parts)
    chosen = select({line.name: line for line, _ in catalogue}, "battery", from_ms, to_ms)
    for line, one in catalogue:
        if line not in chosen:
            assert not any(from_ms <= ts < to_ms for ts in one.rows.column("ts_ms").to_pylist())


def test_nothing_read_has_the_columns_of_its_stream() -> None:
    found = segments.read([], SECRETS.owner, "location", (), 0, 1)
    assert (found.num_rows, found.schema) == (0, rows([], "location").schema)


def test_a_derived_stream_that_holds_nothing() -> None:
    with refused("stream-empty", "vault"):
        segments.read([], SECRETS.owner, "derived/trips", (), 0, 1)


def test_a_column_that_the_stream_does_not_have() -> None:
    with refused("column-unknown", "vault"):
        segments.read([], SECRETS.owner, "battery", ("ts_ms", "lat_e7"), 0, 1)


ONE = segment_of([Row(NOW_MS, NOW_MS, 1, "UTC")])
LINE = segments.entry("a.age", ONE, 1)


@pytest.mark.parametrize(
    ("line", "one"),
    [
        (msgspec.structs.replace(LINE, payload=sha256(b"")), ONE),
        (LINE, msgspec.structs.replace(ONE, header=header(b"a.age", 1, stream="transition"))),
        (LINE, msgspec.structs.replace(ONE, header=header(b"a.age", 1, owner="a" * 52))),
    ],
    ids=["payload", "stream", "owner"],
)
def test_another_segment_than_was_accepted(line: SegmentEntry, one: Segment) -> None:
    assert segments.read([(LINE, ONE)], SECRETS.owner, "battery", (), NOW_MS, NOW_MS + 1).num_rows == 1
    with refused("segment-changed", "vault"):
        segments.read([(line, one)], SECRETS.owner, "battery", (), NOW_MS, NOW_MS + 1)


def test_the_catalogues_line_says_what_the_rows_hold() -> None:
    found = segments.open_(uploaded(rows([NOW_MS + 5, NOW_MS, NOW_MS + 9], "location"), stream="location"), LOG, EPOCHS)
    line = segments.entry("b.age", found, 2)
    assert (line.first_ms, line.last_ms, line.rows, line.rows_new) == (NOW_MS, NOW_MS + 9, 3, 2)
    assert line.box == (1, 1, 1, 1)
    assert (line.stream, line.writer, line.payload) == ("location", SECRETS.writer_key.public, found.header.payload)


def test_a_derived_result_is_read_whole_or_not_at_all_and_superseded_by_one_that_covers_it() -> None:
    trips = pa.table({"start_ms": [NOW_MS, NOW_MS]})
    data = uploaded(trips, key=STATE_KEY, stream="derived/trips", kind="derived", source="derived")
    found = segments.open_(data, LOG, EPOCHS)
    lines = {name: segments.entry(name, found, 2, window=(NOW_MS, NOW_MS + 10)) for name in ("a", "b")}
    assert [line.name for line in select(lines, "derived/trips", NOW_MS, NOW_MS + 10)] == ["b"]
    # A window that it does not lie within gets nothing of it: it cannot be cut.
    for window in ((NOW_MS + 1, NOW_MS + 10), (NOW_MS, NOW_MS + 9), (NOW_MS + 11, NOW_MS + 12), (0, NOW_MS)):
        assert select(lines, "derived/trips", *window) == []
    # A later result over less hides nothing; one over more takes the place of both.
    lines["narrow"] = segments.entry("narrow", found, 2, window=(NOW_MS + 2, NOW_MS + 4))
    assert [line.name for line in select(lines, "derived/trips", 0, NOW_MS + 99)] == ["b", "narrow"]
    lines["wide"] = segments.entry("wide", found, 2, window=(NOW_MS - 5, NOW_MS + 20))
    assert [line.name for line in select(lines, "derived/trips", 0, NOW_MS + 99)] == ["wide"]
    assert [line.name for line in select(lines, "derived/trips", NOW_MS, NOW_MS + 10)] == ["b", "narrow"]
    # Its rows have no time and no key of their own: none is left out.
    assert segments.read([(lines["b"], found)], SECRETS.owner, "derived/trips", (), NOW_MS, NOW_MS + 1).equals(trips)


def test_an_empty_window_reads_nothing() -> None:
    assert segments.read([(LINE, ONE)], SECRETS.owner, "battery", (), NOW_MS, NOW_MS).num_rows == 0
    with pytest.raises(VaultError):
        segments.read([(LINE, ONE)], SECRETS.owner, "battery", ("nothing",), NOW_MS, NOW_MS)
