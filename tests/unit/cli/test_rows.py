"""A result for people: what fits is a table, what does not is blocks, and numbers are said as what they are."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from waykeep.cli import rows
from waykeep.formats.manifest import Boolean, Choice, Field, Integer
from waykeep.formats.messages import Value

TIME = Field("start_ms", Integer(0, 4_102_444_800_000, "ms since 1970 UTC"), "When.")
LAT = Field("start_lat_e7", Integer(-900_000_000, 900_000_000), "Where.")
MODE = Field("mode", Choice(("walking", "still")), "How.")
ROWS: list[dict[str, Value]] = [
    {"start_ms": 1_466_449_200_000, "start_lat_e7": -5, "mode": "walking"},
    {"start_ms": 0, "start_lat_e7": 373_900_000, "mode": "still"},
]


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        (TIME, 1_466_449_200_000, "1466449200000 (2016-06-20 19:00:00 UTC)"),
        (Field("took_ms", Integer(0, 9, "ms"), "How long."), 5, "5"),
        (Field("end_ms", Integer(-5, 2**62, "ms since 1970 UTC"), "When."), 2**62, str(2**62)),
        (Field("end_ms", Integer(-5, 2**62, "ms since 1970 UTC"), "When."), -5, "-5"),
        (LAT, 373_900_001, "37.3900001°"),
        (LAT, -5, "-0.0000005°"),
        (LAT, -900_000_000, "-90.0000000°"),
        (Field("lon_e7", Integer(-1, 1), "Where."), 1, "0.0000001°"),
        (MODE, "still", "still"),
        (Field("gap", Boolean(), "Whether."), True, "True"),
    ],
)
def test_a_value_for_people(field: Field, value: int | str | bool, words: str) -> None:
    assert rows.words(field, value) == words


def printed(*, terminal: bool, width: int) -> list[str]:
    into = io.StringIO()
    rows.show((TIME, LAT, MODE), ROWS, Console(file=into, force_terminal=terminal, width=width, color_system=None))
    return [line.rstrip() for line in into.getvalue().splitlines()]


BLOCKS = [
    *("start_ms: 1466449200000 (2016-06-20 19:00:00 UTC)", "start_lat_e7: -0.0000005°", "mode: walking", ""),
    *("start_ms: 0 (1970-01-01 00:00:00 UTC)", "start_lat_e7: 37.3900000°", "mode: still", ""),
]


def test_a_wide_terminal_gets_a_table_and_everybody_else_blocks() -> None:
    table = printed(terminal=True, width=80)
    assert table[0].split() == ["start_ms", "start_lat_e7", "mode"] and len(table) == 3
    assert printed(terminal=True, width=50) == BLOCKS
    assert printed(terminal=False, width=80) == BLOCKS
