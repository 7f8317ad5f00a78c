"""HTTP/1.1 for a witness: a connection on `httptools`' parser, with a bound and a deadline for all that may come.

A connection serves one request after the other. Who sends the next before the answer to the last (pipelining) gets
that answer, and the connection ends: such a client sends again. A body has a length announced, at most `MAX_REQUEST`.

Refusals are problem documents: ``http-malformed``, ``head-too-large`` (431), ``length-required`` (411), ``too-large``
(413), ``head-timeout`` and ``body-timeout`` (408), ``body-truncated``, ``witness-busy`` (503). The connection ends with
each of them.
"""

from __future__ import annotations

import asyncio
import math
from http import HTTPStatus
from typing import cast

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from waykeep.authority.witnessing import MAX_REQUEST
from waykeep.errors import ChannelError, FormatError, WaykeepError, WitnessError
from waykeep.witness.limits import Limits
from waykeep.witness.service import Service

_PHRASES = {status.value: status.phrase for status in HTTPStatus}


class Connections:
    """All connections of a server. `sweep`, called now and then, ends those that are late."""

    def __init__(self, service: Service, loop: asyncio.AbstractEventLoop, limits: Limits) -> None:
        self.service, self.loop, self.limits = service, loop, limits
        self._finishing = False
        self.open: set[Connection] = set()
        self._empty = asyncio.Event()

    def new(self) -> Connection:
        return Connection(self)

    def sweep(self) -> None:
        now = self.loop.time()
        for connection in [found for found in self.open if found.deadline <= now]:
            connection.late()

    def finish(self) -> None:
        """End those that wait for a request, the others with their answer, and take no more."""
        self._finishing = True
        for connection in list(self.open):
            connection.finish()

    async def ended(self, grace_s: float) -> None:
        """Wait until all connections have ended; those that have not by then are dropped."""
        if self.open:
            self._empty.clear()
            try:
                await asyncio.wait_for(self._empty.wait(), grace_s)
            except TimeoutError:
                for connection in list(self.open):
                    connection.abort()

    def crowd(self) -> float:
        """How many times as many there are as may be."""
        return math.inf if self._finishing else len(self.open) / self.limits.connections

    def lost(self, connection: Connection) -> None:
        self.open.discard(connection)
        if not self.open:
            self._empty.set()


class Connection(asyncio.Protocol):
    """One connection."""

    def __init__(self, server: Connections) -> None:
        self._server, self._limits = server, server.limits
        self._parser = HttpRequestParser(self)
        self._transport: asyncio.Transport
        self.deadline = math.inf
        self._busy = self._last = self._held = self._stuck = False
        self._due(self._limits.head_s)
        self._refusal: WaykeepError | None = None
        self._start()

    def _start(self) -> None:
        self._head_bytes, self._in_head, self._begun = 0, True, False
        self._path, self._body, self._length, self._method = b"", b"", 0, b""

    # -- what asyncio calls --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._server.open.add(self)
        crowd = self._server.crowd()
        if crowd > 2:
            self._transport.abort()
        elif crowd > 1:
            self._refuse(
                WitnessError("witness-busy", "this witness has too many connections", hint="try again", status=503)
            )

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.lost(self)

    def data_received(self, data: bytes) -> None:
        if self._busy:
            self._hold()
            return
        if self._last or self._transport.is_closing():
            return  # it was refused
        self._head_bytes += len(data) if self._in_head else 0
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            if self._busy:  # what follows a whole request is no part of it
                self._hold()
            else:
                self._refuse(
                    self._refusal or ChannelError("http-malformed", "found bytes that are no HTTP/1.1 request")
                )
            return
        if self._in_head and self._head_bytes > self._limits.head_bytes and not self._busy:
            self._refuse(
                ChannelError("head-too-large", f"found a head over {self._limits.head_bytes} bytes", status=431)
            )

    def eof_received(self) -> bool:
        if self._busy:
            self._last = True
            return True  # the answer may still be wanted
        if self._begun:
            self._refuse(ChannelError("body-truncated", "found a request that ends before its announced length"))
        return False

    def pause_writing(self) -> None:
        self._due(self._limits.write_s)
        self._stuck = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._stuck = False
        self._due(math.inf if self._busy else self._limits.idle_s)
        if not self._last:
            self._transport.resume_reading()

    # -- what the parser calls -----------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._busy:
            raise ValueError  # ends the parsing
        self._begun = True
        self._due(self._limits.head_s)

    def on_url(self, url: bytes) -> None:
        self._path += url

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        if name == b"content-length":
            self._length = int(value) if value.isdigit() and len(value) < 10 else MAX_REQUEST + 1
        elif name == b"transfer-encoding":
            self._stop(ChannelError("length-required", "found a body without an announced length", status=411))
        elif name == b"expect" and value.lower() == b"100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_headers_complete(self) -> None:
        if self._length > MAX_REQUEST:
            self._stop(FormatError("too-large", f"found a body over {MAX_REQUEST} bytes", status=413))
        self._in_head = False
        self._method = self._parser.get_method()
        self._due(self._limits.body_s)

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self._busy = True
        self._due(math.inf)
        self._last = self._last or not self._parser.should_keep_alive()
        self._server.service.handle(self._method, self._path, self._body, self._reply)

    # -- answering -----------------------------------------------------------------------------------------------------

    def finish(self) -> None:
        """End with the answer to the request that is being served, or now."""
        self._last = True
        if not self._busy:
            self._transport.close()

    def abort(self) -> None:
        self._transport.abort()

    def late(self) -> None:
        """A deadline has passed."""
        if self._stuck or self._last or self._transport.is_closing():
            self._transport.abort()
        elif not self._begun:
            self._transport.close()
        elif self._in_head:
            self._refuse(ChannelError("head-timeout", "found a request whose head does not end", status=408))
        else:
            self._refuse(
                ChannelError("body-timeout", "found a body that does not end", hint="send it again", status=408)
            )

    def _due(self, seconds: float) -> None:
        """Set the deadline; a peer that takes no answers keeps the one that it has."""
        if not self._stuck:
            self.deadline = self._server.loop.time() + seconds

    def _stop(self, refusal: WaykeepError) -> None:
        self._refusal = refusal
        raise ValueError  # ends the parsing

    def _hold(self) -> None:
        """More was sent while an answer is due: it is not read, and the connection ends with that answer."""
        self._last = self._held = True
        self._transport.pause_reading()

    def _refuse(self, refusal: WaykeepError) -> None:
        self._last = True
        self._server.service.refuse("none", refusal, self._reply)

    def _linger(self) -> None:
        """End, once the peer does: bytes that nobody read would have the kernel take the answer back."""
        self._busy = False
        self._due(self._limits.linger_s)
        try:
            self._transport.write_eof()
            self._transport.resume_reading()
        except OSError:  # it is gone
            self._transport.abort()

    def _reply(self, status: int, media_type: str, body: bytes) -> None:
        transport = self._transport
        if transport.is_closing():
            return
        close = b"connection: close\r\n" if self._last else b""
        retry = b"retry-after: 1\r\n" if status == 503 else b""
        head = b"HTTP/1.1 %d %s\r\ncontent-type: %s\r\ncontent-length: %d\r\n%s%s\r\n" % (
            *(status, _PHRASES[status].encode(), media_type.encode(), len(body)),
            *(close, retry),
        )
        transport.write(head if self._method == b"HEAD" else head + body)
        if self._last and self._busy and not self._held:
            self._due(self._limits.write_s)
            transport.close()
            return
        if self._last:
            self._linger()
            return
        self._start()
        self._busy = False
        self._due(self._limits.idle_s)
