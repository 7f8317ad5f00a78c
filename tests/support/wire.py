"""Bytes on an attested channel, made by hand: what an honest client would never send."""

from __future__ import annotations

import http.client
import socket
import ssl
from collections.abc import Mapping
from types import TracebackType

from waykeep.attestation import ratls
from waykeep.attestation.claims import NONCE_BYTES
from waykeep.authority import requests
from waykeep.authority.keys import SigningKey
from waykeep.channel.client import ATTESTATION_PATH
from waykeep.channel.tls import client_context
from waykeep.errors import WaykeepError
from waykeep.formats import problem
from waykeep.formats.ids import b64
from waykeep.formats.messages import Address, Attested
from waykeep.formats.wire import decode_json


class Wire:
    """One process's TLS port. It appraises nothing: it is an attacker's, or a test's that did so before."""

    def __init__(self, address: Address) -> None:
        self.address = address
        self._nonces = 0
        with self._connect() as tls:
            certificate = tls.getpeercert(True)
        assert certificate is not None
        self.evidence, self.claims, self.channel = ratls.parse(certificate)
        fresh = self.ask(self.request("GET", f"{ATTESTATION_PATH}?nonce={b64(bytes(NONCE_BYTES))}"))
        self.session = decode_json(fresh.body, Attested).session

    def _connect(self) -> ssl.SSLSocket:
        plain = socket.create_connection((self.address.host, self.address.port), 20)
        try:
            return client_context().wrap_socket(plain)
        except BaseException:
            plain.close()
            raise

    def request(self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None) -> bytes:
        """A request's bytes, as they would cross the channel."""
        lines = {"host": f"{self.address.host}:{self.address.port}", "connection": "close", **(headers or {})}
        if body and "transfer-encoding" not in lines:
            lines.setdefault("content-length", str(len(body)))
        head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        return f"{method} {path} HTTP/1.1\r\n{head}\r\n".encode() + body

    def signature(
        self, key: SigningKey, method: str, path: str, body: bytes = b"", *, nonce: str = "", channel: bytes = b""
    ) -> dict[str, str]:
        """The headers of a signed request, for this channel and with the next nonce unless others are given."""
        self._nonces += 1
        headers = {requests.CHANNEL_HEADER: b64(channel or self.channel)}
        url = f"https://{self.address.host}:{self.address.port}{path}"
        return requests.sign(
            requests.Request(method, url, headers, body), key, nonce=nonce or f"{self.session}.{self._nonces}"
        )

    def signed(self, key: SigningKey, method: str, path: str, body: bytes = b"") -> bytes:
        """A whole request as an honest device sends it."""
        return self.request(method, path, body, self.signature(key, method, path, body))

    def ask(self, data: bytes) -> Answer:
        """Send bytes on a new connection and read one answer."""
        with self._connect() as tls:
            tls.sendall(data)
            response = http.client.HTTPResponse(tls, method="HEAD" if data.startswith(b"HEAD ") else "GET")
            response.begin()
            return Answer(response.status, response.getheader("content-type", ""), response.read())

    def abandon(self, data: bytes) -> None:
        """Send bytes on a new connection and go away."""
        with self._connect() as tls:
            tls.sendall(data)


class Answer:
    """What came back."""

    def __init__(self, status: int, kind: str, body: bytes) -> None:
        self.status, self.kind, self.body = status, kind, body

    def result(self) -> bytes:
        """The body of a good answer. Raises: WaykeepError: The refusal in a problem document."""
        if self.status == 200:
            return self.body
        raise self.refusal

    @property
    def refusal(self) -> WaykeepError:
        assert self.kind == problem.MEDIA_TYPE, (self.status, self.kind, self.body[:200])
        found = problem.decode(self.body)
        assert found.status == self.status
        return found


class Held:
    """A connection that is opened and kept, with part of a request sent."""

    def __init__(self, wire: Wire, data: bytes) -> None:
        self._tls = wire._connect()
        self._tls.sendall(data)

    def __enter__(self) -> Held:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._tls.close()
