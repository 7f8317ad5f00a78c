"""A witness's address at which something answers as it is told; by itself, as the witness would."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from tests.unit.builders import key
from waykeep.authority import witnessing
from waykeep.authority.keys import SigningKey
from waykeep.authority.witnessing import Held, Read
from waykeep.formats.ids import sha256
from waykeep.formats.messages import Head
from waykeep.formats.wire import decode_json

WITNESS = key("witness")
HELD = Held(Head(4, sha256(b"4")), None, None, 0, ())
TIME_MS = 1_466_380_800_000
PATIENCE_S = 20.0
"""Of everything that is to answer."""


class Server(ThreadingHTTPServer):
    """Answers as it is told, and keeps what it was asked.

    Attributes:
        reply: From path and body to status and body.
        headers: Sent with each answer.
        held_back: No answer while this is unset.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.reply: Callable[[str, bytes], tuple[int, bytes]] = genuine
        self.headers: dict[str, str] = {}
        self.asked: list[tuple[str, bytes]] = []
        self.connections = 0
        self.held_back = threading.Event()
        self.held_back.set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Server
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.asked.append((self.path, body))
        status, answer = self.server.reply(self.path, body)
        self.server.held_back.wait(PATIENCE_S)
        try:
            self.send_response(status)
            for name, value in self.server.headers.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)
        except OSError:
            self.close_connection = True  # whoever asked is gone

    def log_message(self, *_: object) -> None:
        """Nothing is said."""


def genuine(path: str, body: bytes, signer: SigningKey = WITNESS, held: Held = HELD) -> tuple[int, bytes]:
    if path == "/v1/read":
        return 200, witnessing.answer(decode_json(body, Read), None, held, TIME_MS, signer)
    found, _ = witnessing.open_request(body, WITNESS.public)
    return 200, witnessing.answer(found, body, held, TIME_MS, signer)


@contextmanager
def answering() -> Iterator[Server]:
    """A serving `Server`."""
    with Server() as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield found
        finally:
            found.held_back.set()
            found.shutdown()
            thread.join()
