"""Since when nobody has asked anything: a layer around the application."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from starlette.types import ASGIApp, Receive, Scope, Send


class Activity:
    """Counts requests under way. Kept-open connections that ask nothing do not keep a user cloud awake.

    Args:
        idle_s: After how long without a request it is idle, in seconds.
        linger_s: The same once something was done for others, and as long as nobody sent a request.
    """

    def __init__(self, app: ASGIApp, idle_s: float, linger_s: float) -> None:
        self._app, self._idle_s, self._linger_s = app, idle_s, linger_s
        self._patience, self._asked = idle_s, False
        self._lock, self._under_way, self._last = threading.Lock(), 0, time.monotonic()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._asked, self._patience = True, self._idle_s
        with self._busy():
            await self._app(scope, receive, send)

    @contextmanager
    def for_others(self) -> Iterator[None]:
        """The time of something that no request asked for; from any thread."""
        try:
            with self._busy():
                yield
        finally:
            if not self._asked and self._loop is not None:
                self._patience = self._linger_s
                self._loop.call_soon_threadsafe(self._changed.set)

    @contextmanager
    def _busy(self) -> Iterator[None]:
        self._count(1)
        try:
            yield
        finally:
            self._count(-1)

    def _count(self, change: int) -> None:
        with self._lock:
            self._under_way += change
            self._last = time.monotonic()

    async def idle(self) -> None:
        """Return once nobody has asked anything for so long."""
        self._loop = asyncio.get_running_loop()
        while (left := self._left()) > 0:
            self._changed.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), left)

    def _left(self) -> float:
        return self._patience if self._under_way else self._last + self._patience - time.monotonic()
