"""Of a connection that did not speak TLS yet, nothing can be read and nothing is sent."""

from __future__ import annotations

import socket

from tests.support.people import refused
from waykeep.channel.client import _Backend


def test_plain_bytes_never_pass() -> None:
    greeted: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        stream = _Backend(greeted.append).connect_tcp("127.0.0.1", server.getsockname()[1])
        peer, _ = server.accept()
        with peer:
            with refused("tls-failed", "channel"):
                stream.write(b"a secret")
            with refused("tls-failed", "channel"):
                stream.read(100)
            stream.close()
            assert peer.recv(100) == b""
    assert greeted == []
