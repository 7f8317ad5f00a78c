from __future__ import annotations

import pytest

from tests.unit.algorithm.samples import MANIFEST, SOURCE, make
from waykeep.algorithm.describe import describe
from waykeep.formats import bundle, streams


def test_a_page_says_who_what_how_much_and_which() -> None:
    loaded = make()
    page = describe(loaded)
    for part in (
        "rows 1.2.3, by A. Uthor\nCounts your positions.\n",
        "  location: every position that your phone recorded\n",
        "    - how far north or south, to about a centimetre (lat_e7)\n",
        "    Its author says why: To count them.\n",
        "  times: a whole number from 1 to 9 (times); 2 unless you say otherwise\n    How often to count.\n",
        "  At most 1 row, each with\n    - rows: a whole number from 0 to 1,000\n      How many.\n",
        "One run can tell at most 10.0 bits.",  # 1001 rows, none, or a failure
        "  64 MiB of memory, 1 s of computing, 3 s in all.\n",
        f"  1 file of Python, 2 lines, {len(SOURCE)} bytes: rows.py\n",
        loaded.libraries["numpy"],
        f"  {loaded.digest}\n",
    ):
        assert part in page


def test_a_page_has_no_long_lines_and_no_odd_characters() -> None:
    page = describe(make({bundle.MANIFEST: MANIFEST.replace("To count them.", "To count them, " * 19).encode()}))
    assert all(line.isprintable() for line in page.split("\n"))
    assert max(map(len, page.split("\n"))) <= 110


def test_an_algorithm_without_parameters_says_so() -> None:
    start, end = MANIFEST.index("[parameters"), MANIFEST.index("[limits]")
    page = describe(make({bundle.MANIFEST: (MANIFEST[:start] + MANIFEST[end:]).encode()}))
    assert "What can be set\n  Nothing.\n" in page


def test_choices_and_booleans_are_said_in_words() -> None:
    more = (
        '\n[parameters.pace]\ntype = "choice"\nvalues = ["slow", "fast"]\ndefault = "slow"\nmeaning = "P"\n'
        '[parameters.strict]\ntype = "boolean"\ndefault = true\nmeaning = "S"\n'
    )
    page = describe(make({bundle.MANIFEST: (MANIFEST + more).encode()}))
    assert "  pace: one of slow, fast; slow unless you say otherwise\n" in page
    assert "  strict: yes or no; yes unless you say otherwise\n" in page


@pytest.mark.parametrize(
    ("stream", "column", "words"),
    [
        ('"derived/trips"', "start_ms", "what another algorithm found"),
        ('"json/stats/pipeline_time"', "entry", "the whole entry as your phone recorded it"),
    ],
)
def test_other_streams_are_said_in_words(stream: str, column: str, words: str) -> None:
    changed = MANIFEST.replace("[inputs.location]", f"[inputs.{stream}]").replace('"ts_ms", "lat_e7"', f'"{column}"')
    assert words in describe(make({bundle.MANIFEST: changed.encode()}))


@pytest.mark.parametrize("stream", [*streams.RECORDED, "json/any"])
def test_every_column_that_waykeep_records_has_words(stream: str) -> None:
    columns = ", ".join(f'"{name}"' for name in streams.schema(stream).names)
    changed = MANIFEST.replace("[inputs.location]", f'[inputs."{stream}"]').replace('"ts_ms", "lat_e7"', columns)
    page = describe(make({bundle.MANIFEST: changed.encode()}))
    assert "as that algorithm describes it" not in page
