"""A body that never ends, and evidence in a certificate that grows old."""

from __future__ import annotations

import socket
import ssl
from dataclasses import dataclass, field

import pytest

from tests.support.peers import OwnNode
from tests.support.people import refused
from tests.unit.channel import serving
from tests.unit.channel.serving import NOW_MS, OWNER, REFERENCES, ROOT, Echo, connect
from waykeep.attestation.evidence import USER_CLOUD
from waykeep.channel import server
from waykeep.channel.server import AttestedServer
from waykeep.channel.tls import client_context

DAY_MS = 86_400_000


@dataclass
class Aging:
    """A node whose quote can be made anew."""

    node: OwnNode = field(default_factory=lambda: at(NOW_MS - 40 * DAY_MS))

    def evidence(self, claims: bytes, sandbox: tuple[str, ...]) -> bytes:
        return self.node.evidence(claims, sandbox)


def at(time_ms: int) -> OwnNode:
    return OwnNode(ROOT, REFERENCES, OWNER, USER_CLOUD, time_ms=time_ms)


def test_a_renewed_certificate_is_accepted_where_the_old_one_was_too_old(monkeypatch: pytest.MonkeyPatch) -> None:
    aging = Aging()
    aged = AttestedServer(aging)
    monkeypatch.setattr(Echo, "__init__", lambda self: _with(self, aged))
    with serving.serving() as echo:
        with refused("platform-evidence-expired", "attestation"):
            connect(echo.address)
        aging.node = at(NOW_MS)
        # Fresh evidence would do, but the certificate's comes first.
        with refused("platform-evidence-expired", "attestation"):
            connect(echo.address)
        channel = aged.channel
        aged.renew()
        with connect(echo.address) as client:
            assert client.request("POST", "/echo", b"x") == b"x"
        assert aged.channel == channel


def _with(echo: Echo, aged: AttestedServer) -> None:
    echo.server, echo.bodies = aged, []


def test_a_body_that_pauses_for_too_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "BODY_IDLE_S", 0.2)
    with serving.serving() as echo:
        raw = socket.create_connection((echo.address.host, echo.address.port), 10)
        with client_context().wrap_socket(raw) as tls:
            tls.sendall(b"POST /echo HTTP/1.1\r\nhost: a\r\ncontent-length: 100\r\n\r\nx")
            answer = _read(tls)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"body-timeout" in answer
        assert echo.bodies == []


def _read(tls: ssl.SSLSocket) -> bytes:
    parts = b""
    while b"}" not in parts and (part := tls.recv(4096)):
        parts += part
    return parts
