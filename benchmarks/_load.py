"""The load of `benchmarks._witness`, a process of its own: connections that each send one request after the other.

Run with a port and a file: MessagePack, for each connection a list of requests, as HTTP bytes. It says ``ready`` when
it is connected, begins after a line on standard input, and ends with the seconds from first request to last answer.
"""

from __future__ import annotations

import selectors
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec


def main(port: int, requests: list[list[bytes]]) -> float:
    """Seconds from the first request to the last answer. Raises: RuntimeError: One was refused."""
    selector = selectors.DefaultSelector()
    connections = []
    for waiting in requests:
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(connection, selectors.EVENT_READ, iter(waiting))
        connections.append(connection)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.readline()
    start, left = time.perf_counter(), len(connections)
    for key in list(selector.get_map().values()):
        key.fileobj.sendall(next(key.data))
    while left:
        for key, _ in selector.select():
            left -= _turn(selector, key.fileobj, key.data)
    seconds = time.perf_counter() - start
    for connection in connections:
        connection.close()
    return seconds


def _turn(selector: selectors.BaseSelector, connection: socket.socket, waiting: Iterator[bytes]) -> int:
    """Take an answer and send what waits; how many connections are done with that."""
    answer = connection.recv(65536)
    head, _, body = answer.partition(b"\r\n\r\n")
    announced = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or -1)
    if not answer.startswith(b"HTTP/1.1 200 ") or len(body) != announced:
        raise RuntimeError("the witness refused a request, or answered in parts")
    following = next(waiting, None)
    if following is None:
        selector.unregister(connection)
        return 1
    connection.sendall(following)
    return 0


if __name__ == "__main__":
    found = main(int(sys.argv[1]), msgspec.msgpack.decode(Path(sys.argv[2]).read_bytes(), type=list[list[bytes]]))
    sys.stdout.write(f"{found}\n")
