"""Room for so many services at once: whoever asked first is next."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class Room:
    """Counts services that run and those that are being started, or several could each take the last place.

    Args:
        running: How many run.
    """

    def __init__(self, running: Callable[[], int]) -> None:
        self._running, self._starting = running, 0
        self._turns, self._freed = asyncio.Lock(), asyncio.Event()

    async def take(self, most: int, wait_s: float) -> None:
        """Wait for one's turn, and until fewer than ``most`` run; then one is being started.

        Raises: TimeoutError: After ``wait_s`` seconds.
        """
        async with asyncio.timeout(wait_s), self._turns:
            while self._running() + self._starting >= most:
                self._freed.clear()
                await self._freed.wait()
            self._starting += 1

    def started(self) -> None:
        """What was being started runs, and is counted as such; or it failed."""
        self._starting -= 1
        self._freed.set()

    def ended(self) -> None:
        """One that ran has ended."""
        self._freed.set()
