"""TLS 1.3 and nothing older, no tickets, and no key log for whoever sets the environment."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.channel.serving import Echo, serving
from waykeep.channel import tls


@pytest.fixture(scope="module")
def echo() -> Iterator[Echo]:
    with serving() as found:
        yield found


def handshake(echo: Echo, context: ssl.SSLContext) -> str | None:
    """The version of TLS that was agreed on, after an exchange of HTTP."""
    address = (echo.address.host, echo.address.port)
    with socket.create_connection(address, 5) as plain, context.wrap_socket(plain) as found:
        found.sendall(b"GET /nothing HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n")
        assert found.recv(100).startswith(b"HTTP/1.1 404")
        assert not found.session_reused
        assert found.session is None or not found.session.has_ticket
        return found.version()


def open_context() -> ssl.SSLContext:
    """A client that takes everything."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def test_tls_1_3_is_spoken(echo: Echo) -> None:
    assert handshake(echo, tls.client_context()) == "TLSv1.3"


def test_a_client_of_tls_1_2_is_refused(echo: Echo) -> None:
    context = open_context()
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises((ssl.SSLError, ConnectionError)):
        handshake(echo, context)
    assert handshake(echo, open_context()) == "TLSv1.3", "and not for any other reason"


def test_a_client_asks_for_nothing_older() -> None:
    up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
    with pytest.raises(ssl.SSLWantReadError):
        tls.client_context().wrap_bio(down, up).do_handshake()
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    with pytest.raises(ssl.SSLError, match=r"(?i)unsupported.protocol"):
        old.wrap_bio(up, down, server_side=True).do_handshake()


def test_no_ticket_is_given(echo: Echo) -> None:
    context = tls.client_context()
    for _ in range(2):
        assert handshake(echo, context) == "TLSv1.3"


def test_bytes_that_are_no_tls_end_the_connection(echo: Echo) -> None:
    with socket.create_connection((echo.address.host, echo.address.port), 5) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")
        while data := plain.recv(1000):
            assert b"HTTP" not in data


_CHILD = """
import ssl, sys
from waykeep.attestation import claims, insecure, ratls
from waykeep.attestation.claims import Claims
from waykeep.channel import tls
key = tls.new_key()
certificate = ratls.build(key, b"evidence", claims.encode(Claims(ratls.channel_of(key))))
server, client = tls.server_context(key, certificate), tls.client_context()
if sys.argv[1] == "default":
    client = ssl.create_default_context()
    client.check_hostname, client.verify_mode = False, ssl.CERT_NONE
up, down = ssl.MemoryBIO(), ssl.MemoryBIO()
ends = [client.wrap_bio(down, up), server.wrap_bio(up, down, server_side=True)]
for _ in range(3):
    for end in ends:
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            pass
assert ends[0].version() == "TLSv1.3"
"""


@pytest.mark.parametrize("whose", ["ours", "default"])
def test_keys_are_not_logged_where_the_environment_asks_for_it(tmp_path: Path, whose: str) -> None:
    log = tmp_path / "keys.log"
    subprocess.run(
        [sys.executable, "-c", _CHILD, whose], env=os.environ | {"SSLKEYLOGFILE": str(log)}, check=True, timeout=60
    )
    # A library's own context does write it, so this test would notice.
    assert (log.exists() and b"TRAFFIC_SECRET" in log.read_bytes()) == (whose == "default")
