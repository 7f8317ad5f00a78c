"""The client's end of an attested channel.

Order of what happens, none of which can be left out: TLS handshake; the certificate's evidence is appraised (bound to
the key) before a byte of HTTP is sent; fresh evidence over a nonce is asked for and appraised; only then does a caller
get to send anything. A connection made later in the same session must show the same channel key.
"""

from __future__ import annotations

import contextlib
import itertools
import re
import secrets
import socket
import ssl
import weakref
from collections.abc import Callable, Iterable
from ipaddress import IPv6Address
from typing import Any
from urllib.parse import quote

import httpcore
from httpcore import SOCKET_OPTION

from waykeep.attestation import ratls
from waykeep.attestation.appraisal import AttestationResult, Expectation
from waykeep.attestation.claims import NONCE_BYTES
from waykeep.authority import requests
from waykeep.authority.keys import SigningKey
from waykeep.channel.exchange import TooLarge, bounded
from waykeep.channel.tls import client_context
from waykeep.channel.trust import Trust
from waykeep.errors import AttestationError, ChannelError
from waykeep.formats import problem
from waykeep.formats.ids import b64
from waykeep.formats.messages import Address, Attested
from waykeep.formats.wire import MIB, decode_json

MAX_ANSWER = 64 * MIB
ATTESTATION_PATH = "/.well-known/attestation"
_NAME = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_-]{1,63}(\.[A-Za-z0-9_-]{1,63})*")
_IPV6 = re.compile(r"(?=.*:)[0-9A-Fa-f:.]{2,45}")


