"""Names of the owner log's objects: their order, and which of them are looked at."""

from __future__ import annotations

import pytest

from waykeep.formats import entries
from waykeep.formats.ids import MAX_NUMBER, numbered, parse_object


@pytest.mark.parametrize("number", [0, 7, MAX_NUMBER])
def test_names_are_objects_of_an_owner_and_tell_their_number(number: int) -> None:
    for name in (numbered(number), entries.beside(number, 0, 1), entries.beside(number, 16, MAX_NUMBER)):
        assert parse_object("owner-log", name)
        assert entries.number_of(name) == number


@pytest.mark.parametrize(
    "name",
    ["", "x", "1", "00000000001", "0000000001-", "0000000001-00", "0000000001-0000000000000000", "0000000001.age",
     "0000000001-00-0000000001-1", "\u0660" * 10],
)  # fmt: skip
def test_other_names_tell_no_number(name: str) -> None:
    assert entries.number_of(name) is None


def test_the_order_of_names_is_that_of_numbers_rotations_and_key_lists() -> None:
    ordered = [
        numbered(1),
        entries.beside(1, 0, 9),
        entries.beside(1, 0, 10),
        entries.beside(1, 1, 2),
        numbered(2),
        entries.beside(2, 0, 1),
    ]
    assert sorted(ordered) == ordered
    assert [name for name in ordered if name > entries.before(2)] == ordered[4:]
    assert [name for name in ordered if name > entries.before(1)] == ordered
    assert all(name > entries.before(0) for name in ordered)


def test_the_first_of_each_count_of_rotations_are_looked_at() -> None:
    first = [entries.beside(5, 0, n) for n in range(40)]
    second = [entries.beside(5, 1, n) for n in range(40, 60)]
    others = [numbered(5), numbered(6), entries.beside(4, 0, 1), entries.beside(6, 0, 1), "x"]
    found = entries.among(5, [*others, *reversed(first), *second])
    assert found == first[: entries.MAX_BESIDE] + second[: entries.MAX_BESIDE]
    assert entries.among(5, others) == []
