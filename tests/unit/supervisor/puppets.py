"""A node whose processes do what a test says: real forks, real sockets, and workloads that the test gives.

Each process connects to the test's own socket, whose path it finds in its assignment, tells its pid, and takes orders.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from waykeep.attestation import insecure
from waykeep.attestation.evidence import ALGORITHM, USER_CLOUD
from waykeep.authority.keys import SigningKey
from waykeep.errors import WaykeepError
from waykeep.formats.frames import AssignAlgorithm, AssignCloud, LaunchAlgorithm, Launched
from waykeep.formats.ids import OwnerId, sha256
from waykeep.supervisor import zygote
from waykeep.supervisor.answers import Answers
from waykeep.supervisor.kept import NodeKey, node_key
from waykeep.supervisor.link import Link
from waykeep.supervisor.node import Node
from waykeep.supervisor.signer import Signer
from waykeep.supervisor.zygote import Workloads

CLOUD_CODE, ALGORITHM_CODE = "measured-cloud", "measured-algorithm"
ANNA, BERT = OwnerId("a" * 52), OwnerId("b" * 52)
LINE = 8 << 20


def patiently(work: Coroutine[Any, Any, None]) -> None:
    """Run a test's work; what does not come within a minute does not come."""
    asyncio.run(asyncio.wait_for(work, 60))


# -- in the forked process ---------------------------------------------------------------------------------------------


def _obey(descriptor: int, *_: int) -> None:
    link = Link(descriptor)
    assigned = link.assignment(AssignCloud | AssignAlgorithm)
    path = assigned.host_url if isinstance(assigned, AssignCloud) else assigned.bundle.decode()
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(path)
        with control.makefile("rw") as orders:

            def say(**said: object) -> None:
                orders.write(json.dumps(said) + "\n")
                orders.flush()

            if isinstance(assigned, AssignAlgorithm):
                say(pid=os.getpid())
            else:
                say(pid=os.getpid(), owner=assigned.owner, node=assigned.node, idle_s=assigned.idle_s)
            for line in orders:
                order = json.loads(line)
                try:
                    say(**_do(link, **order))
                except WaykeepError as error:
                    say(family=error.family, rule=error.rule, status=error.status)


def _do(link: Link, do: str, **given: Any) -> dict[str, object]:
    match do:
        case "ready":
            link.ready(1024 + os.getpid() % 60_000)
        case "unseal":
            found = link.unseal(bytes.fromhex(given["data"]))
            return {"header": found.header.hex(), "payload": found.payload.hex()}
        case "evidence":
            return {"evidence": link.evidence(b"claims", ()).decode()}
        case "sleep":
            link.sleeping()
            link.evidence(b"claims", ())  # its answer says that all before it was read
        case "send":
            link._socket.sendall(bytes.fromhex(given["data"]))
        case "end":
            os._exit(0)
    return {}


def _wait(read: int, *_: int | None) -> None:
    os.read(read, 1)


# -- in the test -------------------------------------------------------------------------------------------------------


class Puppet:
    """One process, as the test holds it.

    Attributes:
        said: What it said first: its pid and its assignment.
    """

    def __init__(self, said: dict[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.said, self._reader, self._writer = said, reader, writer

    @property
    def pid(self) -> int:
        return int(self.said["pid"])

    @property
    def alive(self) -> bool:
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        return True

    async def tell(self, do: str, **given: str) -> dict[str, Any]:
        """What it answers to an order; empty if it ends."""
        self._writer.write(json.dumps({"do": do, **given}).encode() + b"\n")
        said: dict[str, Any] = json.loads(await self._reader.readline() or "{}")
        return said

    async def gone(self) -> None:
        """Waits until it ended."""
        assert not await self._reader.read()

    def close(self) -> None:
        self._writer.close()


class Stage:
    """A node, and what it forked.

    Attributes:
        arrived: Processes that said their pid, and were not taken yet.
        puppets: All of them.
    """

    def __init__(self, node: Node, key: NodeKey, answers: Answers, socket_path: str) -> None:
        self.node, self.key, self.answers, self.path = node, key, answers, socket_path
        self.arrived: asyncio.Queue[Puppet] = asyncio.Queue()
        self.puppets: list[Puppet] = []

    async def launch(self, owner: OwnerId = ANNA) -> tuple[Launched, Puppet]:
        """Start an owner's user cloud, which gets ready at once."""
        asked = self.ask(owner)
        puppet = await self.arrived.get()
        await puppet.tell("ready")
        return await asked, puppet

    def ask(self, owner: OwnerId = ANNA) -> asyncio.Task[Launched]:
        return asyncio.create_task(self.node.cloud(owner, self.path))

    async def algorithm(self) -> Puppet:
        bundle = self.path.encode()
        asked = asyncio.create_task(self.node.algorithm(LaunchAlgorithm(sha256(bundle), bundle, 8, 5.0)))
        puppet = await self.arrived.get()
        await puppet.tell("ready")
        await asked
        return puppet

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        puppet = Puppet(json.loads(await reader.readline()), reader, writer)
        self.puppets.append(puppet)
        self.arrived.put_nowait(puppet)

    async def settled(self) -> None:
        """Waits until the node holds nothing of any process."""
        node, held = self.node, self.node._processes
        while held._by_pid or node._clouds or held._tasks or node._locks:  # noqa: ASYNC110 - no event says so
            await asyncio.sleep(0.001)


def signer(key: NodeKey, seed: bytes = bytes(32)) -> Signer:
    root = SigningKey(bytes(32))
    measured = {"supervisor": "s", USER_CLOUD: CLOUD_CODE, ALGORITHM: ALGORITHM_CODE}
    return Signer(insecure.PLATFORM, lambda data: insecure.quote(root, "s", data), seed, 0, measured, key.recipient)


def _load() -> Workloads:
    return Workloads(warm=lambda: None, user_cloud=_obey, front=_obey, child=_wait, aggregator=_obey)


@asynccontextmanager
async def stage(*, idle_s: float = 600.0, key: NodeKey | None = None) -> AsyncIterator[Stage]:
    """A node on a preloaded parent of its own; afterwards nothing of both is left."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent, pid = os.getpid(), os.fork()
    if pid == 0:
        try:
            zygote.run(theirs, parent, _load)
        finally:
            os._exit(1)
    theirs.close()
    with ours, tempfile.TemporaryDirectory(prefix="wk-") as name:
        ours.settimeout(30)
        assert ours.recv(zygote.MAX_PACKET)
        folder = Path(name)
        for owner in (ANNA, BERT):
            (folder / "owners" / owner).mkdir(parents=True)
        key = key or node_key(folder)
        answers = Answers(signer(key), key)
        node = Node(ours, answers, None, folder, "127.0.0.1", idle_s)
        found = Stage(node, key, answers, str(folder / "test.sock"))
        node.listen_to_zygote(lambda: None)
        server = await asyncio.start_unix_server(found.connected, found.path, limit=LINE)
        try:
            yield found
        finally:
            asyncio.get_running_loop().remove_reader(ours)
            ours.shutdown(socket.SHUT_RDWR)
            await asyncio.to_thread(os.waitpid, pid, 0)
            for puppet in found.puppets:
                await puppet.gone()
                puppet.close()
            server.close()
            await server.wait_closed()
            for task in list(node._processes._tasks):
                task.cancel()
