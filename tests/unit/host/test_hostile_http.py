"""Clients that do not play by HTTP's rules, over raw sockets."""

from __future__ import annotations

import contextlib
import http.client
import socket
import time
from pathlib import Path

import pytest

from tests.unit.host.rig import Host, Person, raw_refused, refused, running
from waykeep.authority import requests
from waykeep.channel.protocol import ProblemProtocol
from waykeep.formats.ids import sha256
from waykeep.formats.segment import MAX_SEGMENT
from waykeep.host.ports import HostLimits

SMALL = HostLimits(segment_bytes=4096, object_bytes=2048, body_idle_s=0.3, body_total_s=1.0)


def head(host: Host, person: Person, path: str, body: bytes, extra: bytes, method: str = "PUT") -> bytes:
    """A request's head, signed for ``body`` by the device, with ``extra`` header lines."""
    signed = requests.sign(requests.Request(method, host.url + path, {}, body), person.device)
    lines = b"".join(f"{name}: {value}\r\n".encode() for name, value in signed.items())
    return b"%s %s HTTP/1.1\r\nhost: 127.0.0.1:%d\r\n%s%s\r\n" % (
        method.encode(),
        path.encode(),
        host.port,
        lines,
        extra,
    )


def segment(person: Person) -> str:
    return f"/v1/owners/{person.owner}/segments/h.age"


def test_a_body_over_the_bound_is_refused_by_its_announcement(host: Host, person: Person) -> None:
    before = host.files()
    length = b"content-length: %d\r\nexpect: 100-continue\r\n" % (MAX_SEGMENT + 1)
    answer = host.raw(head(host, person, segment(person), b"x", length))
    raw_refused(answer, 413, "too-large")
    assert b"100 Continue" not in answer
    raw_refused(
        host.raw(head(host, person, segment(person), b"x", b"content-length: 99999999999999999999\r\n")),
        413,
        "too-large",
    )
    assert host.files() == before


def test_a_body_over_the_bound_is_refused_and_the_sender_reads_why(host: Host, person: Person) -> None:
    """The refusal reaches a sender that sends everything first, and the connection goes on."""
    before = host.files()
    refused(host.ask("PUT", segment(person), b"x" * (MAX_SEGMENT + 1), key=person.device), 413, "too-large")
    refused(host.ask("PUT", f"/v1/bundles/{sha256(b'')}", b"x" * (2 << 20)), 413, "too-large")
    refused(host.ask("POST", "/v1/owners", b"x" * (2 << 20)), 413, "too-large")
    path = f"/v1/owners/{person.owner}/owner-log/0000000001"
    refused(host.ask("PUT", path, b"x" * ((1 << 20) + 1), key=person.device), 413, "too-large")
    assert host.files() == before


def test_the_largest_segment_is_taken(host: Host, person: Person) -> None:
    body = person.sealed(b"x" * (MAX_SEGMENT - 5000)).ljust(MAX_SEGMENT, b"x")
    assert host.ask("PUT", segment(person), body, key=person.device).status_code == 201
    assert host.ask("GET", segment(person), key=person.device).content == body


def test_a_chunked_body_over_the_bound_is_refused(tmp_path: Path) -> None:
    with running(tmp_path, SMALL) as host:
        person = Person()
        host.register(person)
        before = host.files()
        chunks = b"1000\r\n" + b"x" * 4096 + b"\r\n1\r\nx\r\n0\r\n\r\n"
        sent = head(host, person, segment(person), b"x", b"transfer-encoding: chunked\r\nconnection: close\r\n")
        raw_refused(host.raw(sent + chunks), 413, "too-large")
        assert host.files() == before


@pytest.mark.parametrize("framing", [b"transfer-encoding: chunked\r\n", b"content-length: 100\r\n"])
def test_a_body_that_stops_is_refused_in_time(tmp_path: Path, framing: bytes) -> None:
    with running(tmp_path, SMALL) as host:
        person = Person()
        host.register(person)
        before = host.files()
        body = b"5\r\nhello\r\n" if b"chunked" in framing else b"hello"
        start = time.monotonic()
        raw_refused(host.raw(head(host, person, segment(person), b"x", framing) + body), 408, "body-timeout")
        assert time.monotonic() - start < 5
        assert host.files() == before


def test_a_body_that_dribbles_is_refused_in_time(tmp_path: Path) -> None:
    with running(tmp_path, SMALL) as host:
        person = Person()
        host.register(person)
        before = host.files()
        with socket.create_connection(("127.0.0.1", host.port), timeout=20) as connection:
            connection.sendall(head(host, person, segment(person), b"x", b"transfer-encoding: chunked\r\n"))
            connection.setblocking(False)
            found = b""
            start = time.monotonic()
            while time.monotonic() - start < 10:
                try:
                    connection.sendall(b"1\r\nx\r\n")
                    if not (chunk := connection.recv(65536)):
                        break
                    found += chunk
                except BlockingIOError:
                    time.sleep(0.05)
                except ConnectionError:
                    break
        raw_refused(found, 408, "body-timeout")
        assert host.files() == before


