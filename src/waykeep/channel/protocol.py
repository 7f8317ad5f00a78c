"""HTTP/1.1 below the application: what uvicorn's h11 protocol leaves open to a hostile client.

It waits without end for the head of a request, answers what is no HTTP in plain text, and closes without a word on a
body that was cut. Under every server of ours lies this instead: a head has a deadline, and every refusal is a problem
document.
"""

from __future__ import annotations

import asyncio
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from waykeep.errors import ChannelError
from waykeep.formats import problem

HEAD_S = 10.0
"""The longest time from a connection, or the first byte of a next request, to the end of its head, in seconds."""


MAX_CONNECTIONS = 1000
"""Connections at once. For one more the one that was kept longest after an answer is closed; where all are at work, up
to twice as many are told to come again, and further ones are dropped."""


class ProblemProtocol(H11Protocol):
    """uvicorn's protocol with a deadline for heads, a bound on connections, and typed refusals."""

    head_s = HEAD_S
    max_connections = MAX_CONNECTIONS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        if len(self.connections) > self.max_connections:
            self._make_room()
        if len(self.connections) > 2 * self.max_connections:
            transport.abort()
        self._watch()

    def _make_room(self) -> None:
        """Close the connection that has been kept longest since its last answer: its client opens another."""
        kept = [
            (waiting.when(), number, other)
            for number, other in enumerate(self.connections)
            if isinstance(other, ProblemProtocol) and (waiting := other.timeout_keep_alive_task) is not None
        ]
        if kept:
            _, _, longest = min(kept)
            self.connections.discard(longest)
            longest.transport.abort()

    def data_received(self, data: bytes) -> None:
        if len(self.connections) > self.max_connections and self.conn.their_state is h11.IDLE:
            self.refuse(ChannelError("host-busy", "this server has too many connections", hint="try again", status=503))
            return
        super().data_received(data)
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        self._unwatch()
        super().connection_lost(exc)

    def eof_received(self) -> None:
        if self.conn.their_state is h11.SEND_BODY:
            self.refuse(ChannelError("body-truncated", "found a body that ends before its announced length"))

    def send_400_response(self, msg: str) -> None:
        self.refuse(ChannelError("http-malformed", "found bytes that are no HTTP/1.1 request"))

    def refuse(self, error: ChannelError) -> None:
        """Answer with a problem document, if no answer has begun, and close."""
        if self.transport.is_closing():
            return
        if self.conn.our_state in (h11.IDLE, h11.SEND_RESPONSE):
            body = problem.encode(error)
            headers = [
                (b"content-type", problem.MEDIA_TYPE.encode()),
                (b"content-length", str(len(body)).encode()),
                (b"connection", b"close"),
            ]
            if error.status == 503:
                headers.append((b"retry-after", b"1"))
            head = h11.Response(status_code=error.status, headers=headers, reason=error.rule.encode())
            for event in (head, h11.Data(data=body), h11.EndOfMessage()):
                self.transport.write(self.conn.send(event) or b"")
        self.transport.close()

    def _watch(self) -> None:
        if self.conn.their_state is not h11.IDLE or self.transport.is_closing():
            self._unwatch()
        elif self._deadline is None:
            self._deadline = self.loop.call_later(self.head_s, self._late)

    def _unwatch(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _late(self) -> None:
        self._deadline = None
        self.refuse(ChannelError("head-timeout", "found a request whose head does not end", status=408))
