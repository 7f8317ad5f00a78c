"""The source of a new version as its owner is shown it: nothing in it can hide, forge a line, or take long."""

from __future__ import annotations

import difflib
import random
import re
from collections.abc import Callable

import pytest

from tests.support.algorithms import SHIPPED
from tests.unit.algorithm.samples import make
from waykeep.algorithm import difference_source
from waykeep.algorithm.difference import MAX_SHOWN, Difference, difference, tell
from waykeep.algorithm.difference_source import MAX_WORK, _work, source_changes
from waykeep.formats.bundle import MAX_ARCHIVE
from waykeep.formats.ids import sha256

Shape = Callable[[int], tuple[list[str], list[str]]]


def source(old: bytes, new: bytes) -> list[str]:
    """The lines for one file ``a.py``, the heading first."""
    return list(source_changes({"a.py": old}, {"a.py": new}))


def test_files_that_changed_came_and_went_are_shown_as_a_unified_diff() -> None:
    body = [b"line %d\n" % number for number in range(1, 101)]
    changed = [*body[:49], b"another\n", *body[50:]]
    before = {"a.py": b"".join(body), "gone.py": b"x = 1\ny = 2\n", "same.py": b"x = 1\n", "algorithm.toml": b"x"}
    after = {"a.py": b"".join(changed), "new.py": b"z = 3\n", "same.py": b"x = 1\n", "algorithm.toml": b"y"}
    assert list(source_changes(before, after)) == [
        *("=== a.py: changed, 1 line added, 1 line removed", "@@ -47,7 +47,7 @@"),
        *(" line 47", " line 48", " line 49", "-line 50", "+another", " line 51", " line 52", " line 53"),
        *("=== gone.py: removed, 2 lines", "@@ -1,2 +0,0 @@", "-x = 1", "-y = 2"),
        *("=== new.py: added, 1 line", "@@ -0,0 +1 @@", "+z = 3"),
    ]


def test_an_empty_file_that_came_is_named() -> None:
    assert list(source_changes({}, {"p/__init__.py": b""})) == ["=== p/__init__.py: added, 0 lines"]


def test_a_missing_end_of_the_last_line_is_said() -> None:
    remark = "\\ the file ends here, without the end of a line"
    assert source(b"x\n", b"x")[2:] == ["-x", "+x", remark]


@pytest.mark.parametrize(
    ("hostile", "shown"),
    [
        ("a = 1 # \u202e)(kcehc\u2066", "a = 1 # \\u202e)(kcehc\\u2066"),  # Trojan Source, CVE-2021-42694
        ("\x1b[2K\x1b[1A\x9b8m", "\\u001b[2K\\u001b[1A\\u009b8m"),  # terminals: erase the line, go up, hide
        ("x\x08\x7f\0\x0b\x0c\t", "x\\u0008\\u007f\\u0000\\u000b\\u000c\\u0009"),
        ("\u0430dmin = \u05d0", "\\u0430dmin = \\u05d0"),  # a Cyrillic letter that looks Latin, a Hebrew one
        ("a\u200b\u3164\ufeff\U000e0041", "a\\u200b\\u3164\\ufeff\\U000e0041"),  # takes no place, or prints blank
        ("# x\u2028evil()\u0085evil()", "# x\\u2028evil()\\u0085evil()"),  # ends a line for str.splitlines alone
        (r"'\u202e' '\n'", r"'\\u202e' '\\n'"),  # an escape of the author's is told from one of ours
        ("--- a.py", "--- a.py"),
    ],
)
def test_hostile_characters_are_shown_as_escapes(hostile: str, shown: str) -> None:
    assert source(b"\n", hostile.encode() + b"\n\n")[2:] == [f"+{shown}", " "]


def test_bytes_that_are_no_text_are_shown_as_escapes() -> None:
    assert source(b"", b"\xff\xc0\x80\n")[2:] == ["+\\xff\\xc0\\x80"]


def test_a_carriage_return_ends_a_line_as_it_does_for_python() -> None:
    assert source(b"", b"# harmless\revil()\r\nx\n")[2:] == ["+# harmless\\u000d", "+evil()\\u000d", "+x"]
    assert source(b"x\n", b"x\r\n")[2:] == ["-x", "+x\\u000d"]


