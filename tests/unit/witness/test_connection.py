"""HTTP bytes to a witness: what it answers, what it refuses by name, and when a connection ends."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.unit.builders import key
from tests.unit.witness.asking import CONTROL, PSEUDONYM, REGISTER, WITNESS, row
from waykeep.authority import witnessing
from waykeep.authority.witnessing import MAX_REQUEST, NONCE_BYTES
from waykeep.formats import problem
from waykeep.formats.ids import b64
from waykeep.witness.commits import GroupCommit
from waykeep.witness.connection import Connections
from waykeep.witness.limits import Limits
from waykeep.witness.register import SqliteRegister
from waykeep.witness.service import Service

NOW_MS = 1_800_000_000_000
NONCE = bytes(range(NONCE_BYTES))
ENVELOPE = witnessing.request(WITNESS, PSEUDONYM, NONCE, REGISTER, CONTROL)


class Client:
    """A connection to a witness in this process."""

    def __init__(self, connections: Connections, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections, self._reader, self._writer = connections, reader, writer

    async def send(self, data: bytes, *, end: bool = False) -> None:
        self._writer.write(data)
        if end:
            self._writer.write_eof()
        await self._writer.drain()

    async def answer(self) -> tuple[int, bytes]:
        """Status and body."""
        head = await self._reader.readuntil(b"\r\n\r\n")
        length = int(head.partition(b"content-length: ")[2].partition(b"\r\n")[0])
        return int(head.split()[1]), await self._reader.readexactly(length)

    async def refusal(self) -> tuple[int, str]:
        """Status and rule; the connection ends behind it."""
        status, body = await self.answer()
        assert await self._reader.read() == b""
        return status, problem.decode(body).rule

    async def ended(self) -> None:
        assert await self._reader.read() == b""

    async def server_has(self, found: Callable[[], bool]) -> None:
        """Waits until the server's side is so."""
        async with asyncio.timeout(5):
            while not found():  # noqa: ASYNC110 - the server has no event for a test
                await asyncio.sleep(0)


def talk(folder: Path, said: Callable[[Client], Awaitable[None]], **limits: float) -> None:
    """A talk with a witness that has these limits."""

    async def run() -> None:
        loop = asyncio.get_running_loop()
        register = SqliteRegister(folder)
        register.admit([REGISTER.token])
        commits = GroupCommit(register, loop, lambda kind: None)
        service = Service(key("witness"), register, commits, lambda: NOW_MS)
        connections = Connections(service, loop, Limits(**limits))
        server = await loop.create_server(connections.new, "127.0.0.1", 0)
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            try:
                async with asyncio.timeout(10):
                    await said(Client(connections, reader, writer))
            finally:
                writer.transport.abort()
                connections.finish()
                await connections.ended(0)
                await commits.close()
                register.close()

    asyncio.run(run())


def post(body: bytes, path: str = "/v1/requests", more: bytes = b"") -> bytes:
    return b"POST %s HTTP/1.1\r\nhost: x\r\n%scontent-length: %d\r\n\r\n%s" % (path.encode(), more, len(body), body)


def test_a_request_and_a_read_on_one_connection(tmp_path: Path) -> None:
    async def said(client: Client) -> None:
        await client.send(post(ENVELOPE))
        status, body = await client.answer()
        found = witnessing.open_answer(body, [WITNESS], PSEUDONYM, NONCE, ENVELOPE)
        assert (status, found.held, found.time_ms) == (200, row().held, NOW_MS)
        await client.send(
            post(b'{"pseudonym":"%s","nonce":"%s"}' % (PSEUDONYM.encode(), b64(NONCE).encode()), "/v1/read")
        )
        _, body = await client.answer()
        assert witnessing.open_answer(body, [WITNESS], PSEUDONYM, NONCE, None).held == row().held

    talk(tmp_path, said)


def test_a_request_in_single_bytes(tmp_path: Path) -> None:
    async def said(client: Client) -> None:
        for byte in post(ENVELOPE):
            await client.send(bytes((byte,)))
        assert (await client.answer())[0] == 200

    talk(tmp_path, said)


def test_a_peer_that_waits_for_100_continue(tmp_path: Path) -> None:
    async def said(client: Client) -> None:
        head, _, body = post(ENVELOPE, more=b"Expect: 100-continue\r\n").partition(b"\r\n\r\n")
        await client.send(head + b"\r\n\r\n")
        assert await client._reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await client.send(body)
        assert (await client.answer())[0] == 200

    talk(tmp_path, said)


def test_a_peer_that_says_no_more_gets_its_answer(tmp_path: Path) -> None:
    async def said(client: Client) -> None:
        await client.send(post(ENVELOPE), end=True)
        assert (await client.answer())[0] == 200
        await client.ended()

    talk(tmp_path, said)


def test_pipelining_gets_the_first_answer_and_ends(tmp_path: Path) -> None:
    async def said(client: Client) -> None:
        await client.send(post(ENVELOPE) * 3)
        assert (await client.answer())[0] == 200
        await client.ended()

    talk(tmp_path, said)


