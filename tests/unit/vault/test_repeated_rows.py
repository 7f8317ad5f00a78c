"""A record that was uploaded twice counts once, also where the user cloud could not see that when it accepted it."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tests.unit.builders import NOW_MS, Owner, a_segment, an_owner, points
from waykeep.authority.records import SegmentEntry
from waykeep.vault import segments
from waykeep.vault.segments import Segment


@pytest.fixture(scope="module")
def anna() -> Owner:
    owner = an_owner("anna")
    owner.open_epoch(2)
    return owner


def part(owner: Owner, name: str, rows: pa.Table, rows_new: int, epoch: int) -> tuple[SegmentEntry, Segment]:
    found = segments.open_(
        a_segment(owner, rows, epoch=epoch, recipient=owner.epoch_keys[epoch].recipient),
        owner.state,
        owner.epoch_keys,
    )
    return segments.entry(name, found, rows_new), found


def read(owner: Owner, *parts: tuple[SegmentEntry, Segment]) -> pa.Table:
    return segments.read(parts, owner.id, "location", ("ts_ms", "zone"), 0, 2**60)


def test_rows_repeated_in_another_epoch_count_once(anna: Owner) -> None:
    """Epoch 1's key was not at hand when the repeated segment came, so all its rows were counted as new."""
    rows = points(3)
    one, again = part(anna, "a.age", rows, 3, 1), part(anna, "b.age", rows, 3, 2)
    assert read(anna, one, again) == rows.select(["ts_ms", "zone"])


def test_rows_repeated_within_a_segment_count_once(anna: Owner) -> None:
    rows = pa.concat_tables([points(3), points(2)])
    found = part(anna, "a.age", rows, 0, 2)
    assert segments.count_new(found[1], []) == 3
    line = segments.entry("a.age", found[1], 3)
    assert read(anna, (line, found[1])).num_rows == 3


def test_the_row_that_was_accepted_first_counts(anna: Owner) -> None:
    first = points(2)
    other = first.set_column(8, "zone", pa.array(["Asia/Tokyo"] * 2).dictionary_encode())
    other = other.cast(first.schema)
    found = read(anna, part(anna, "a.age", first, 2, 1), part(anna, "b.age", other, 0, 2))
    assert found.column("zone").to_pylist() == ["Europe/Berlin"] * 2


def test_rows_written_twice_are_two_records(anna: Owner) -> None:
    """The key is the time of writing and that of observation: a phone may write the same place again."""
    one, other = points(2, write_ms=NOW_MS), points(2, write_ms=NOW_MS + 1)
    assert read(anna, part(anna, "a.age", one, 2, 1), part(anna, "b.age", other, 2, 2)).num_rows == 4
