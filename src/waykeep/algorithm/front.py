"""The measured front of an algorithm service: it talks to the user cloud, and to its sandboxed child through two pipes.

In the order that makes each step safe: the child's sandbox is on and reported; the bundle is checked against the digest
that the supervisor bound this process to; the channel key is made and gets its evidence, with the sandbox's report in
it. Only after a user cloud has appraised that and sent rows does the child get the author's code. One computation is
served, then the process ends; so it never serves a second user cloud.
"""

from __future__ import annotations

import asyncio
import os
import socket

import anyio.to_thread
import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from waykeep.algorithm import preload, runner
from waykeep.channel.server import AttestedServer, listen, read_body
from waykeep.errors import AlgorithmError
from waykeep.formats.bundle import Bundle, load
from waykeep.formats.frames import AssignAlgorithm
from waykeep.formats.messages import Compute, Computed
from waykeep.formats.wire import MIB, decode_frame
from waykeep.supervisor.link import Link

MAX_COMPUTE = 256 * MIB
REPORT_S = 10.0
IDLE_S = 30.0
"""How long a front waits for its user cloud before it ends."""


def main(descriptor: int, read: int, write: int) -> None:
    """Serve one run. The descriptors are the supervisor socket and the pipes from and to the child."""
    link = Link(descriptor)
    with link.telling():
        assigned = link.assignment(AssignAlgorithm)
        sandbox = runner.await_report(read, REPORT_S)
        bundle = load(assigned.bundle)
        if bundle.digest != assigned.digest:
            raise AlgorithmError("digest-mismatch", "found a bundle that has not the digest this process is bound to")
        preload.check_bundle(bundle)
        server = AttestedServer(link, sandbox)
        once = _Once(bundle, assigned.bundle, read, write)
        listener = listen(assigned.listen)
        listener.listen(8)
        link.ready(listener.getsockname()[1])
        asyncio.run(_serve(server, once, listener))


async def _serve(server: AttestedServer, once: _Once, listener: socket.socket) -> None:
    stop = asyncio.Event()
    once.done = stop
    loop = asyncio.get_running_loop()
    loop.call_later(IDLE_S, lambda: None if once.taken else stop.set())
    app = server.app([Route("/v1/compute", once.compute, methods=["POST"])])
    await server.serve(app, listener, stop)


class _Once:
    """The one computation of this process."""

    def __init__(self, bundle: Bundle, archive: bytes, read: int, write: int) -> None:
        self._bundle, self._archive, self._pipes = bundle, archive, (read, write)
        self.taken = False
        self.done: asyncio.Event | None = None

    async def compute(self, request: Request) -> Response:
        """POST `/v1/compute`. Raises: AlgorithmError: ``already-taken`` for all but the first."""
        if self.taken:
            raise AlgorithmError("already-taken", "found a second request; a service computes once", status=409)
        self.taken = True
        try:
            asked = decode_frame(
                await read_body(request, MAX_COMPUTE), Compute, limit=MAX_COMPUTE, what="a computation"
            )
            leaving = asyncio.create_task(_end_if_left(request))
            try:
                rows = await anyio.to_thread.run_sync(self._run, asked)
            finally:
                leaving.cancel()
            return Response(msgspec.msgpack.encode(Computed(rows)), media_type="application/msgpack")
        finally:
            if self.done is not None:
                self.done.set()

    def _run(self, asked: Compute) -> list[dict[str, int | str | bool]]:
        read, write = self._pipes
        wall_s = float(self._bundle.manifest.limits.wall_s)
        try:
            return runner.run(read, write, self._bundle, self._archive, asked.parameters, asked.tables, wall_s)
        except runner.RunError as error:
            raise _told(error) from None


async def _end_if_left(request: Request) -> None:
    """End this process, and with it the child, once its user cloud left: the run is stopped, and serves nobody."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    os._exit(0)


def _told(error: runner.RunError) -> AlgorithmError:
    """A failure as the owner's user cloud gets it: with the kind of exception and its place in the author's source."""
    if error.failure is None:
        return error
    path, line = error.failure.lines[-1] if error.failure.lines else ("the bundle", 0)
    where = f"{error.failure.kind} in {path}, line {line}"
    return AlgorithmError(error.rule, f"{error.message} ({where})", hint=error.hint, status=error.status)
