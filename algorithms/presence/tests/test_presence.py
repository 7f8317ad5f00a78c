"""Presence: as many places as are asked for, each time once."""

from __future__ import annotations

import pyarrow as pa
import pytest

from tests.unit.algorithms import bundles, recordings


def present(times: list[int], **parameters: int) -> int:
    (row,) = bundles.run(
        "presence", {"filtered-location": pa.table({"ts_ms": pa.array(times, pa.int64())})}, **parameters
    )
    return int(row["present"])


def test_nobody_is_where_nothing_was_recorded() -> None:
    assert present([]) == 0
    assert present([5]) == 1


@pytest.mark.parametrize(("times", "there"), [([3, 1], 0), ([3, 1, 2], 1), ([1, 1, 1], 0), ([4, 3, 2, 1, 1], 1)])
def test_enough_places_in_any_order_each_once(times: list[int], there: int) -> None:
    assert present(times, min_fixes=3) == there


@pytest.mark.parametrize("name", recordings.NAMES)
def test_real_people_were_where_they_were(name: str) -> None:
    assert bundles.run("presence", recordings.tables(name)) == [{"present": 1}]
