"""What the host's tests share: a host on loopback over a real store, a node's socket, and people with keys."""

from __future__ import annotations

import itertools
import os
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import msgspec

from waykeep.authority import access, dsse, keys, requests
from waykeep.authority.statements import INCEPTION_TYPE, KEY_LIST_TYPE, ROTATION_TYPE, Inception, KeyList, Rotation
from waykeep.channel.protocol import ProblemProtocol
from waykeep.formats import agefile, problem
from waykeep.formats.frames import (
    Clouds,
    ControlReply,
    ControlRequest,
    LaunchAlgorithm,
    LaunchCloud,
    Launched,
)
from waykeep.formats.ids import OwnerId, PublicKey, numbered, owner_id, sha256
from waykeep.formats.wire import encode_frame, encode_json
from waykeep.host.app import create_app
from waykeep.host.ports import HostLimits
from waykeep.host.serve import bind, make_server
from waykeep.host.supervisor import Supervisor
from waykeep.vault.store import DirectoryStore


class Person:
    """An owner with an authority and those that may replace it, one device, one writer and somebody else's key."""

    def __init__(self) -> None:
        self.authority, self.device, self.writer, self.caller = (keys.SigningKey(os.urandom(32)) for _ in range(4))
        self.later = [keys.SigningKey(os.urandom(32)) for _ in range(access.MAX_ROTATIONS + 2)]
        digest = sha256(os.urandom(32))
        following = keys.key_digest(self.later[0].public)
        payload = encode_json(Inception(1, self.authority.public, following, digest, digest))
        self.owner = owner_id(payload)
        self.inception = dsse.sign(INCEPTION_TYPE, payload, self.authority)
        self.secret, self.recipient = agefile.generate()

    def key_list(
        self,
        number: int = 1,
        *,
        devices: tuple[PublicKey, ...] | None = None,
        writers: tuple[PublicKey, ...] | None = None,
        callers: tuple[PublicKey, ...] = (),
        rotations: tuple[str, ...] = (),
        signer: keys.SigningKey | None = None,
        owner: OwnerId | None = None,
    ) -> bytes:
        listed = KeyList(
            owner or self.owner,
            number,
            (self.device.public,) if devices is None else devices,
            (self.writer.public,) if writers is None else writers,
            callers,
            rotations,
        )
        return dsse.sign(KEY_LIST_TYPE, encode_json(listed), signer or self.authority)

    def rotations(self, count: int, *, owner: OwnerId | None = None) -> tuple[str, ...]:
        """The first rotations of the authority, to each of ``later`` in turn."""
        found = []
        for number, (new, after) in enumerate(itertools.pairwise(self.later[: count + 1]), 1):
            rotation = Rotation(owner or self.owner, number, new.public, keys.key_digest(after.public))
            found.append(dsse.sign(ROTATION_TYPE, encode_json(rotation), new).decode())
        return tuple(found)

    def sealed(self, plaintext: bytes = b"a segment") -> bytes:
        return agefile.seal(plaintext, [self.recipient])


