"""Search for thousands of byte patterns at once, at a few hundred megabytes a second.

A pattern of at least seven bytes covers, wherever it lies, one whole 4-byte word at a multiple of four. So only every
fourth position of the data is looked at: its word is hashed into a bitmap of the words that patterns can show there
(four per pattern, one for each way to lie across the grid). What passes is looked up exactly, and then compared whole.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from waykeep.demo.canaries import MINIMUM_PATTERN, Canary

_BLOCK = 1 << 18
"""Bytes searched at a time: the intermediate arrays stay in the processor's cache."""

_HASH = np.uint32(0x9E3779B1)
"""2**32 over the golden ratio (Knuth, The Art of Computer Programming, vol. 3, 6.4)."""

_WINDOWS = 12
"""How many places of a pattern are tried for the words to look for."""

_COMMON_ANYWHERE, _HOPELESS = 1 << 30, 1 << 40
"""What a word costs that small integers make, and one that fills whole pages of memory; else its count in patterns."""

_DIGITS = frozenset(b"0123456789")
_CONSTANT_WORDS = frozenset(bytes([value]) * 4 for value in range(256))


class Matcher:
    """The patterns of some canaries, made ready for searching.

    Args:
        canaries: What to look for; at least one.

    Raises:
        ValueError: There is nothing to look for, or a pattern is too short or too regular to search for.
    """

    def __init__(self, canaries: Sequence[Canary]) -> None:
        owners: dict[bytes, list[int]] = {}
        for number, canary in enumerate(canaries):
            for pattern in canary.patterns:
                owners.setdefault(pattern, []).append(number)
        if not owners:
            raise ValueError("found no pattern, expected something to look for")
        if min(map(len, owners)) < MINIMUM_PATTERN:
            raise ValueError(f"a pattern has at least {MINIMUM_PATTERN} bytes")
        self.canaries = tuple(canaries)
        self.longest = max(map(len, owners))
        self._patterns = tuple(owners)
        self._owners = tuple(tuple(numbers) for numbers in owners.values())
        self._numbers_only = tuple(
            all(canaries[number].kind == "decimal" for number in numbers) for numbers in owners.values()
        )
        self._index_words()

    def _index_words(self) -> None:
        common = Counter(word for pattern in self._patterns for word in set(_words(pattern)))
        places: dict[int, list[tuple[int, int]]] = {}
        for number, pattern in enumerate(self._patterns):
            start = _rarest_window(pattern, common)
            for offset in range(start, start + 4):
                word = int.from_bytes(pattern[offset : offset + 4], "little")
                places.setdefault(word, []).append((number, offset))
        self._keys = np.array(sorted(places), np.uint32)
        self._places = tuple(tuple(places[int(key)]) for key in self._keys)
        # At most one bit in 64 is set, so that most of the data is done with after one look into the bitmap.
        bits = max(16, math.ceil(math.log2(len(self._keys) * 64)))
        self._shift = np.uint32(32 - bits)
        self._bitmap = np.zeros(1 << bits, np.bool_)
        self._bitmap[self._hash(self._keys)] = True

    def _hash(self, words: npt.NDArray[np.uint32]) -> npt.NDArray[np.intp]:
        return ((words * _HASH) >> self._shift).astype(np.intp)

    def search(self, data: bytes) -> Iterator[tuple[int, int]]:
        """Yields (offset, index into `canaries`) for each occurrence, an occurrence once per canary."""
        for start in range(0, len(data) - 3, _BLOCK):
            words = np.frombuffer(data, "<u4", (min(_BLOCK, len(data) - start)) // 4, start)
            likely = np.flatnonzero(self._bitmap.take(self._hash(words), mode="clip"))
            values = words[likely]
            slots = np.searchsorted(self._keys, values)
            np.minimum(slots, len(self._keys) - 1, out=slots)
            exact = np.flatnonzero(self._keys[slots] == values)
            for position, slot in zip((likely[exact] * 4 + start).tolist(), slots[exact].tolist(), strict=True):
                for number, offset in self._places[slot]:
                    if self._matches(data, position - offset, number):
                        yield from ((position - offset, owner) for owner in self._owners[number])

    def _matches(self, data: bytes, at: int, number: int) -> bool:
        pattern = self._patterns[number]
        if at < 0 or not data.startswith(pattern, at):
            return False
        if not self._numbers_only[number]:
            return True
        # 37.12345 in 137.12345 is another number; and so is 371234567 in 3712345678.
        end = at + len(pattern)
        continued = b"." not in pattern and end < len(data) and data[end] in _DIGITS
        return not continued and not (at > 0 and data[at - 1] in _DIGITS)


def _words(pattern: bytes) -> list[bytes]:
    return [pattern[offset : offset + 4] for offset in range(len(pattern) - 3)]


def _rarest_window(pattern: bytes, common: Counter[bytes]) -> int:
    """Where in a pattern four words begin one after the other that few other patterns, and little else, contain."""
    costs = [
        common[word] + _COMMON_ANYWHERE * (word.count(0) >= 3) + _HOPELESS * (word in _CONSTANT_WORDS)
        for word in _words(pattern)
    ]
    # The end of a decimal or an identifier says more than its beginning: among equals the last place wins.
    last = len(pattern) - MINIMUM_PATTERN
    windows = {start: sum(costs[start : start + 4]) for start in range(last, max(-1, last - _WINDOWS), -1)}
    best = min(windows, key=windows.__getitem__)
    if windows[best] >= _HOPELESS:
        raise ValueError("a pattern repeats one byte throughout, expected something that other data does not hold")
    return best
