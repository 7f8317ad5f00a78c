from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from waykeep.demo.wiretap import Wiretap


@contextmanager
def echo_server(family: int, address: str | tuple[str, int]) -> Iterator[socket.socket]:
    """Answers each connection with `echo: ` and all it said, once the other side has said everything."""

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                said = bytearray()
                while data := connection.recv(1 << 16):
                    said += data
                connection.sendall(b"echo: " + said)

    with socket.socket(family) as listener:
        listener.bind(address)
        listener.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield listener
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def talk(client: socket.socket, say: bytes) -> bytes:
    # Both at once: the tap holds only so much, so a client that will not listen cannot say everything.
    speaker = threading.Thread(target=lambda: (client.sendall(say), client.shutdown(socket.SHUT_WR)))
    speaker.start()
    heard = bytearray()
    while data := client.recv(1 << 16):
        heard += data
    speaker.join()
    return bytes(heard)


def hears_nothing_more(client: socket.socket) -> bool:
    client.settimeout(10)
    try:
        return client.recv(1) == b""
    except ConnectionResetError:
        return True


def test_tcp_is_forwarded_and_kept(tmp_path: Path) -> None:
    say = bytes(range(256)) * 20_000
    with (
        echo_server(socket.AF_INET, ("127.0.0.1", 0)) as server,
        Wiretap(server.getsockname(), tmp_path, "tcp") as tap,
    ):
        for number in (1, 2):
            with socket.create_connection(tap.tcp_address) as client:
                assert talk(client, say) == b"echo: " + say
            assert (tmp_path / f"tcp-000{number}.up").read_bytes() == say
            assert (tmp_path / f"tcp-000{number}.down").read_bytes() == b"echo: " + say
    assert tap.connections == 2
    assert tap.bytes_kept == 2 * (2 * len(say) + 6)


def test_unix_socket_is_forwarded_kept_and_removed(tmp_path: Path) -> None:
    target, listen = tmp_path / "server", tmp_path / "tap"
    with echo_server(socket.AF_UNIX, str(target)), Wiretap(target, tmp_path, "unix", listen):
        assert listen.stat().st_mode & 0o777 == 0o600
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(listen))
            assert talk(client, b"hello") == b"echo: hello"
    assert (tmp_path / "unix-0001.up").read_bytes() == b"hello"
    assert not listen.exists()


def test_a_missing_server_ends_the_connection_and_not_the_tap(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = unused.getsockname()
    with Wiretap(address, tmp_path, "tcp") as tap:
        for _ in range(2):
            with socket.create_connection(tap.tcp_address) as client:
                assert hears_nothing_more(client)
    assert tap.connections == 2


def test_leaving_ends_connections_that_are_still_open(tmp_path: Path) -> None:
    with echo_server(socket.AF_INET, ("127.0.0.1", 0)) as server:
        with Wiretap(server.getsockname(), tmp_path, "tcp") as tap:
            client = socket.create_connection(tap.tcp_address)
            client.sendall(b"unfinished")
            while not tap.bytes_kept:
                pass
        with client:
            assert hears_nothing_more(client)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(tap.tcp_address)
    assert (tmp_path / "tcp-0001.up").read_bytes() == b"unfinished"


def test_a_tap_that_cannot_keep_bytes_forwards_none_and_says_so(tmp_path: Path) -> None:
    folder = tmp_path / "captures"
    folder.mkdir()
    with (
        echo_server(socket.AF_INET, ("127.0.0.1", 0)) as server,
        pytest.raises(FileNotFoundError),
        Wiretap(server.getsockname(), folder, "tcp") as tap,
    ):
        folder.rmdir()
        with socket.create_connection(tap.tcp_address) as client:
            assert hears_nothing_more(client)


def test_only_loopback_and_one_kind_of_socket(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="loopback"):
        Wiretap(("192.0.2.1", 80), tmp_path, "tap")
    with pytest.raises(ValueError, match="loopback"):
        Wiretap(("127.0.0.1", 80), tmp_path, "tap", ("192.0.2.1", 0))
    with pytest.raises(ValueError, match="kind of socket"):
        Wiretap(tmp_path / "socket", tmp_path, "tap")
    with pytest.raises(ValueError, match="kind of socket"):
        Wiretap(("127.0.0.1", 80), tmp_path, "tap", tmp_path / "socket")


def test_an_address_that_is_taken_is_an_error(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(OSError, match="in use"), Wiretap(("127.0.0.1", 1), tmp_path, "tap", taken.getsockname()):
            pass