class Node:
    """A Unix socket that speaks a supervisor's frames; it stands for the other process.

    Attributes:
        asked: Every request, in order.
        answer: Makes the reply to a request: a message, or bytes to send as they are.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.asked: list[ControlRequest] = []
        self.clouds: dict[OwnerId, int] = {}
        self.algorithms = 0
        self.answer: Callable[[ControlRequest], ControlReply | bytes] = self.launch
        node = self

        class Connection(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                prefix = self.rfile.read(4)
                if len(prefix) == 4:
                    body = self.rfile.read(struct.unpack(">I", prefix)[0])
                    request: ControlRequest = msgspec.msgpack.decode(body, type=ControlRequest)
                    node.asked.append(request)
                    reply = node.answer(request)
                    self.wfile.write(reply if isinstance(reply, bytes) else encode_frame(reply))

        class Listener(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
            request_queue_size = 32

        self._server = Listener(str(path), Connection)
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01})
        self._thread.start()

    def launch(self, request: ControlRequest) -> ControlReply:
        if isinstance(request, LaunchCloud):
            started = request.owner not in self.clouds
            port = self.clouds.setdefault(request.owner, 20000 + len(self.clouds))
            return Launched("127.0.0.1", port, started)
        if isinstance(request, LaunchAlgorithm):
            self.algorithms += 1
            return Launched("127.0.0.1", 30000 + self.algorithms, True)
        return Clouds(tuple(self.clouds), self.algorithms)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        self.path.unlink(missing_ok=True)


class Host:
    """A running host and a client for it."""

    def __init__(self, port: int, root: Path, node: Node) -> None:
        self.port, self.root, self.node = port, root, node
        self.url = f"http://127.0.0.1:{port}"
        self.client = httpx.Client(base_url=self.url, trust_env=False, timeout=20)

    def ask(self, method: str, path: str, body: bytes = b"", *, key: keys.SigningKey | None = None) -> httpx.Response:
        """A request, signed if there is a key."""
        headers: dict[str, str] = {}
        if key is not None:
            headers = requests.sign(requests.Request(method, self.url + path, {}, body), key)
        return self.client.request(method, path, content=body or None, headers=headers)

    def put_list(self, person: Person, number: int, body: bytes) -> httpx.Response:
        return self.ask("PUT", f"/v1/owners/{person.owner}/access/{numbered(number)}", body)

    def register(self, person: Person) -> None:
        assert self.ask("POST", "/v1/owners", person.inception).status_code == 201
        assert self.put_list(person, 1, person.key_list()).status_code == 201

    def raw(self, sent: bytes, *, end: bool = False, then: bytes = b"") -> bytes:
        """Everything the host answers to bytes put on a connection.

        Args:
            end: Whether to say, after the bytes, that no more will come.
            then: Bytes to send after the first answer has come.
        """
        with socket.create_connection(("127.0.0.1", self.port), timeout=20) as connection:
            connection.sendall(sent)
            if end:
                connection.shutdown(socket.SHUT_WR)
            found = b""
            while chunk := connection.recv(65536):
                found += chunk
                if then:
                    connection.sendall(then)
                    then = b""
            return found

    def files(self) -> dict[str, bytes]:
        """All that the store holds."""
        return {str(p.relative_to(self.root)): p.read_bytes() for p in sorted(self.root.rglob("*")) if p.is_file()}


@contextmanager
def running(folder: Path, limits: HostLimits | None = None, *, supervisor_timeout_s: float = 5.0) -> Iterator[Host]:
    """A host and a node, both ended afterwards."""
    root = folder / "store"
    (root / "bundles").mkdir(parents=True, exist_ok=True)
    node = Node(folder / "node.sock")
    listener = bind("127.0.0.1", 0)
    port = listener.getsockname()[1]
    app = create_app(
        DirectoryStore(root),
        Supervisor(node.path, timeout_s=supervisor_timeout_s),
        access,
        host_url=f"http://127.0.0.1:{port}",
        limits=limits,
    )
    accepting = threading.Event()
    server = make_server(app, listener, lambda _: accepting.set(), ProblemProtocol)
    thread = threading.Thread(target=server.run_here)
    thread.start()
    assert accepting.wait(20)
    host = Host(port, root, node)
    try:
        yield host
    finally:
        host.client.close()
        server.should_exit = True
        thread.join()
        node.close()


def refused(response: httpx.Response, status: int, rule: str) -> None:
    """The response is a problem document of this status and rule."""
    assert (response.status_code, response.headers["content-type"]) == (status, problem.MEDIA_TYPE), response.text
    assert problem.decode(response.content).rule == rule


def raw_refused(response: bytes, status: int, rule: str) -> None:
    """The same for a raw answer."""
    head, _, body = response.partition(b"\r\n\r\n")
    assert int(head.split(b" ", 2)[1]) == status, response
    assert problem.MEDIA_TYPE.encode() in head
    assert problem.decode(body).rule == rule