class AttestedClient:
    """An attested connection to one process, bound to its channel key.

    Args:
        address: Where the (untrusted) host says that it listens.
        workload: ``user-cloud`` or ``algorithm``.
        binding: The owner id or algorithm digest that it must be bound to.
        trust: Roots, reference values, policy.
        clock: The caller's clock in ms since 1970 UTC.
        signer: Signs requests; None for a peer that asks for no signature.
        timeout_s: For connecting, and for each read.

    Raises:
        AttestationError: Named by the rule that refused the peer.
        ChannelError: ``address-malformed``, ``unreachable``, ``tls-failed``, ``answer-malformed``.
    """

    def __init__(
        self,
        address: Address,
        *,
        workload: str,
        binding: str,
        trust: Trust,
        clock: Callable[[], int],
        signer: SigningKey | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        self._base = _origin(address)
        self._workload, self._binding, self._trust, self._clock, self._signer = workload, binding, trust, clock, signer
        self._timeout = {"connect": timeout_s, "read": timeout_s, "write": timeout_s, "pool": timeout_s}
        self._channel: bytes | None = None
        self._counter = itertools.count(1)
        self._backend = _Backend(self._greet)
        self._pool = httpcore.ConnectionPool(
            ssl_context=client_context(), network_backend=self._backend, max_connections=4
        )
        try:
            self.result, self._session = self._attest()
        except BaseException:
            self.close()
            raise

    def _greet(self, certificate: bytes) -> None:
        evidence, claims, channel = ratls.parse(certificate)
        if self._channel not in (None, channel):
            raise AttestationError(
                "channel-changed", "found another channel key than the one appraised before", status=403
            )
        self._trust.appraise(evidence, claims, self._expected(channel, b""), self._clock())
        self._channel = channel

    def _expected(self, channel: bytes, nonce: bytes) -> Expectation:
        return Expectation(self._workload, self._binding, channel, nonce)

    def _attest(self) -> tuple[AttestationResult, str]:
        nonce = secrets.token_bytes(NONCE_BYTES)
        body, _ = self._exchange("GET", f"{ATTESTATION_PATH}?nonce={quote(b64(nonce))}", [], b"", MIB)
        found = decode_json(body, Attested, what="fresh evidence")
        if self._channel is None:
            raise ChannelError("tls-failed", "found a connection whose certificate was not appraised")
        result = self._trust.appraise(found.evidence, found.claims, self._expected(self._channel, nonce), self._clock())
        return result, found.session

    def request(self, method: str, path: str, body: bytes = b"", *, limit: int = MAX_ANSWER) -> bytes:
        """Send a request, signed if there is a signer, and return the answer's body.

        Raises:
            WaykeepError: The typed refusal that the peer answered with.
            ChannelError: ``unreachable``, ``answer-malformed``, ``answer-too-large``.
        """
        return self.request_with_headers(method, path, body, limit=limit)[0]

    def request_with_headers(
        self, method: str, path: str, body: bytes = b"", *, limit: int = MAX_ANSWER
    ) -> tuple[bytes, dict[str, str]]:
        """As `request`, with the answer's headers, their names in lower case."""
        headers: dict[str, str] = {}
        if self._signer is not None and self._channel is not None:
            headers[requests.CHANNEL_HEADER] = b64(self._channel)
            message = requests.Request(method, self._base + path, headers, body)
            headers = requests.sign(message, self._signer, nonce=f"{self._session}.{next(self._counter)}")
        return self._exchange(method, path, list(headers.items()), body, limit)

    def _exchange(
        self, method: str, path: str, headers: list[tuple[str, str]], body: bytes, limit: int
    ) -> tuple[bytes, dict[str, str]]:
        try:
            with self._pool.stream(
                method, self._base + path, headers=headers, content=body or None, extensions={"timeout": self._timeout}
            ) as response:
                answer = bounded(response.iter_stream(), limit)
                status = response.status
                found = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        except TooLarge:
            raise ChannelError("answer-too-large", f"found an answer over {limit} bytes", status=502) from None
        except (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError) as error:
            raise ChannelError(
                "unreachable",
                f"found no answer ({type(error).__name__})",
                hint="ask the host for the address again",
                status=502,
            ) from None
        if status >= 400:
            raise problem.decode(answer)
        return answer, found

    def close(self) -> None:
        self._pool.close()

    def abort(self) -> None:
        """End what waits for an answer, from another thread: it is ``unreachable`` there."""
        self._backend.abort()

    def __enter__(self) -> AttestedClient:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _origin(address: Address) -> str:
    """The origin to connect to. An address is a stranger's text: a name or a number, and never more of a URL."""
    if _NAME.fullmatch(address.host):
        return f"https://{address.host}:{address.port}"
    if _IPV6.fullmatch(address.host):
        with contextlib.suppress(ValueError):
            return f"https://[{IPv6Address(address.host)}]:{address.port}"
    raise ChannelError("address-malformed", "found an address that is neither a name nor a number", status=502)


class _Backend(httpcore.NetworkBackend):
    """Hands each new TLS connection's certificate to ``greet`` before anything is sent on it."""

    def __init__(self, greet: Callable[[bytes], None]) -> None:
        self._inner = httpcore.SyncBackend()
        self._greet = greet
        self._sockets = weakref.WeakSet[socket.socket]()

    def abort(self) -> None:
        for made in list(self._sockets):
            with contextlib.suppress(OSError):
                # The method of the plain socket: that of a TLS one would take away what another thread reads from.
                socket.socket.shutdown(made, socket.SHUT_RDWR)

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        stream = self._inner.connect_tcp(host, port, timeout, local_address, socket_options)
        return _Stream(stream, self._greet, self._sockets.add)

    def sleep(self, seconds: float) -> None:
        self._inner.sleep(seconds)


class _Stream(httpcore.NetworkStream):
    def __init__(
        self, inner: httpcore.NetworkStream, greet: Callable[[bytes], None], made: Callable[[socket.socket], None]
    ) -> None:
        self._inner, self._greet, self._made = inner, greet, made

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        stream = self._inner.start_tls(ssl_context, server_hostname, timeout)
        certificate = stream.get_extra_info("ssl_object").getpeercert(True)
        try:
            if certificate is None:
                raise ChannelError("tls-failed", "found a server without a certificate")
            self._greet(certificate)
        except BaseException:
            stream.close()
            raise
        self._made(stream.get_extra_info("socket"))
        return stream

    # Plain bytes never pass: only `start_tls` gives a stream that reads and writes.
    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        raise ChannelError("tls-failed", "found a read before TLS")

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        raise ChannelError("tls-failed", "found a write before TLS")

    def close(self) -> None:
        self._inner.close()

    def get_extra_info(self, info: str) -> Any:
        return self._inner.get_extra_info(info)
