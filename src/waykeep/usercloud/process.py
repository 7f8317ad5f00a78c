"""The process of a user cloud: from its assignment to its server."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import pyarrow as pa
from starlette.applications import Starlette

from waykeep.channel.server import AttestedServer, listen
from waykeep.errors import SupervisorError, WaykeepError
from waykeep.formats.messages import AssignCloud
from waykeep.supervisor.link import Link
from waykeep.usercloud.cloud import Cloud
from waykeep.usercloud.routes import Routes
from waykeep.usercloud.runs import Runner
from waykeep.vault.store import DirectoryStore


async def _serve(server: AttestedServer, cloud: Cloud, app: Starlette, listener: socket.socket) -> None:
    """Serve until another instance is found to write the journal; requests under way are still answered."""
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def end() -> None:
        loop.call_soon_threadsafe(stop.set)

    cloud.on_stop = end
    await server.serve(app, listener, stop)


def main(descriptor: int) -> None:
    """Serve one owner until killed, or until another instance takes over.

    Args:
        descriptor: The process's own supervisor socket, all that it inherited.
    """
    link = Link(descriptor)
    try:
        assigned = link.assignment()
        if not isinstance(assigned, AssignCloud):
            raise SupervisorError("assignment-mismatch", "found an assignment that is no user cloud's")
        pa.set_cpu_count(1)
        cloud = Cloud(assigned.owner, DirectoryStore(Path(assigned.store)))
        server = AttestedServer(link)
        runner = Runner(cloud, assigned.host_url, server.measurement)
        app = server.app(Routes(server, cloud, runner).all())
        listener = listen(assigned.listen)
        listener.listen(128)
        # From here the kernel queues connections, so the port may be told.
        link.ready(listener.getsockname()[1])
        asyncio.run(_serve(server, cloud, app, listener))
        link.event("journal-taken")
    except WaykeepError as error:
        link.event(error.rule)
        raise
    except Exception as error:
        # The type alone: a message could hold what was computed on.
        link.event(f"unexpected-{type(error).__name__.lower()}")
        raise