@pytest.mark.parametrize(
    ("framing", "body"),
    [
        (b"content-length: 100\r\n", b"hello"),
        (b"content-length: 100\r\n", b""),
        (b"transfer-encoding: chunked\r\n", b"5\r\nhello\r\n"),
        (b"transfer-encoding: chunked\r\n", b"5\r\nhel"),
    ],
)
def test_a_body_cut_by_its_sender_is_refused(host: Host, person: Person, framing: bytes, body: bytes) -> None:
    before = host.files()
    sent = head(host, person, segment(person), b"hello", framing) + body
    raw_refused(host.raw(sent, end=True), 400, "body-truncated")
    assert host.files() == before
    assert host.ask("GET", "/healthz").status_code == 200


def test_a_sender_that_vanishes_leaves_nothing(host: Host, person: Person) -> None:
    before = host.files()
    with socket.create_connection(("127.0.0.1", host.port), timeout=20) as connection:
        connection.sendall(head(host, person, segment(person), b"x", b"content-length: 100\r\n") + b"hello")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    assert host.ask("GET", "/healthz").status_code == 200
    assert host.files() == before


def test_an_endless_body_to_a_forbidden_room_ends(tmp_path: Path) -> None:
    with running(tmp_path, SMALL) as host:
        person = Person()
        host.register(person)
        path = f"/v1/owners/{person.owner}/journal/0000000001"
        start = time.monotonic()
        sent = head(host, person, path, b"x", b"transfer-encoding: chunked\r\n") + b"5\r\nhello\r\n"
        raw_refused(host.raw(sent), 403, "not-yours")
        assert time.monotonic() - start < 8


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"GET /healthz\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        b"GET /healthz HTTP/1.1\r\nhost: a\r\n" + b"x: " + b"y" * 20000,
        b"GET /\xff HTTP/1.1\r\nhost: a\r\n\r\n",
        b"POST /v1/owners HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/owners HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx",
        b"POST /v1/owners HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n",
        b"POST /v1/owners HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
    ],
)
def test_what_is_no_http_is_refused(host: Host, sent: bytes) -> None:
    answer = host.raw(sent, end=False)
    head_, _, _ = answer.partition(b"\r\n\r\n")
    assert head_.split(b" ")[1] in (b"400", b"431", b"501"), answer
    raw_refused(answer, int(head_.split(b" ")[1]), "http-malformed")
    assert host.ask("GET", "/healthz").status_code == 200


def test_length_and_chunks_together_smuggle_nothing(host: Host) -> None:
    """What one server takes for the rest of a body and another for a next request."""
    sent = (
        b"POST /v1/owners HTTP/1.1\r\nhost: a\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n"
        b"0\r\n\r\nGET /healthz HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n"
    )
    raw_refused(host.raw(sent), 400, "http-malformed")


def test_a_head_that_does_not_end_is_refused_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ProblemProtocol, "head_s", 0.3)
    monkeypatch.setattr("waykeep.host.serve.KEEP_ALIVE_S", 1)
    with running(tmp_path) as host:
        whole = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n"
        start = time.monotonic()
        for sent in (b"", b"GET /healthz HTTP/1.1\r\nx: "):
            raw_refused(host.raw(sent), 408, "head-timeout")
        answer = host.raw(whole, then=b"GET /he")
        assert b" 200 " in answer
        assert b"head-timeout" in answer
        # A client that only rests between two requests is closed without a word, as keep-alive is.
        answer = host.raw(whole)
        assert b" 200 " in answer
        assert b"408" not in answer
        assert time.monotonic() - start < 10


TRAVERSALS = [
    "segments/..",
    "segments/../keys/a.age",
    "segments/%2e%2e",
    "segments/%2e%2e%2fkeys%2fa.age",
    "segments%2f%2e%2e%2fkeys/a.age",
    "segments%2fa.age",
    "segments/a%00.age",
    "segments/a.age%0a",
    "segments/%61.age",
    "segments/a.age/",
    "segments//a.age",
    "./segments/a.age",
    "segments/..%5ckeys",
    "%2e%2e/%2e%2e",
    "../../bundles/a",
    "segments/a.age;x",
    "segments/%c3%a4.age",
    "segments/%252e%252e",
]


