"""Marks of chunks: what is there is found, what is not is hardly ever, and an unknown chunk may hold anything."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from waykeep.vault import marks
from waykeep.vault.marks import Kind, Marks

NAMES = st.lists(st.tuples(st.sampled_from(["segment", "run", "debit", "spent"]), st.text(max_size=3)), max_size=20)


@given(st.lists(NAMES, max_size=6))
def test_every_name_is_found_in_its_chunks(parts: list[list[tuple[Kind, str]]]) -> None:
    found = Marks([marks.encode(part) for part in parts])
    for name in {name for part in parts for name in part}:
        assert found.find(*name) == [number for number, part in enumerate(parts) if name in part]
    assert found.find("segment", "longer than any") == []


def test_a_name_of_another_kind_is_another_name() -> None:
    found = Marks([marks.encode([("debit", "a")])])
    assert (found.find("debit", "a"), found.find("spent", "a")) == ([0], [])


def test_a_chunk_without_marks_may_hold_anything() -> None:
    found = Marks([marks.encode([("run", "a")]), None, marks.encode([("run", "b")])])
    assert (found.find("run", "b"), found.find("run", "c")) == ([1, 2], [1])


def test_no_chunks() -> None:
    assert Marks([]).find("run", "a") == []


def test_marks_are_eight_bytes_each() -> None:
    assert len(marks.encode([("run", str(number)) for number in range(100)])) == 800
