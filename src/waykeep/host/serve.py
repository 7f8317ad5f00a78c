"""Running the host: one process, one event loop, one listening socket."""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import Callable

import uvicorn
from starlette.applications import Starlette

from waykeep.errors import HostError
from waykeep.host.metrics import LOG
from waykeep.host.protocol import MAX_CONNECTIONS, HostProtocol

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
    except OSError as error:
        listener.close()
        raise HostError(
            "cannot-listen",
            f"cannot listen on {listen} port {port}: {error.strerror or 'no such address'}",
            hint="choose another port, or end what listens there",
        ) from None
    return listener


def make_server(app: Starlette, listener: socket.socket, ready: Callable[[int], None]) -> HostServer:
    """The server around a bound socket, not yet running."""
    config = uvicorn.Config(
        app,
        loop="asyncio",
        http=HostProtocol,
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


def serve_on(app: Starlette, listener: socket.socket, ready: Callable[[int], None]) -> None:
    """Serve on a socket of `bind` until a signal ends the process."""
    log_to_stderr()
    make_server(app, listener, ready).run_here()


def serve(app: Starlette, listen: str, port: int, ready: Callable[[int], None]) -> None:
    """Serve until a signal ends the process.

    Args:
        listen: Address to listen on.
        port: Port, or 0 for any.
        ready: Called once with the port when connections are accepted.

    Raises:
        HostError: ``cannot-listen``.
    """
    serve_on(app, bind(listen, port), ready)
