"""Somebody between a device and its host, or the host itself: passes requests on, drops them, loses answers, lies."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from waykeep.errors import HostError, WaykeepError
from waykeep.formats import problem

PASS, DROP, LOSE = "pass", "drop", "lose"
"""Pass a request on; end the connection before it gets there; pass it on and end the connection before its answer."""
Said = str | WaykeepError | bytes
"""One of these, a refusal to answer with, or a body."""
Rule = Callable[[int, str, str], Said]


class Between(ThreadingHTTPServer):
    """A relay.

    Attributes:
        rule: ``rule(count, method, path)`` says what happens to a request; ``count`` is how many came before it.
        asked: Method and path of all requests.
    """

    daemon_threads = False

    def __init__(self, host_url: str) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.host = host_url.removeprefix("http://")
        self.rule: Rule = lambda count, method, path: PASS
        self.asked: list[tuple[str, str]] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def puts(self, room: str) -> int:
        """How many objects were put into a room, or tried to."""
        return sum(method == "PUT" and f"/{room}/" in path for method, path in self.asked)


class _Handler(BaseHTTPRequestHandler):
    server: Between
    protocol_version = "HTTP/1.1"

    def serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        with self.server.lock:
            count = len(self.server.asked)
            self.server.asked.append((self.command, self.path))
            said = self.server.rule(count, self.command, self.path)
        if isinstance(said, WaykeepError):
            self.answer(said.status, problem.encode(said))
        elif isinstance(said, bytes):
            self.answer(200, said)
        elif said == DROP:
            self.close_connection = True
        else:
            status, answer = self.passed(body)
            if said == LOSE:
                self.close_connection = True
            else:
                self.answer(status, answer)

    do_GET = do_PUT = do_POST = serve

    def passed(self, body: bytes) -> tuple[int, bytes]:
        # With its own Host: a signature covers it.
        connection = http.client.HTTPConnection(self.server.host, timeout=30)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() != "connection":
                    connection.putheader(name, value)
            connection.endheaders(body or None)
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Nothing is said."""


def missing() -> HostError:
    """What a host says of an object that it does not have, or hides."""
    return HostError("object-missing", "found no object", status=404)


def cut_after(passed: int, kind: str = DROP) -> Rule:
    """Pass so many requests, then none: as a device sees it that was cut off there."""

    def rule(count: int, method: str, path: str) -> Said:
        return PASS if count < passed else kind if count == passed else DROP

    return rule


@contextmanager
def between(host_url: str) -> Iterator[Between]:
    """A relay in front of a host."""
    with Between(host_url) as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield found
        finally:
            found.shutdown()
            thread.join()
