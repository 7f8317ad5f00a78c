"""Arrow's query engine without threads, which a run does not have.

``Table.filter`` with an expression, ``group_by`` and ``join`` go through ``pyarrow.acero``, whose plans use a thread
pool unless told otherwise; ``filter`` cannot even be told. Where no thread starts, the pool ends the process (an
exception of C++ that nobody catches). So plans made there run on the thread that asks, whatever they are told: the
rows are the same, and their order no longer depends on luck.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pyarrow as pa
from pyarrow import acero


class _Sequence:
    """A plan made of several; only what ``pyarrow.acero`` does with one."""

    def __init__(self, plan: Any) -> None:
        self._plan = plan

    def to_table(self, use_threads: bool = True) -> pa.Table:
        return self._plan.to_table(use_threads=False)


class _Declaration(acero.Declaration):  # type: ignore[misc]  # pyarrow ships no types
    """As `pyarrow.acero.Declaration`, on one thread."""

    @staticmethod
    def from_sequence(plans: Iterable[Any]) -> _Sequence:
        return _Sequence(_THREADED.from_sequence(list(plans)))

    def to_table(self, use_threads: bool = True) -> pa.Table:
        return super().to_table(use_threads=False)


_THREADED = acero.Declaration


def use_one_thread() -> None:
    """For the rest of this process's life, and that of the processes it forks."""
    pa.set_cpu_count(1)
    acero.Declaration = _Declaration
