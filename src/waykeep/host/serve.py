"""Running the host: one process, one event loop, one listening socket."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette
from uvicorn.protocols.http.h11_impl import H11Protocol

from waykeep.errors import HostError
from waykeep.host.metrics import LOG

MAX_CONNECTIONS = 1000
BACKLOG = 512
KEEP_ALIVE_S = 5
GRACE_S = 5
MAX_HEAD = 16384


class HostServer(uvicorn.Server):
    """uvicorn, which tells its port once it accepts connections."""

    def __init__(self, config: uvicorn.Config, listener: socket.socket, ready: Callable[[int], None]) -> None:
        super().__init__(config)
        self._listener, self._ready = listener, ready

    def run_here(self) -> None:
        """Serve until a signal, or `should_exit`; closes the listener."""
        try:
            self.run(sockets=[self._listener])
        finally:
            self._listener.close()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self._ready(self._listener.getsockname()[1])


def bind(listen: str, port: int) -> socket.socket:
    """A bound socket, so that a port of 0 is known before the application is made.

    Raises:
        HostError: ``cannot-listen``.
    """
    family = socket.AF_INET6 if ":" in listen else socket.AF_INET
    # The protocol is named because asyncio sets TCP_NODELAY only where it is, and accepted sockets inherit it: without,
    # Nagle and delayed acknowledgements hold each second answer of a connection back for 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((listen, port))
    except (OSError, OverflowError) as error:  # the second for a port that is none
        listener.close()
        raise HostError(
            "cannot-listen",
            f"cannot listen on {listen} port {port}: {getattr(error, 'strerror', None) or 'no such address'}",
            hint="choose another port, or end what listens there",
        ) from None
    return listener


def make_server(
    app: Starlette, listener: socket.socket, ready: Callable[[int], None], protocol: type[H11Protocol]
) -> HostServer:
    """The server around a bound socket, not yet running.

    Args:
        protocol: HTTP below the application, passed in: `waykeep.channel.protocol.ProblemProtocol`.
    """
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http=protocol,
        ws="none",
        lifespan="off",
        log_config=None,
        log_level=logging.CRITICAL,  # uvicorn's own lines would quote exceptions; ours say what is needed
        access_log=False,
        proxy_headers=False,
        server_header=False,
        limit_concurrency=2 * MAX_CONNECTIONS + 1,  # for tasks; connections are refused before, with a reason
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
        h11_max_incomplete_event_size=MAX_HEAD,
    )
    return HostServer(config, listener, ready)


def log_to_stderr() -> None:
    """One line an event, as ``key=value`` pairs."""
    if not LOG.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("time=%(asctime)s level=%(levelname)s room=host %(message)s"))
        LOG.addHandler(handler)
        LOG.setLevel(logging.INFO)
        LOG.propagate = False


def serve_on(
    app: Starlette, listener: socket.socket, ready: Callable[[int], None], protocol: type[H11Protocol]
) -> None:
    """Serve on a socket of `bind` until a signal ends the process."""
    log_to_stderr()
    make_server(app, listener, ready, protocol).run_here()
