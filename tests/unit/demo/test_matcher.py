from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waykeep.demo.canaries import Canary
from waykeep.demo.matcher import Matcher


def key(*patterns: bytes) -> Canary:
    return Canary("key", "a key", patterns)


def test_every_place_against_the_grid_is_seen() -> None:
    for pattern in (b"pattern", b"a pattern of some length"):
        matcher = Matcher([key(pattern)])
        for before in range(16):
            assert list(matcher.search(b"." * before + pattern)) == [(before, 0)]
            assert list(matcher.search(b"." * before + pattern + b"." * 9)) == [(before, 0)]


@given(st.binary(max_size=3000), st.lists(st.integers(0, 2993), max_size=8), st.integers(0, 2**32))
def test_finds_what_a_plain_search_finds(noise: bytes, places: list[int], seed: int) -> None:
    patterns = [np.random.default_rng([seed, n]).bytes(7 + n) for n in range(40)]
    data = bytearray(noise)
    for n, at in enumerate(places):
        data[at : at + len(patterns[n])] = patterns[n]
    expected = {(at, n) for n, p in enumerate(patterns) for at in range(len(data)) if data.startswith(p, at)}
    assert set(Matcher([key(p) for p in patterns]).search(bytes(data))) == expected


def test_blocks_do_not_cut_a_pattern() -> None:
    matcher = Matcher([key(b"across the edge")])
    for before in range((1 << 18) - 20, (1 << 18) + 4):
        assert list(matcher.search(bytes(before) + b"across the edge" + bytes(5))) == [(before, 0)]


def test_a_shared_pattern_finds_each_of_its_canaries() -> None:
    matcher = Matcher([key(b"shared!"), key(b"another"), key(b"shared!")])
    assert list(matcher.search(b"--shared!--")) == [(2, 0), (2, 2)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b"[37.38980]", True),
        (b"[37.3898049]", True),
        (b"[-37.38980]", True),
        (b"[137.38980]", False),
        (b"373898049", True),
        (b"x373898049,", True),
        (b"1373898049", False),
        (b"3738980491", False),
    ],
)
def test_a_decimal_inside_a_longer_number_is_another_number(text: bytes, found: bool) -> None:
    matcher = Matcher([Canary("decimal", "somewhere", (b"37.38980", b"373898049"))])
    assert bool(list(matcher.search(text))) is found


def test_nothing_to_look_for_is_refused() -> None:
    for canaries in ([], [key()]):
        with pytest.raises(ValueError, match="found no pattern"):
            Matcher(canaries)


def test_a_pattern_that_cannot_be_told_from_other_data_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 7 bytes"):
        Matcher([key(b"short")])
    with pytest.raises(ValueError, match="repeats one byte"):
        Matcher([key(bytes(32))])
