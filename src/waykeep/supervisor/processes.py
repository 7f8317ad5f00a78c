"""Forked processes: started through the preloaded parent, bound for life, answered, and seen to their end."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Coroutine

import msgspec

from waykeep.errors import FormatError, SupervisorError
from waykeep.formats import wire
from waykeep.formats.frames import Event, EvidenceRequest, FromChild, OpenSealed, Ready
from waykeep.formats.messages import Rung
from waykeep.supervisor import isolation
from waykeep.supervisor.answers import Answers, Process
from waykeep.supervisor.zygote import MAX_PACKET, Exited, Failed, Kill, Spawn, Spawned

log = logging.getLogger("waykeep.supervisor")
READY_S = 30.0
SLEEP_S = 10.0
"""How long a user cloud that said it sleeps may take to end."""
MAX_EXITS = 256


class Processes:
    """All that this supervisor forked.

    Args:
        zygote: The socket to the preloaded parent.
        answers: What they are given: evidence, and their sealed state.

    Attributes:
        on_end: Told of each that ended.
    """

    def __init__(self, zygote: socket.socket, answers: Answers) -> None:
        self._zygote, self._answers = zygote, answers
        self._by_pid: dict[int, Process] = {}
        self._spawning = asyncio.Lock()
        self._spawned: asyncio.Queue[Spawned | Failed] = asyncio.Queue()
        self._exits: dict[int, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self.on_end: Callable[[Process], None] = lambda process: None

    def listen_to_zygote(self, gone: Callable[[], None]) -> None:
        """Begin to take the parent's notices.

        ``gone`` is called when it died, and nothing can be started any more.
        """
        self._gone = gone
        self._zygote.setblocking(False)
        asyncio.get_running_loop().add_reader(self._zygote, self._notice)

    def count(self, workload: str) -> int:
        return sum(process.workload == workload for process in self._by_pid.values())

    async def start(
        self,
        workload: str,
        binding: str,
        spawn: Spawn,
        uid: int | None,
        assignment: bytes,
        counted: Callable[[], None] = lambda: None,
    ) -> Process:
        """Fork a process and bind it; it listens when this returns.

        Args:
            counted: Called once it is among those that run, or failed.

        Raises:
            SupervisorError: ``start-failed``.
        """
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        async with self._spawning:
            with theirs:
                socket.send_fds(self._zygote, [msgspec.json.encode(spawn)], [theirs.fileno()])
            spawned = await self._spawned.get()
        if isinstance(spawned, Failed):
            counted()
            ours.close()
            raise SupervisorError("start-failed", f"the machine gives no process ({spawned.reason})", status=503)
        pid = spawned.pid
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=wire.MAX_FRAME)
        loop = asyncio.get_running_loop()
        process = Process(workload, binding, pid, isolation.claims(uid), writer, loop.create_future())
        self._by_pid[pid] = process
        counted()
        if self._exits.pop(pid, None) is not None:
            self._ended(pid)
        writer.write(assignment)
        self.task(self._answer(process, reader))
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
                # mypy knows no type of a union.
                request: FromChild = wire.decode_frame(body, FromChild, what="a process's frame")  # type: ignore[arg-type]
                if isinstance(request, EvidenceRequest | OpenSealed):
                    process.writer.write(wire.encode_frame(self._answers.answer(process, request)))
                    await process.writer.drain()
                elif isinstance(request, Ready):
                    if not process.ready.done():
                        process.ready.set_result(request.port)
                elif isinstance(request, Event):
                    log.info("%s says %s", process.workload, request.name)
                elif isinstance(request, Rung):
                    if process.rung is not None and not process.rung.done():
                        process.rung.set_result(request.outcome)
                elif not process.sleeping:
                    process.sleeping = True
                    self.task(self.end_after(process, SLEEP_S))
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
            # A front can end before `start` knows its pid; an author's process is nobody's binding.
            self._exits[notice.pid] = notice.status
            while len(self._exits) > MAX_EXITS:
                self._exits.pop(next(iter(self._exits)))

    def _ended(self, pid: int) -> None:
        process = self._by_pid.pop(pid)
        process.ended.set()
        if process.rung is not None and not process.rung.done():
            process.rung.set_exception(lost())
        if not process.ready.done():
            process.ready.set_exception(SupervisorError("start-failed", "it ended before it was ready", status=503))
        self.on_end(process)
        log.info("%s ended", process.workload)

    async def end_after(self, process: Process, seconds: float) -> None:
        """Wait for the end of a process, and see to it after so many seconds."""
        try:
            await asyncio.wait_for(process.ended.wait(), seconds)
        except TimeoutError:
            log.warning("%s outlived its time", process.workload)
            self._kill(process)

    def _kill(self, process: Process) -> None:
        if not process.ended.is_set():
            self._zygote.send(msgspec.json.encode(Kill(process.pid)))

    def task(self, work: Coroutine[None, None, None]) -> None:
        """Have something done beside all else."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def lost() -> SupervisorError:
    return SupervisorError(
        "ring-lost", "the user cloud ended before it had done its part", hint="ring it again", status=503
    )
