"""Back-pressure: what members send is worked on a few at a time, and no more wait than memory is there for."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import anyio
import anyio.to_thread

from waykeep.errors import AggregatorError

T = TypeVar("T")


class Turns:
    """Work in threads, in turn. It belongs to one event loop.

    Args:
        at_once: So much is worked on at a time.
        waiting: So much is there at most, that which is worked on included.
    """

    def __init__(self, at_once: int, waiting: int) -> None:
        self._limit, self._room, self._here = anyio.CapacityLimiter(at_once), waiting, 0

    async def take(self, work: Callable[[], T]) -> T:
        """What ``work`` returns or raises. Raises: AggregatorError: ``query-busy`` (503) where there is no room."""
        if self._here >= self._room:
            raise AggregatorError("query-busy", "found too much waiting already", hint="come again", status=503)
        self._here += 1
        try:
            return await anyio.to_thread.run_sync(work, limiter=self._limit)
        finally:
            self._here -= 1
