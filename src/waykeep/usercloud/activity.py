"""Since when nobody has asked anything: a layer around the application."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Receive, Scope, Send


class Activity:
    """Counts requests under way. Kept-open connections that ask nothing do not keep a user cloud awake."""

    def __init__(self, app: ASGIApp) -> None:
        self._app, self._under_way = app, 0
        self._last = asyncio.get_running_loop().time()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._under_way += 1
        try:
            await self._app(scope, receive, send)
        finally:
            self._under_way -= 1
            self._last = asyncio.get_running_loop().time()

    async def idle_for(self, seconds: float) -> None:
        """Return once nobody has asked anything for so long."""
        loop = asyncio.get_running_loop()
        left = seconds
        while left > 0:
            await asyncio.sleep(left)
            left = seconds if self._under_way else self._last + seconds - loop.time()