def test_a_long_line_is_folded_so_that_no_terminal_makes_a_line_of_it() -> None:
    text = "x" * 90 + "\u202e" + "y" * 200
    rows = source(b"", text.encode() + b"\n")[2:]
    assert [row[0] for row in rows] == ["+", ">", ">", ">"]
    assert max(map(len, rows)) == difference_source.WIDTH
    assert "".join(row[1:] for row in rows) == text.replace("\u202e", "\\u202e")
    assert rows[1].startswith(">\\u202e")


def test_source_cannot_pass_for_a_heading_of_ours() -> None:
    before, after = make(), make({"rows.py": b"=== b.py: changed\n@@ -1 +1 @@\n\\ remark\n>more\nWhat is wider\n"})
    lines = difference(before, after).source
    assert [line[0] for line in lines[2:]] == ["-", "-", "+", "+", "+", "+", "+"]
    assert [line for line in lines if line.startswith("===")] == [
        "=== rows.py: changed, 5 lines added, 2 lines removed"
    ]


@pytest.mark.parametrize("before", ["#", "\n#", "\r#", "# vim: set file", "#" + " " * 5000])
def test_a_file_in_another_encoding_is_named_for_escapes_in_it_may_be_code(before: str) -> None:
    cookie = f"{before}coding: unicode_escape\n".encode()
    note = "=== a.py: names another encoding, unicode_escape: it may do other than it seems to"
    assert source(b"x\n", cookie + b"# \\u000aevil()\n")[1] == note
    assert note[4:] in tell(difference(make({"a.py": b""}), make({"a.py": cookie})))


@pytest.mark.parametrize("line", ["# coding: utf-8", "# -*- coding: UTF_8 -*-", "\n\n# coding: utf-7", "coding = utf"])
def test_a_file_in_utf_8_is_not_named(line: str) -> None:
    assert not any("encoding" in row for row in source(b"", line.encode()))


# -------------------------------------------------------------------------------------------------------- the bounds


def test_at_most_so_many_lines_are_shown_and_the_rest_is_counted() -> None:
    def told(lines: int) -> tuple[Difference, str]:
        found = difference(make(), make({"new.py": b"x\n" * lines}))
        return found, tell(found)

    fits, all_of_it = told(MAX_SHOWN - 2)
    assert len(fits.source) == MAX_SHOWN
    assert "not shown" not in all_of_it
    assert "1 more line is not shown." in told(MAX_SHOWN - 1)[1]
    found, page = told(4_500)
    assert len(found.source) == 4_502
    assert page.count("\n  +x") == MAX_SHOWN - 2
    assert "  2,502 more lines are not shown.\n  To see them say 'waykeep algo diff'" in page


def test_all_files_are_named_before_any_line_is_shown() -> None:
    more = {"aaa.py": b"noise\n" * 4_000, "rows.py": b"def run(tables, parameters):\n    return []\n"}
    page = tell(difference(make(), make(more)))
    assert "Its source\n  aaa.py: added, 4,000 lines\n  rows.py: changed, 1 line added, 1 line removed\n\n" in page


def test_a_file_that_is_too_large_to_compare_is_told_by_its_digests() -> None:
    old, new = b"a\n" * 6_000, b"b\n" * 5_001
    found = difference(make({"big.py": old}), make({"big.py": new}))
    assert found.source == (
        "=== big.py: replaced, not shown line by line:",
        f"===   6,000 lines before ({sha256(old)})",
        f"===   5,001 lines now ({sha256(new)})",
    )
    assert "To see all of it, get both bundles" in tell(found)
    added = difference(make(), make({"big.py": old}))
    assert added.source == (
        "=== big.py: added, not shown line by line:",
        f"===   6,000 lines now ({sha256(old)})",
    )


def test_of_many_files_only_so_many_lines_are_compared() -> None:
    headings = [
        line for line in source_changes({}, {f"f{n:02}.py": b"x\n" * 4_500 for n in range(12)}) if "py: " in line
    ]
    assert headings[:11] == [f"=== f{n:02}.py: added, 4,500 lines" for n in range(11)]
    assert headings[11:] == ["=== f11.py: added, not shown line by line:"]


