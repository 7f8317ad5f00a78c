"""Running a witness: one process, one event loop, one listening socket, one thread that waits for the disk."""

from __future__ import annotations

import asyncio
import logging
import resource
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from waykeep.authority.keys import SigningKey
from waykeep.errors import WitnessError
from waykeep.formats.ids import PublicKey
from waykeep.witness import keyfile
from waykeep.witness.commits import GroupCommit
from waykeep.witness.connection import Connections
from waykeep.witness.limits import Limits
from waykeep.witness.register import SqliteRegister
from waykeep.witness.service import Service

log = logging.getLogger("waykeep.witness")
BACKLOG = 512
SWEEP_S = 0.5
GRACE_S = 5.0
"""How long peers may take to read their answers once the process is told to end, in seconds."""
Ready = Callable[[int, PublicKey], None]


def serve(state: Path, listen: str, port: int, *, seed: bytes, time_ms: Callable[[], int], ready: Ready) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        state: Folder of key and register; made if missing.
        port: 0 picks a free one.
        seed: 32 random bytes, for the first start.
        time_ms: The time that answers tell, in milliseconds since 1970.
        ready: Called with port and public key once connections are accepted.

    Raises:
        WitnessError: ``witness-folder``, ``witness-running``, ``witness-key-damaged``, ``witness-store``,
            ``cannot-listen``.
    """
    _log_to_stderr()
    keyfile.make_folder(state)
    with ExitStack() as stack:
        lock = keyfile.only_one(state)
        stack.callback(keyfile.release, lock)
        key = keyfile.load(state, seed)
        register = SqliteRegister(state)
        stack.callback(register.close)
        listener = _bind(listen, port)
        stack.callback(listener.close)
        _raise_descriptors()
        asyncio.run(_main(key, register, listener, time_ms, ready))


async def _main(
    key: SigningKey, register: SqliteRegister, listener: socket.socket, time_ms: Callable[[], int], ready: Ready
) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    commits = GroupCommit(register, loop, lambda kind: log.error("event=store-failed kind=%s", kind))
    connections = Connections(Service(key, register, commits, time_ms), loop, Limits())
    server = await loop.create_server(connections.new, sock=listener, backlog=BACKLOG)
    ready(listener.getsockname()[1], key.public)
    while not stop.is_set():
        try:
            await asyncio.wait_for(stop.wait(), SWEEP_S)
        except TimeoutError:
            connections.sweep()
    server.close()
    connections.finish()
    await commits.close()
    await connections.ended(GRACE_S)


def _bind(listen: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in listen else socket.AF_INET
    # The protocol is named because asyncio sets TCP_NODELAY only where it is.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((listen, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise WitnessError(
            "cannot-listen",
            f"cannot listen on {listen} port {port}: {getattr(error, 'strerror', None) or 'no such address'}",
            hint="choose another port, or end what listens there",
        ) from None
    return listener


def _log_to_stderr() -> None:
    """One line an event, as ``key=value`` pairs; requests are counted, not logged."""
    if not log.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("time=%(asctime)s level=%(levelname)s room=witness %(message)s"))
        log.addHandler(handler)
        log.propagate = False


def _raise_descriptors() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, hard), hard))
