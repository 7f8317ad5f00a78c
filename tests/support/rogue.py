"""A hostile host: it passes everything on to the real one, but for the answers that it makes up."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

from waykeep.formats.messages import Address
from waykeep.formats.wire import encode_json

Lie = Callable[[str, str], "tuple[int, dict[str, str], bytes] | None"]
"""``lie(method, path)``: status, headers and body to answer with, or None to be honest."""


class RogueHost:
    """Stands between devices or user clouds and the real host.

    Attributes:
        url: Where it listens.
        asked: Method and path of every request, in order.
        lie: What it makes up.
    """

    def __init__(self, real: str, server: ThreadingHTTPServer) -> None:
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        self.real = real
        self.asked: list[tuple[str, str]] = []
        self.lie: Lie = lambda method, path: None

    def wrong_cloud(self, address: Address) -> None:
        """From now on every owner's user cloud is said to be there."""
        self.lie = lambda method, path: _json(address) if path.endswith("/cloud") else None

    def wrong_service(self, address: Address) -> None:
        """From now on every algorithm service is said to be there."""
        self.lie = lambda method, path: _json(address) if path.endswith("/services") else None


def _json(message: object) -> tuple[int, dict[str, str], bytes]:
    return 200, {"content-type": "application/json"}, encode_json(message)


@contextmanager
def rogue_host(real: str) -> Iterator[RogueHost]:
    """A rogue host before the one at ``real``."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    rogue = RogueHost(real, server)
    with httpx.Client(trust_env=False, timeout=30) as client:
        server.rogue, server.client = rogue, client
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield rogue
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    """One connection a request: HTTP/1.0, so that none is left open."""

    timeout = 10

    def answer(self) -> None:
        rogue, client = self.server.rogue, self.server.client
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        rogue.asked.append((self.command, self.path))
        made_up = rogue.lie(self.command, self.path)
        if made_up is None:
            # With the Host header as it came: it is part of what the sender signed.
            headers = {k: v for k, v in self.headers.items() if k.lower() not in ("connection", "content-length")}
            found = client.request(self.command, rogue.real + self.path, headers=headers, content=body or None)
            made_up = found.status_code, {"content-type": found.headers.get("content-type", "")}, found.content
        status, headers, content = made_up
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_PUT = do_POST = answer

    def log_message(self, *_: object) -> None:
        pass