@pytest.mark.parametrize(
    ("method", "path", "status", "rule"),
    [
        ("GET", "/v1/requests", 405, "method-not-allowed"),
        ("POST", "/v1/key", 405, "method-not-allowed"),
        ("GET", "/", 404, "no-such-path"),
        ("GET", "/healthz?x", 404, "no-such-path"),
    ],
)
def test_a_path_or_method_that_there_is_not(tmp_path: Path, method: str, path: str, status: int, rule: str) -> None:
    async def said(client: Client) -> None:
        await client.send(f"{method} {path} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n".encode())
        found, body = await client.answer()
        assert (found, problem.decode(body).rule) == (status, rule)
        await client.send(b"HEAD /healthz HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        assert b" 405 " in await client._reader.readuntil(b"\r\n\r\n")
        await client.ended()

    talk(tmp_path, said)


@pytest.mark.parametrize(
    ("body", "status", "rule"),
    [
        (b"", 400, "malformed"),
        (b"{}", 400, "malformed"),
        (witnessing.request(key("x").public, PSEUDONYM, NONCE, REGISTER, CONTROL), 403, "witness-mismatch"),
        (ENVELOPE.replace(b'"sig":"', b'"sig":"AAAA', 1), 400, "signature-invalid"),
        (witnessing.request(WITNESS, PSEUDONYM, NONCE, REGISTER, key("x")), 403, "witness-signer"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_refused_statement_ends_no_connection(tmp_path: Path, body: bytes, status: int, rule: str) -> None:
    async def said(client: Client) -> None:
        await client.send(post(body))
        found, refusal = await client.answer()
        assert (found, problem.decode(refusal).rule) == (status, rule)
        await client.send(post(ENVELOPE))
        assert (await client.answer())[0] == 200

    talk(tmp_path, said)


@pytest.mark.parametrize(
    ("data", "status", "rule"),
    [
        (b"nonsense\r\n\r\n", 400, "http-malformed"),
        (b"GET / HTTP/1.1\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n", 400, "http-malformed"),
        (b"GET / HTTP/1.1\r\nx: " + b"x" * 20000, 431, "head-too-large"),
        (b"GET /" + b"x" * 20000, 431, "head-too-large"),
        (b"\r\n" * 20000, 431, "head-too-large"),
        (b"POST /v1/read HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n1\r\nx\r\n", 411, "length-required"),
        (b"POST /v1/read HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % (MAX_REQUEST + 1), 413, "too-large"),
        (b"POST /v1/read HTTP/1.1\r\ncontent-length: 999999999999\r\n\r\n" + b"x" * 100_000, 413, "too-large"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_is_no_request_is_refused_and_ends(tmp_path: Path, data: bytes, status: int, rule: str) -> None:
    async def said(client: Client) -> None:
        await client.send(data)
        assert await client.refusal() == (status, rule)

    talk(tmp_path, said)


def test_body_truncated(tmp_path: Path) -> None:
    async def said(client: Client) -> None:
        await client.send(post(ENVELOPE)[:-1], end=True)
        assert await client.refusal() == (400, "body-truncated")

    talk(tmp_path, said)


@pytest.mark.parametrize(
    ("sent", "limit", "rule"),
    [(b"POST /v1/read HT", "head_s", "head-timeout"), (post(ENVELOPE)[:-1], "body_s", "body-timeout")],
)
def test_a_deadline_that_passes(tmp_path: Path, sent: bytes, limit: str, rule: str) -> None:
    async def said(client: Client) -> None:
        await client.send(sent)
        (connection,) = client.connections.open
        await client.server_has(lambda: connection._begun and connection._in_head == (limit == "head_s"))
        client.connections.sweep()
        assert await client.refusal() == (408, rule)
        client.connections.sweep()  # who is told and does not go is dropped
        await client.server_has(lambda: not client.connections.open)

    talk(tmp_path, said, **{limit: 0, "linger_s": 0})


def test_a_connection_that_says_nothing_ends(tmp_path: Path) -> None:
    async def said(client: Client) -> None:
        await client.server_has(lambda: bool(client.connections.open))
        client.connections.sweep()
        await client.ended()

    talk(tmp_path, said, head_s=0)


def test_a_connection_that_idles_ends_and_not_before(tmp_path: Path) -> None:
    async def said(client: Client) -> None:
        client.connections.sweep()
        await client.send(post(ENVELOPE))
        assert (await client.answer())[0] == 200
        client.connections.sweep()
        await client.ended()

    talk(tmp_path, said, idle_s=0)


def test_a_peer_that_takes_no_answers_is_dropped(tmp_path: Path) -> None:
    async def said(client: Client) -> None:
        client._writer.transport.pause_reading()
        (connection,) = client.connections.open
        flood = b"GET /v1/key HTTP/1.1\r\nhost: x\r\n\r\n" * 2000
        with suppress(ConnectionError, TimeoutError):
            async with asyncio.timeout(5):
                while not connection._stuck:
                    client._writer.write(flood)
                    await asyncio.sleep(0)
        client.connections.sweep()
        await client.server_has(lambda: not client.connections.open)

    talk(tmp_path, said, write_s=0)


def test_witness_busy(tmp_path: Path) -> None:
    async def said(client: Client) -> None:
        await client.server_has(lambda: bool(client.connections.open))
        address = client._writer.get_extra_info("peername")
        second, writer = await asyncio.open_connection(*address)
        assert await Client(client.connections, second, writer).refusal() == (503, "witness-busy")
        third, other = await asyncio.open_connection(*address)
        with suppress(ConnectionError):
            assert await third.read() == b""
        await client.send(b"GET /healthz HTTP/1.1\r\nhost: x\r\n\r\n")
        assert await client.answer() == (200, b'{"status":"ok"}')
        for each in (writer, other):
            each.close()

    talk(tmp_path, said, connections=1)
