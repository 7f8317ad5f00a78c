"""The server's end of an attested channel: key, certificate, fresh evidence, and signed requests."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
from collections.abc import Awaitable, Callable, Collection
from typing import Protocol

import uvicorn
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from waykeep.attestation import claims as claims_buffer
from waykeep.attestation import evidence as evidence_format
from waykeep.attestation import ratls
from waykeep.attestation.claims import NONCE_BYTES, Claims
from waykeep.attestation.evidence import WORKLOAD_TYPE, WorkloadClaims
from waykeep.authority import dsse, requests
from waykeep.channel.client import ATTESTATION_PATH
from waykeep.channel.protocol import ProblemProtocol
from waykeep.channel.sessions import SESSION_BYTES, Sessions
from waykeep.channel.tls import load_certificate, new_key, server_context
from waykeep.errors import ChannelError, FormatError, WaykeepError
from waykeep.formats import problem
from waykeep.formats.ids import PublicKey, b64, unb64
from waykeep.formats.messages import Attested
from waykeep.formats.wire import decode_json, encode_json

Handler = Callable[[Request], Awaitable[Response]]

BODY_IDLE_S, BODY_S = 20.0, 600.0
"""The longest silence inside a body, and the longest time that one may take, in seconds."""
RENEW_S = 86_400.0
"""How often the evidence in the certificate is renewed: the supervisor's quote in it ages."""


class Attester(Protocol):
    """Whoever makes evidence for this process: its supervisor, or on SGX the enclave itself."""

    def evidence(self, claims: bytes, sandbox: tuple[str, ...]) -> bytes:
        """Encoded `waykeep.attestation.evidence.Evidence` over a claims buffer."""


class AttestedServer:
    """One process's end: a channel key made here and now, and the sessions opened under it.

    Args:
        attester: Makes evidence.
        sandbox: What the author's process reported, for an algorithm service.
    """

    def __init__(self, attester: Attester, sandbox: tuple[str, ...] = ()) -> None:
        self._attester, self._sandbox, self._sessions = attester, sandbox, Sessions()
        self._key = new_key()
        self.channel = ratls.channel_of(self._key)
        evidence, certificate = self._certificate()
        self.measurement = own_measurement(evidence)
        self._tls = server_context(self._key, certificate)

    def renew(self) -> None:
        """Put evidence of now into the certificate, over the same key; connections made from now on see it."""
        load_certificate(self._tls, self._key, self._certificate()[1])

    def _certificate(self) -> tuple[bytes, bytes]:
        claims = claims_buffer.encode(Claims(self.channel))
        evidence = self._attester.evidence(claims, self._sandbox)
        return evidence, ratls.build(self._key, evidence, claims)

    async def attestation(self, request: Request) -> Response:
        """GET `/.well-known/attestation?nonce=`: fresh evidence over the asker's nonce, and a session."""
        nonce = unb64(request.query_params.get("nonce", ""), NONCE_BYTES)
        claims = claims_buffer.encode(Claims(self.channel, nonce))
        evidence = self._attester.evidence(claims, self._sandbox)
        session = self._sessions.open(secrets.token_bytes(SESSION_BYTES))
        return json(Attested(evidence, claims, session))

    def verify(self, request: Request, body: bytes, keys: Collection[str]) -> PublicKey:
        """The key that signed a request for this very process, taken once.

        Raises:
            AuthorityError, ChannelError: As `requests.verify` and `Sessions.take` do.
        """
        signed = requests.verify(
            requests.Request(request.method, str(request.url), dict(request.headers), body),
            keys,
            channel=b64(self.channel),
        )
        self._sessions.take(signed.nonce)
        return signed.signer

    def app(self, routes: list[Route]) -> Starlette:
        """The application: ``routes``, fresh evidence, and problem documents for typed refusals."""
        return Starlette(
            routes=[Route(ATTESTATION_PATH, self.attestation), *routes],
            exception_handlers={WaykeepError: _refuse, 404: _no_route, 405: _no_route, 500: _failed},
        )

    async def serve(self, app: ASGIApp, listener: socket.socket, stop: asyncio.Event | None = None) -> None:
        """Serve over TLS on a bound socket until ``stop`` (or for ever).

        Uvicorn's logs are off: a line can hold a path.
        """
        config = uvicorn.Config(
            app,
            http=ProblemProtocol,
            loop="asyncio",
            lifespan="off",
            ws="none",
            log_config=None,
            log_level=logging.CRITICAL,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_graceful_shutdown=5,
            timeout_keep_alive=30,
        )
        config.load()
        config.ssl = self._tls
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        # Not `uvicorn.Server.serve`: it installs signal handlers, which a supervised process has no use for, and wakes
        # ten times a second, which ten thousand idle user clouds cannot afford.
        await server.startup(sockets=[listener])
        ended = stop or asyncio.Event()
        while not ended.is_set():
            try:
                await asyncio.wait_for(ended.wait(), RENEW_S)
            except TimeoutError:
                self.renew()
        await server.shutdown(sockets=[listener])


def own_measurement(evidence: bytes) -> str:
    """What this process's own evidence says it measures as, for the receipts it signs."""
    workload = dsse.peek(evidence_format.decode(evidence).workload, WORKLOAD_TYPE).payload
    return decode_json(workload, WorkloadClaims, what="workload evidence").measurement


def listen(host: str) -> socket.socket:
    """A bound TCP socket on a free port of ``host``."""
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    # asyncio turns Nagle's algorithm off only where it is told that the socket is TCP; else an answer waits 40 ms.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind((host, 0))
    os.set_inheritable(listener.fileno(), False)
    return listener


async def read_body(request: Request, limit: int) -> bytes:
    """A request's body, never buffering more than ``limit`` bytes.

    Raises:
        FormatError: ``too-large`` (413).
        ChannelError: ``body-truncated`` when the client went away, ``body-timeout`` (408).
    """
    parts, size, stream = [], 0, request.stream()
    try:
        async with asyncio.timeout(BODY_S):
            while True:
                async with asyncio.timeout(BODY_IDLE_S):
                    chunk = await anext(stream, None)
                if chunk is None:
                    break
                size += len(chunk)
                if size > limit:
                    raise FormatError("too-large", f"found a body over {limit} bytes", status=413)
                parts.append(chunk)
    except TimeoutError:
        raise ChannelError("body-timeout", "found a body that does not end in time", status=408) from None
    except ClientDisconnect:
        raise ChannelError("body-truncated", "found a body that ended before its length") from None
    return b"".join(parts)


def json(message: object, status: int = 200) -> Response:
    return Response(encode_json(message), status, media_type="application/json")


async def _refuse(_: Request, error: Exception) -> Response:
    if not isinstance(error, WaykeepError):
        raise error
    return Response(problem.encode(error), error.status, media_type=problem.MEDIA_TYPE)


async def _no_route(request: Request, _: Exception) -> Response:
    return await _refuse(
        request, ChannelError("no-such-resource", "found no resource of this name and method", status=404)
    )


async def _failed(request: Request, error: Exception) -> Response:
    # The type alone: a message could hold what was computed on.
    refusal = ChannelError("internal", f"an error inside the server ({type(error).__name__})", status=500)
    return await _refuse(request, refusal)
