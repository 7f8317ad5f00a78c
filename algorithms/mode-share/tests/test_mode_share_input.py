"""Mode share of whatever tables may hold: the schema is kept, and what does not matter changes nothing."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.algorithms import bundles, recordings
from tests.unit.algorithms.synthetic import START_MS, android

FIXES = recordings.locations(android())
SCHEMA = pa.schema([("ts_ms", pa.int64()), ("type", pa.int16()), ("confidence", pa.int16())])
Guess = tuple[int | None, int | None, int | None]


def share(guesses: pa.Table, fixes: pa.Table = FIXES, **parameters: int) -> list[bundles.Row]:
    return bundles.run("mode-share", {"filtered-location": fixes, "motion-activity": guesses}, **parameters)


def table_of(rows: Sequence[Guess]) -> pa.Table:
    return pa.table([pa.array([row[i] for row in rows], SCHEMA.field(i).type) for i in range(3)], schema=SCHEMA)


int16 = st.integers(-(2**15), 2**15 - 1)
anything = st.lists(st.tuples(st.none() | st.integers(-(2**63), 2**63 - 1), st.none() | int16, st.none() | int16))
plausible = st.lists(
    st.tuples(st.integers(START_MS, START_MS + 12_000_000), st.integers(0, 11), st.integers(0, 100)), max_size=80
)
parameters = st.fixed_dictionaries(
    {},
    optional={
        "min_confidence": st.integers(0, 100),
        "hold_minutes": st.integers(1, 120),
        "carry_minutes": st.integers(0, 60),
        "min_segment_s": st.integers(0, 1800),
    },
)


@given(anything, parameters)
def test_any_table_of_guesses_gives_rows_of_the_schema(rows: list[Guess], chosen: dict[str, int]) -> None:
    assert len(share(table_of(rows), **chosen)) == 6


@given(plausible, parameters)
def test_guesses_divide_the_way_and_do_not_change_it(rows: list[Guess], chosen: dict[str, int]) -> None:
    told, untold = share(table_of(rows), **chosen), share(table_of([]))
    assert sum(row["duration_s"] for row in told) == pytest.approx(sum(row["duration_s"] for row in untold), abs=4)
    missing = sum(row["distance_m"] for row in untold) - sum(row["distance_m"] for row in told)
    waited = next(row["duration_s"] for row in told if row["mode"] == "still")
    # Waiting leads nowhere: what is counted so, moves slower than a slow walk.
    assert -4 <= missing <= waited * 1.0 + 4


@given(plausible, parameters, st.integers(0, 1000), st.integers(0, 80))
def test_order_repetition_and_chunks_change_nothing(
    rows: list[Guess], chosen: dict[str, int], seed: int, at: int
) -> None:
    source = random.Random(seed)
    shuffled = [*rows, *rows[: len(rows) // 2]]
    source.shuffle(shuffled)
    table: Any = table_of(shuffled)
    chunked = pa.concat_tables([table.slice(0, at), table.slice(at)])
    assert share(chunked, **chosen) == share(table_of(rows), **chosen)


@given(plausible, st.integers(-1_000_000_000_000, 1_000_000_000_000))
def test_another_time_changes_nothing(rows: list[tuple[int, int, int]], shift: int) -> None:
    moved = FIXES.set_column(0, "ts_ms", pa.array([at.as_py() + shift for at in FIXES["ts_ms"]], pa.int64()))
    later = table_of([(at + shift, kind, sure) for at, kind, sure in rows])
    assert share(later, moved) == share(table_of(rows))
