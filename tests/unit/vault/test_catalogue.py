"""Which results supersede which: as a few lines over lists say it, and fast where there are many."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import NOW_MS, a_line
from tests.unit.vault.snapshotting import Life
from waykeep.authority import journalstate
from waykeep.authority.records import RunDone, SegmentEntry, SegmentsAccepted, StreamTotal
from waykeep.formats.ids import sha256
from waykeep.vault import catalogue

WINDOWS = st.lists(st.tuples(st.integers(0, 12), st.integers(0, 6)).map(lambda w: (w[0], w[0] + w[1])), max_size=30)


@given(WINDOWS)
def test_a_window_is_superseded_by_any_later_one_that_covers_it(windows: list[tuple[int, int]]) -> None:
    expected = [
        number
        for number, (first, last) in enumerate(windows)
        if not any(begin <= first and last <= end for begin, end in windows[number + 1 :])
    ]
    assert catalogue.superseding(windows) == expected


@given(WINDOWS, st.integers(0, 30))
def test_what_was_superseded_once_stays_so(windows: list[tuple[int, int]], at: int) -> None:
    """So a snapshot may forget it."""
    kept = [windows[:at][number] for number in catalogue.superseding(windows[:at])]
    both = [*kept, *windows[at:]]
    whole = [windows[number] for number in catalogue.superseding(windows)]
    assert [both[number] for number in catalogue.superseding(both)] == whole


def test_totals_count_a_result_once_it_is_superseded_across_a_snapshot(tmp_path: Path) -> None:
    life = Life(tmp_path)

    def run(number: int, first_ms: int, last_ms: int, rows: int) -> None:
        line: SegmentEntry = a_line(
            f"{number}.age", stream="derived/trips", kind="derived", source="derived",
            first_ms=first_ms, last_ms=last_ms, rows=rows, rows_new=rows,
        )  # fmt: skip
        detail = RunDone(f"{number}", sha256(b"a"), "trips 1", 1, {}, {}, 1, NOW_MS, "", line)
        life.state = life.journal.append(life.state, life.log, detail)

    run(0, NOW_MS, NOW_MS + 10, 3)
    run(1, NOW_MS + 50, NOW_MS + 60, 4)
    life.snapshot()
    run(2, NOW_MS, NOW_MS + 20, 5)
    expected = {"derived/trips": StreamTotal(2, 9, NOW_MS, NOW_MS + 60)}
    assert catalogue.totals(life.state) == catalogue.totals(life.folded()) == expected
    life.snapshot()
    assert catalogue.totals(life.woken()) == expected
    assert catalogue.totals(journalstate.EMPTY) == {}


def test_totals_count_rows_that_were_new(tmp_path: Path) -> None:
    life = Life(tmp_path)
    for number, first_ms in enumerate((NOW_MS + 50, NOW_MS)):
        line = a_line(f"{number}.age", first_ms=first_ms, last_ms=first_ms + 9, rows=5, rows_new=4, epoch=1 + number)
        life.state = life.journal.append(life.state, life.log, SegmentsAccepted((line,)))
        life.snapshot()
    assert catalogue.totals(life.woken()) == {"location": StreamTotal(2, 8, NOW_MS, NOW_MS + 59)}
    assert catalogue.epochs(life.woken()) == {1, 2}
    assert catalogue.runs(life.woken()) == 0


def test_many_results_that_do_not_cover_each_other_are_told_apart() -> None:
    """Not each against each: that would be hundreds of millions of comparisons."""
    windows = [(day, day + 1) for day in range(0, 40_000, 2)]
    assert catalogue.superseding(windows) == list(range(20_000))
    nested = [(n, 80_000 - n) for n in range(20_000)]
    assert catalogue.superseding(nested) == list(range(20_000))
    assert catalogue.superseding(nested[::-1]) == [19_999]