def test_a_small_change_of_a_large_file_is_shown() -> None:
    old = b"".join(b"x = %d\n" % number for number in range(50_000))
    rows = source(old, old.replace(b"x = 40000\n", b"evil()\n"))
    assert rows[:2] == ["=== a.py: changed, 1 line added, 1 line removed", "@@ -39998,7 +39998,7 @@"]
    assert "+evil()" in rows


def interleaved(lines: int) -> tuple[list[str], list[str]]:
    """Each match is one line long, and a search leaves all but one to the next: the square of the lines."""
    was = [f"{number}\n" for number in range(lines)]
    return was, [row for line in was for row in (line, "\n")]


def popular(lines: int) -> tuple[list[str], list[str]]:
    """Each line stands as often as `difflib` just does not pass over it, in another order."""
    was = [f"{number % 99}\n" for number in range(lines)]
    return was, random.Random(lines).sample(was, len(was))


def shuffled(lines: int) -> tuple[list[str], list[str]]:
    was = [f"{number}\n" for number in range(lines)]
    return was, random.Random(lines).sample(was, len(was))


def alike(lines: int) -> tuple[list[str], list[str]]:
    return ["x\n"] * lines, ["x\n", "y\n"] * lines


class Counting(dict[str, list[int]]):
    """The places of each line, as `difflib.SequenceMatcher` looks them up: counts its steps."""

    steps = 0

    def get(self, key: str, default: list[int]) -> list[int]:
        found = super().get(key, default)
        self.steps += 1 + len(found)
        return found


@pytest.mark.parametrize("shape", [interleaved, popular, shuffled, alike])
@pytest.mark.parametrize("lines", [1, 60, 199, 200, 500])
def test_the_work_of_difflib_is_bounded_before_it_begins(shape: Shape, lines: int) -> None:
    before, after = shape(lines)
    matcher = difflib.SequenceMatcher(None, before, after)
    counting = Counting(vars(matcher)["b2j"])
    vars(matcher)["b2j"] = counting
    matcher.get_matching_blocks()
    assert 0 < counting.steps <= _work(before, after)


@pytest.mark.parametrize(("shape", "lines"), [(interleaved, 2_400), (popular, 4_900)])
def test_files_that_would_take_quadratic_time_are_told_by_their_digests(shape: Shape, lines: int) -> None:
    before, after = ("".join(part).encode() for part in shape(lines))
    many = [{f"f{number:02}.py": part for number in range(20)} for part in (before + b"-", after + b"+")]
    headings = [line for line in source_changes(*many) if line.startswith("=== f")]
    compared_ones = [line for line in headings if "changed" in line]
    assert len(headings) == 20
    assert len(compared_ones) * _work(*shape(lines)) <= MAX_WORK
    assert all("replaced, not shown line by line" in line for line in headings[len(compared_ones) :])


def test_files_that_differ_as_programs_do_are_compared() -> None:
    programs = {path.name: path.read_bytes() for path in SHIPPED.glob("*/*.py")}
    edited = {
        name: re.sub(rb"(?m)^( +)return (.*)$", rb"\1value = \2\n\1return value", content)
        for name, content in programs.items()
    }
    assert programs.keys() == {name for name in edited if edited[name] != programs[name]}
    headings = [line for line in source_changes(programs, edited) if line.startswith("===")]
    assert len(headings) == len(programs)
    assert all("changed, " in line for line in headings)


@pytest.mark.parametrize("content", [b"\n", b"\r", b"\xff", b"\\\n", b"x", b"\xff\n", "\U000e0041".encode()])
def test_of_the_largest_bundles_a_bounded_page_is_told(content: bytes) -> None:
    part = content * ((MAX_ARCHIVE - (1 << 16)) // 60 // len(content))
    before, after = ({f"{side}{number}.py": part for number in range(60)} for side in "ab")
    found = difference(make(before), make(after))
    page = tell(found)
    assert len(found.source) < 2 * 10 * MAX_ARCHIVE // (difference_source.WIDTH - 10) + difference_source.MAX_ALL_LINES
    assert page.count("\n") < MAX_SHOWN + 400
    assert all(line.isprintable() and len(line) <= 120 for line in page.split("\n"))
