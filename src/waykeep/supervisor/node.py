"""A node's processes.

Forks them through the preloaded parent, binds each for life, and answers what it asks.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
from collections.abc import Callable, Coroutine
from pathlib import Path
from weakref import WeakValueDictionary

import msgspec

from waykeep.attestation.evidence import ALGORITHM, USER_CLOUD
from waykeep.errors import FormatError, SupervisorError
from waykeep.formats import wire
from waykeep.formats.frames import (
    AssignAlgorithm,
    AssignCloud,
    Event,
    EvidenceRequest,
    FromChild,
    Launched,
    OpenSealed,
    Ready,
)
from waykeep.formats.ids import OwnerId, parse_digest, parse_owner_id, sha256
from waykeep.supervisor import isolation
from waykeep.supervisor.answers import Answers, Process
from waykeep.supervisor.signer import Signer
from waykeep.supervisor.uids import Uids, claim_home
from waykeep.supervisor.zygote import MAX_PACKET, Exited, Failed, Kill, SpawnAlgorithm, SpawnCloud, Spawned

log = logging.getLogger("waykeep.supervisor")
READY_S = 30.0
ALGORITHM_LIFE_S = 180.0
SLEEP_S = 10.0
"""How long a user cloud that said it sleeps may take to end."""
KILLED_S = 5.0
IDLE_S = 600.0
MAX_IDLE_S = 30 * 86_400.0
MAX_ALGORITHMS = 64
MAX_CLOUDS = 20_000


class Node:
    """The processes that this supervisor started.

    Args:
        zygote: The socket to the preloaded parent.
        answers: What they are given: evidence, and their sealed state.
        uids: Their uids, or None where the supervisor is not root.
        store: The folder that user clouds write to.
        listen: The address they listen on.
        idle_s: After how long without a request a user cloud sleeps, in seconds.
    """

    def __init__(
        self,
        zygote: socket.socket,
        answers: Answers,
        uids: Uids | None,
        store: Path,
        listen: str,
        idle_s: float = IDLE_S,
    ) -> None:
        self._zygote, self._answers, self._uids, self._store = zygote, answers, uids, store
        self._listen, self._idle_s = listen, idle_s
        self._clouds: dict[OwnerId, Process] = {}
        self._by_pid: dict[int, Process] = {}
        # Weak: a host may name any number of owners, and a lock that nobody holds need not be kept.
        self._locks: WeakValueDictionary[OwnerId, asyncio.Lock] = WeakValueDictionary()
        self._spawning = asyncio.Lock()
        self._spawned: asyncio.Queue[Spawned | Failed] = asyncio.Queue()
        # A socket, a pidfd in the parent, and some for all that comes and goes.
        self._most = max(1, min(MAX_CLOUDS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2 - 4 * MAX_ALGORITHMS))
        self._exits: dict[int, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def listen_to_zygote(self, gone: Callable[[], None]) -> None:
        """Begin to take the parent's notices.

        ``gone`` is called when it died, and this node can start nothing any more.
        """
        self._gone = gone
        self._zygote.setblocking(False)
        asyncio.get_running_loop().add_reader(self._zygote, self._notice)

    def vouch_with(self, signer: Signer) -> None:
        """Sign evidence with a renewed signer from now on."""
        self._answers.signer = signer

    def owners(self) -> tuple[OwnerId, ...]:
        return tuple(self._clouds)

    def algorithms(self) -> int:
        return sum(p.workload == ALGORITHM for p in self._by_pid.values())

    async def cloud(self, owner: OwnerId, host_url: str) -> Launched:
        """The owner's user cloud: the one that runs, or a new one. Never two on this node.

        One that said it sleeps is waited for, and never named.

        Raises:
            SupervisorError: ``owner-unknown``, ``start-failed``, ``too-many``.
        """
        parse_owner_id(owner)
        async with self._locks.setdefault(owner, asyncio.Lock()):
            running = self._clouds.get(owner)
            if running is not None and running.sleeping:
                await self._gone_to_sleep(running)
            elif running is not None:
                return Launched(self._listen, running.ready.result(), False)
            if len(self._clouds) >= self._most:
                raise SupervisorError("too-many", "found no room for another user cloud on this node", status=503)
            uid = claim_home(self._store, owner, self._uids)
            assignment = AssignCloud(owner, str(self._store), host_url, self._listen, self._answers.node, self._idle_s)
            process = await self._start(USER_CLOUD, owner, SpawnCloud(uid), uid, wire.encode_frame(assignment))
            self._clouds[owner] = process
            if process.ended.is_set():  # it ended between its word and ours
                del self._clouds[owner]
            if process.ended.is_set() or process.sleeping:
                raise SupervisorError("start-failed", "the user cloud ended at once", status=503)
            return Launched(self._listen, process.ready.result(), True)

    async def _gone_to_sleep(self, process: Process) -> None:
        """Wait until a sleeping process ended; `_end_after` sees to it. Raises: SupervisorError: ``start-failed``."""
        try:
            await asyncio.wait_for(process.ended.wait(), SLEEP_S + KILLED_S)
        except TimeoutError:
            raise SupervisorError(
                "start-failed", "the user cloud before this one does not end", hint="try again", status=503
            ) from None

    async def algorithm(self, digest: str, bundle: bytes) -> Launched:
        """A new algorithm service for one run.

        Raises: SupervisorError: ``digest-mismatch``, ``too-many``, ``start-failed``.
        """
        if sha256(bundle) != parse_digest(digest):
            raise SupervisorError("digest-mismatch", "found a bundle that has not this digest", status=409)
        if self.algorithms() >= MAX_ALGORITHMS:
            raise SupervisorError("too-many", "found too many algorithm services at once", hint="try again", status=503)
        uid, child_uid = (self._uids.fresh(), self._uids.fresh()) if self._uids else (None, None)
        assignment = wire.encode_frame(AssignAlgorithm(parse_digest(digest), bundle, self._listen))
        process = await self._start(ALGORITHM, digest, SpawnAlgorithm(uid, child_uid), uid, assignment)
        self._task(self._end_after(process, ALGORITHM_LIFE_S))
        return Launched(self._listen, process.ready.result(), True)

    async def _start(
        self, workload: str, binding: str, spawn: SpawnCloud | SpawnAlgorithm, uid: int | None, assignment: bytes
    ) -> Process:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        async with self._spawning:
            with theirs:
                socket.send_fds(self._zygote, [msgspec.json.encode(spawn)], [theirs.fileno()])
            spawned = await self._spawned.get()
        if isinstance(spawned, Failed):
            ours.close()
            raise SupervisorError("start-failed", f"the machine gives no process ({spawned.reason})", status=503)
        pid = spawned.pid
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=wire.MAX_FRAME)
        loop = asyncio.get_running_loop()
        process = Process(workload, binding, pid, isolation.claims(uid), writer, loop.create_future())
        self._by_pid[pid] = process
        if self._exits.pop(pid, None) is not None:
            self._ended(pid)
        writer.write(assignment)
        self._task(self._answer(process, reader))
        try:
            await asyncio.wait_for(asyncio.shield(process.ready), READY_S)
        except (TimeoutError, SupervisorError) as error:
            self._kill(process)
            reason = error.message if isinstance(error, SupervisorError) else "it did not get ready in time"
            raise SupervisorError("start-failed", f"the {workload} did not start: {reason}", status=503) from None
        return process

    async def _answer(self, process: Process, reader: asyncio.StreamReader) -> None:
        """Answer one process's frames until it closes. What it is, this object says, not a frame."""
        try:
            while True:
                body = await reader.readexactly(wire.frame_length(await reader.readexactly(4)))
                request: FromChild = wire.decode_frame(body, FromChild, what="a process's frame")  # type: ignore[arg-type]
                if isinstance(request, EvidenceRequest | OpenSealed):
                    process.writer.write(wire.encode_frame(self._answers.answer(process, request)))
                    await process.writer.drain()
                elif isinstance(request, Ready):
                    if not process.ready.done():
                        process.ready.set_result(request.port)
                elif isinstance(request, Event):
                    log.info("%s says %s", process.workload, request.name)
                elif not process.sleeping:
                    process.sleeping = True
                    self._task(self._end_after(process, SLEEP_S))
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        except FormatError as error:
            log.warning("%s sent a frame refused by %s", process.workload, error.rule)
            self._kill(process)
        finally:
            process.writer.close()

    def _notice(self) -> None:
        try:
            packet = self._zygote.recv(MAX_PACKET)
        except BlockingIOError:
            return
        except OSError:
            packet = b""
        if not packet:
            asyncio.get_running_loop().remove_reader(self._zygote)
            self._gone()
            return
        notice = msgspec.json.decode(packet, type=Spawned | Failed | Exited)
        if isinstance(notice, Spawned | Failed):
            self._spawned.put_nowait(notice)
        elif notice.pid in self._by_pid:
            self._ended(notice.pid)
        else:
            # A front can end before `_start` knows its pid; an author's process is nobody's binding.
            self._exits[notice.pid] = notice.status
            while len(self._exits) > 4 * MAX_ALGORITHMS:
                self._exits.pop(next(iter(self._exits)))

    def _ended(self, pid: int) -> None:
        process = self._by_pid.pop(pid)
        process.ended.set()
        if not process.ready.done():
            process.ready.set_exception(SupervisorError("start-failed", "it ended before it was ready", status=503))
        if process.workload == USER_CLOUD and self._clouds.get(OwnerId(process.binding)) is process:
            del self._clouds[OwnerId(process.binding)]
        log.info("%s ended", process.workload)

    async def _end_after(self, process: Process, seconds: float) -> None:
        try:
            await asyncio.wait_for(process.ended.wait(), seconds)
        except TimeoutError:
            log.warning("%s outlived its time", process.workload)
            self._kill(process)

    def _kill(self, process: Process) -> None:
        if not process.ended.is_set():
            self._zygote.send(msgspec.json.encode(Kill(process.pid)))

    def _task(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