@pytest.mark.parametrize("rest", TRAVERSALS)
@pytest.mark.parametrize("method", ["PUT", "GET"])
def test_a_path_never_leaves_its_folder(host: Host, person: Person, rest: str, method: str) -> None:
    path = f"/v1/owners/{person.owner}/{rest}"
    body = person.sealed() if method == "PUT" else b""
    before = host.files()
    length = b"content-length: %d\r\nconnection: close\r\n" % len(body) if body else b"connection: close\r\n"
    answer = host.raw(head(host, person, path, body, length, method) + body)
    status = int(answer.split(b" ", 2)[1])
    assert status in (400, 404, 405), answer
    rule = {b"path-malformed", b"object-name-malformed", b"no-such-path", b"room-unknown", b"method-not-allowed"}
    assert any(b'"title":"' + name + b'"' in answer for name in rule), answer
    assert host.files() == before


@pytest.mark.parametrize("target", ["http://127.0.0.1/healthz", "//healthz", "/healthz/", "/v1", "/v1/owners/", "*"])
def test_an_odd_target_is_no_path(host: Host, target: str) -> None:
    answer = host.raw(f"GET {target} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".encode())
    raw_refused(answer, 404, "no-such-path")


def test_a_method_that_is_not_taken_is_refused(host: Host, person: Person) -> None:
    answer = host.ask("DELETE", segment(person), key=person.device)
    refused(answer, 405, "method-not-allowed")
    assert answer.headers["allow"]
    refused(host.ask("PUT", "/v1/owners", b"x" * 100_000), 405, "method-not-allowed")


def test_a_body_where_none_is_taken_is_refused(host: Host, person: Person) -> None:
    refused(host.ask("GET", segment(person), b"body", key=person.device), 400, "body-unexpected")
    refused(host.ask("GET", "/healthz", b"body"), 400, "body-unexpected")


def test_a_request_without_a_host_cannot_be_signed(host: Host, person: Person) -> None:
    sent = f"GET /v1/owners/{person.owner}/segments HTTP/1.0\r\n\r\n".encode()
    raw_refused(host.raw(sent), 400, "host-missing")


def test_repeated_signature_headers_are_refused(host: Host, person: Person) -> None:
    """Two signatures under one label: neither may be picked by whoever reads first or last."""
    path = f"/v1/owners/{person.owner}/segments"
    signed = head(host, person, path, b"", b"connection: close\r\n", "GET")
    twice = signed.removesuffix(b"\r\n") + b"signature: pyhms=:AAAA:\r\nsignature-input: pyhms=()\r\n\r\n"
    assert b" 200 " in host.raw(signed)
    raw_refused(host.raw(twice), 401, "request-signature")


GET = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n"


def test_more_connections_than_it_takes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ProblemProtocol, "max_connections", 2)
    with running(tmp_path) as host:
        holding = [socket.create_connection(("127.0.0.1", host.port), timeout=20) for _ in range(2)]
        answer = host.raw(GET)
        raw_refused(answer, 503, "host-busy")
        assert b"retry-after: 1" in answer
        holding += [socket.create_connection(("127.0.0.1", host.port), timeout=20) for _ in range(2)]
        assert host.raw(b"") == b""  # beyond twice the bound nothing is said
        for connection in holding:
            connection.close()


def test_who_keeps_a_connection_does_not_keep_others_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that was kept longest is closed, and neither a later one nor one at work."""
    monkeypatch.setattr(ProblemProtocol, "max_connections", 2)
    with running(tmp_path) as host, contextlib.ExitStack() as closing:

        def asked(connection: http.client.HTTPConnection) -> int:
            connection.request("GET", "/healthz")
            with connection.getresponse() as answer:
                answer.read()
            return answer.status

        connections = [http.client.HTTPConnection("127.0.0.1", host.port, timeout=20) for _ in range(3)]
        for connection in connections:
            closing.callback(connection.close)
            assert asked(connection) == 200
        first, second, _ = (connection.sock for connection in connections)
        assert first.recv(1) == b""
        assert asked(connections[1]) == 200
        assert connections[1].sock is second, "it was not opened again"


def test_bodies_of_strangers_do_not_fill_the_memory(tmp_path: Path) -> None:
    with running(tmp_path, HostLimits(pending_bytes=100_000)) as host:
        person = Person()
        host.register(person)
        holding: list[socket.socket] = []
        body = person.sealed(b"x" * 40_000)
        try:
            # More and more half-sent bodies, until they hold what this one would need.
            while (busy := host.ask("PUT", segment(person), body, key=person.device)).is_success:
                assert len(holding) < 50
                holding.append(socket.create_connection(("127.0.0.1", host.port), timeout=20))
                length = b"content-length: 50000\r\n"
                holding[-1].sendall(head(host, person, segment(person), b"x", length) + b"x" * 30_000)
            refused(busy, 503, "host-busy")
            assert busy.headers["retry-after"] == "1"
        finally:
            for connection in holding:
                connection.close()
        deadline = time.monotonic() + 10
        path = f"/v1/owners/{person.owner}/segments/again.age"
        while host.ask("PUT", path, person.sealed(b"x" * 90_000), key=person.device).status_code != 201:
            assert time.monotonic() < deadline
            time.sleep(0.02)
