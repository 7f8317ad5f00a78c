"""Which chunk of a snapshot may hold a name or an id: eight bytes of a hash for each tell it before it is opened.

A mark that is there says *perhaps*, and one that is not says *no*. Without the marks of a chunk it may hold anything.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

Kind = Literal["segment", "run", "debit", "spent", "intended", "study-debit", "contributed"]
BYTES = 8
_TYPE = "<u8"


def mark(kind: Kind, text: str) -> int:
    return int.from_bytes(hashlib.sha256(f"{kind} {text}".encode()).digest()[:BYTES], "little")


def encode(names: Iterable[tuple[Kind, str]]) -> bytes:
    """The marks of a chunk, as its object holds them."""
    return np.array([mark(*name) for name in names], dtype=_TYPE).tobytes()


class Marks:
    """Of all chunks together. Args: parts: By chunk what `encode` made, None where it is not at hand."""

    def __init__(self, parts: Sequence[bytes | None]) -> None:
        self._unknown = [number for number, part in enumerate(parts) if part is None]
        found = [np.frombuffer(part or b"", dtype=_TYPE) for part in parts]
        values: npt.NDArray[np.uint64] = np.concatenate(found) if found else np.empty(0, _TYPE)
        order = np.argsort(values, kind="stable")
        self._values = values[order]
        self._chunks = np.repeat(np.arange(len(found)), [len(each) for each in found])[order]

    def find(self, kind: Kind, text: str) -> list[int]:
        """The numbers of the chunks that may hold it, ascending."""
        wanted = np.uint64(mark(kind, text))
        start, end = np.searchsorted(self._values, wanted, "left"), np.searchsorted(self._values, wanted, "right")
        return sorted({*self._unknown, *self._chunks[start:end].tolist()})
