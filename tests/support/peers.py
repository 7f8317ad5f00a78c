"""Peers that are not what they say: a node of one's own, and TLS servers that note every byte they are sent."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from waykeep.attestation import claims as claims_buffer
from waykeep.attestation import insecure, ratls
from waykeep.attestation.appraisal import ReferenceValues
from waykeep.attestation.claims import Claims
from waykeep.authority.keys import SigningKey
from waykeep.channel.client import ATTESTATION_PATH
from waykeep.channel.server import AttestedServer, json, listen
from waykeep.channel.tls import new_key, server_context
from waykeep.device.trusting import ISOLATION
from waykeep.formats import agefile
from waykeep.formats.ids import b64, unb64
from waykeep.formats.messages import Address, Attested
from waykeep.supervisor.signer import Signer


class OwnNode:
    """Somebody who holds a software root can have it say anything: on platform ``insecure`` that is the operator.

    Args:
        root: 32 bytes of the software root.
        references: What it claims to measure as.
        binding: What its process claims to be bound to.
        workload: What its process claims to be.
        time_ms: When its quote claims to be made.

    Attributes:
        sandbox: What its author's process claims to have put on.
        node: The recipient that it says its node has.
    """

    def __init__(
        self, root: bytes, references: ReferenceValues, binding: str, workload: str, *, time_ms: int | None = None
    ) -> None:
        key = SigningKey(root)
        self._binding, self._workload = binding, workload
        self.sandbox: tuple[str, ...] = ()
        measured = {name: values[0] for name, values in references.workloads.items()}
        now = time.time_ns() // 1_000_000
        self.node = agefile.generate()[1]
        self._signer = Signer(
            insecure.PLATFORM,
            lambda data: insecure.quote(key, references.supervisor[0], data),
            bytes(32),
            now if time_ms is None else time_ms,
            measured,
            self.node,
        )

    def evidence(self, claims: bytes, sandbox: tuple[str, ...] = ()) -> bytes:
        """As `waykeep.channel.server.Attester`."""
        return self._signer.evidence(self._workload, self._binding, claims, ISOLATION, sandbox or self.sandbox)


class Recorder:
    """A TLS server that notes what it is sent after the handshake, up to the end of a head, and answers nothing.

    Attributes:
        received: The bytes of HTTP, of all connections together.
        handshakes: How many were completed.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self.received = b""
        self.handshakes = 0


@contextmanager
def recorder(evidence_of: Callable[[bytes], tuple[bytes, bytes]]) -> Iterator[Recorder]:
    """A recording server with a key of its own.

    Args:
        evidence_of: ``evidence_of(channel)`` gives the evidence and the claims to put into its certificate.
    """
    key = new_key()
    context = server_context(key, ratls.build(key, *evidence_of(ratls.channel_of(key))))
    listener = listen("127.0.0.1")
    listener.listen(8)
    found = Recorder(Address("127.0.0.1", listener.getsockname()[1]))
    thread = threading.Thread(target=_record, args=(listener, context, found))
    thread.start()
    try:
        yield found
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        listener.close()


def _record(listener: socket.socket, context: ssl.SSLContext, found: Recorder) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection:
            connection.settimeout(10)
            try:
                with context.wrap_socket(connection, server_side=True) as tls:
                    found.handshakes += 1
                    while b"\r\n\r\n" not in found.received and (data := tls.recv(65536)):
                        found.received += data
            except (ssl.SSLError, OSError):
                continue


class Relay:
    """A TLS server that passes its evidence honestly, but an answer over a nonce from before.

    Attributes:
        asked: Paths of all requests.
        stale: Whether it repeats its first answer.
        answers: The body that it answers with, by path; 404 for others.
    """

    def __init__(self, server: AttestedServer, node: OwnNode) -> None:
        self._server, self._node, self.asked, self.stale = server, node, list[str](), False
        self._first: Response | None = None
        self.answers: dict[str, bytes] = {}
        self.address = Address("", 1)

    async def attestation(self, request: Request) -> Response:
        self.asked.append(request.url.path)
        if self._first is None or not self.stale:
            nonce = unb64(request.query_params["nonce"], 32)
            claims = claims_buffer.encode(Claims(self._server.channel, nonce))
            self._first = json(Attested(self._node.evidence(claims), claims, b64(bytes(16))))
        return self._first

    async def anything(self, request: Request) -> Response:
        self.asked.append(request.url.path)
        body = self.answers.get(request.url.path)
        return Response(status_code=404) if body is None else Response(body)

    def app(self) -> Starlette:
        methods = ["GET", "POST"]
        return Starlette(
            routes=[Route(ATTESTATION_PATH, self.attestation), Route("/{_:path}", self.anything, methods=methods)]
        )


@contextmanager
def relay(node: OwnNode) -> Iterator[Relay]:
    """A serving `Relay` of a node of one's own."""
    server = AttestedServer(node)
    found = Relay(server, node)
    listener = listen("127.0.0.1")
    listener.listen(8)
    found.address = Address("127.0.0.1", listener.getsockname()[1])
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(server.serve(found.app(), listener, stop)))
    thread.start()
    try:
        yield found
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
        listener.close()
