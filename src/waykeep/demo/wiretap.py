"""A tap on a socket: forwards both directions, and keeps every byte in files for the scan.

The tap stands between the host and those who talk to it, so that *every byte that crossed its sockets* is a folder
that `waykeep.demo.scan.scan_folder` can look through. A connection has two files of its own, `<name>-<number>.up`
(towards the server) and `.down`: in a file shared by several connections their bytes would be mixed, and a canary cut
in two. A byte is in its file before it is passed on, so nothing crosses that is not kept.

Only loopback addresses and Unix sockets are tapped. Descriptors sent along with bytes (`SCM_RIGHTS`) do not pass, and
the server sees the tap's process as its peer (`SO_PEERCRED`).
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import os
import threading
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, TypeAlias

TcpAddress: TypeAlias = tuple[str, int]
Address: TypeAlias = TcpAddress | Path

_BUFFER = 1 << 16
"""Bytes held per connection and direction; a reader that is slow makes its writer wait."""

_GRACE_S = 0.5
"""How long connections may go on by themselves once the tap is to stop."""


class Wiretap:
    """A tap in front of one server, running in a thread of its own while its context is open.

    Args:
        target: Where the server listens: (loopback address, port), or the path of a Unix socket. It is connected to
            anew for each connection, so it may start later than the tap, and restart.
        folder: Where the files of bytes go; it exists.
        name: What their names begin with.
        listen: Where the tap listens; by default a free port of 127.0.0.1 for TCP. A Unix socket needs a path, which
            is created for this user only, and removed at the end.

    Attributes:
        connections: How many there were so far.
        bytes_kept: Bytes of both directions so far.

    Raises:
        ValueError: An address is not loopback, or `listen` is missing or of the other kind.
    """

    def __init__(self, target: Address, folder: Path, name: str, listen: Address | None = None) -> None:
        if listen is None and not isinstance(target, Path):
            listen = ("127.0.0.1", 0)
        if listen is None or isinstance(listen, Path) != isinstance(target, Path):
            raise ValueError("a tap listens on the kind of socket that it connects to")
        for address in (target, listen):
            if not isinstance(address, Path) and not ipaddress.ip_address(address[0]).is_loopback:
                raise ValueError("a tap listens on and connects to loopback addresses only")
        self._target, self._listen = target, listen
        self._folder, self._name = folder, name
        self._address: Address | None = None
        self._failure: BaseException | None = None
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"wiretap {name}", daemon=True)
        self._connections: set[asyncio.Task[None]] = set()
        self.connections = self.bytes_kept = 0

    @property
    def tcp_address(self) -> TcpAddress:
        """Where clients connect instead of to the server, for TCP."""
        if self._address is None or isinstance(self._address, Path):
            raise ValueError("this tap does not listen on TCP now")
        return self._address

    def __enter__(self) -> Wiretap:
        """Starts listening.

        Raises:
            OSError: The address cannot be had.
        """
        self._thread.start()
        self._ready.wait()
        if self._failure:
            self._thread.join()
            raise self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops listening and ends all connections.

        Raises:
            OSError: Bytes could not be kept, so that the files do not show all that crossed.
        """
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself, on a failure
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        # A tap that could not keep what it passed on must not look like one that saw nothing.
        if self._failure and error is None:
            raise self._failure

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        except OSError as error:
            self._failure = error
        finally:
            self._loop.close()
            self._ready.set()

    async def _serve(self) -> None:
        if isinstance(self._listen, Path):
            server = await asyncio.start_unix_server(self._accepted, self._listen, limit=_BUFFER)
            self._listen.chmod(0o600)
            self._address = self._listen
        else:
            server = await asyncio.start_server(self._accepted, *self._listen, limit=_BUFFER)
            self._address = server.sockets[0].getsockname()[:2]
        self._ready.set()
        try:
            await self._stop.wait()
        finally:
            server.close()
            if isinstance(self._listen, Path):
                self._listen.unlink(missing_ok=True)
            await self._end_connections()

    async def _end_connections(self) -> None:
        if self._connections:
            _, late = await asyncio.wait(self._connections, timeout=_GRACE_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 -- asyncio runs a connection's callback as a task
        self._connections.add(task)
        self.connections += 1
        path = self._folder / f"{self._name}-{self.connections:04d}"
        try:
            with _create(path.with_suffix(".up")) as up, _create(path.with_suffix(".down")) as down:
                await self._forward(reader, writer, up, down)
        except OSError as error:
            self._fail(error)
        finally:
            writer.transport.abort()
            self._connections.discard(task)

    def _fail(self, error: BaseException) -> None:
        self._failure = self._failure or error
        self._stop.set()

    async def _forward(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, up: BinaryIO, down: BinaryIO
    ) -> None:
        try:
            server_reader, server_writer = await self._connect()
        except OSError:
            return  # the server is not there, and the client is told so by the end of its connection
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._copy(reader, server_writer, up))
                both.create_task(self._copy(server_reader, writer, down))
            for end in (writer, server_writer):
                end.close()
                await end.wait_closed()
        except* ConnectionError:
            pass  # one side hung up, which ends the other as well
        except* OSError as failures:
            self._fail(failures.exceptions[0])
        finally:
            server_writer.transport.abort()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if isinstance(self._target, Path):
            return await asyncio.open_unix_connection(self._target, limit=_BUFFER)
        return await asyncio.open_connection(*self._target, limit=_BUFFER)

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, keep: BinaryIO) -> None:
        while data := await reader.read(_BUFFER):
            keep.write(data)
            keep.flush()
            self.bytes_kept += len(data)
            writer.write(data)
            await writer.drain()
        writer.write_eof()


def _create(path: Path) -> BinaryIO:
    """A new file for this user only."""
    return open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb")
