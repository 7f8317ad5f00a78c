"""The process of an aggregator: from its assignment to the end of its one query."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import suppress

from waykeep.aggregator.routes import Routes
from waykeep.channel.server import AttestedServer, listen
from waykeep.formats.frames import AssignAggregator
from waykeep.privacy import noise
from waykeep.privacy.bounds import Bounds
from waykeep.privacy.mechanisms import Mechanism
from waykeep.supervisor.link import Link

BACKLOG = 1024
TICK_S = 0.2
START_S = 120.0
"""How long it waits for its study, in seconds."""
KEPT_S = 3600.0
"""How long it gives a release to whoever asks, in seconds."""
ENDED_S = 60.0
"""How long it says that there is none, in seconds: meanwhile it takes a place that another query may need."""


def now_ms() -> int:
    return time.time_ns() // 1_000_000


def warm() -> None:
    """Draw noise once, in the parent that forks: it is the one library that a child would import.

    What the children draw is not what was drawn here, nor the same: its randomness is the operating system's.
    """
    noise.release([0], Mechanism("laplace", 1.0), Bounds(1, 0, 1))


def main(descriptor: int) -> None:
    """Serve one query, then end. Nothing of it is kept: who ends it early ends the query.

    Args:
        descriptor: The process's own supervisor socket, all that it inherited.
    """
    link = Link(descriptor)
    with link.telling():
        assigned = link.assignment(AssignAggregator)
        server = AttestedServer(link)
        routes = Routes(link, server, assigned, now_ms)
        listener = listen(assigned.listen)
        listener.listen(BACKLOG)
        link.ready(listener.getsockname()[1])
        asyncio.run(_serve(server, routes, listener))


async def _serve(server: AttestedServer, routes: Routes, listener: socket.socket) -> None:
    stop = asyncio.Event()
    routes.on_stop = stop.set
    waiting = asyncio.create_task(_pass_time(routes, stop))
    try:
        await server.serve(server.app(routes.all()), listener, stop)
    finally:
        waiting.cancel()
        with suppress(asyncio.CancelledError):
            await waiting


async def _pass_time(routes: Routes, stop: asyncio.Event) -> None:
    loop = asyncio.get_running_loop()
    end = loop.time() + START_S
    while not (routes.over or (not routes.started and loop.time() > end)):
        await asyncio.sleep(TICK_S)
        routes.pass_time()
    if routes.over:
        await asyncio.sleep(KEPT_S if routes.released else ENDED_S)
    stop.set()
