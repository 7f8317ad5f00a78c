"""The process of a user cloud: from its assignment to its server, and to sleep."""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

from waykeep.channel.server import AttestedServer, listen
from waykeep.errors import SupervisorError, WaykeepError
from waykeep.formats.frames import AssignCloud
from waykeep.formats.messages import Ring
from waykeep.supervisor.link import Link
from waykeep.usercloud.activity import Activity
from waykeep.usercloud.cloud import Cloud
from waykeep.usercloud.computing import Computer
from waykeep.usercloud.participant import Participant
from waykeep.usercloud.routes import Routes
from waykeep.usercloud.runs import Runner
from waykeep.usercloud.sleeping import Bed, try_wake
from waykeep.usercloud.spends import Spender
from waykeep.usercloud.witnessing import Witnessing
from waykeep.vault.store import DirectoryStore


def now_ms() -> int:
    """The machine's clock, which is the host's: asked only for owners who do without a witness."""
    return time.time_ns() // 1_000_000


class _Life:
    """Serves until told to stop, its logs are found to be a fork or written by another, or nobody asked for a while."""

    def __init__(self, link: Link, cloud: Cloud, bed: Bed, participant: Participant) -> None:
        self._link, self._cloud, self._bed, self._participant = link, cloud, bed, participant
        self.ended = ""

    async def serve(self, server: AttestedServer, activity: Activity, listener: socket.socket, routes: Routes) -> None:
        stop, loop = asyncio.Event(), asyncio.get_running_loop()

        def stopped(rule: str) -> None:
            self.ended = rule
            self._say_sleeping()
            loop.call_soon_threadsafe(stop.set)

        def suspended() -> None:
            self.ended = "suspended"
            self._say_sleeping()
            stop.set()

        def rung(ring: Ring) -> str:
            with activity.for_others():
                return self._participant.answer(ring)

        self._cloud.on_stop, routes.on_suspend = stopped, suspended
        self._link.listen(rung)
        idle = asyncio.create_task(self._when_idle(activity, stop))
        try:
            await server.serve(activity, listener, stop)
        finally:
            idle.cancel()

    def _say_sleeping(self) -> None:
        with suppress(SupervisorError):  # it is gone, and this process goes with it
            self._link.sleeping()

    async def _when_idle(self, activity: Activity, stop: asyncio.Event) -> None:
        await activity.idle()
        self.ended = "idle"
        self._say_sleeping()
        try:
            await asyncio.to_thread(self._bed.sleep)
        except WaykeepError as error:
            self.ended = error.rule  # locked, or the store fails: what was sealed before is what wakes
        stop.set()


def main(descriptor: int) -> None:
    """Serve one owner until killed, put to sleep, or until another instance takes over.

    Args:
        descriptor: The process's own supervisor socket, all that it inherited.
    """
    born = time.perf_counter()
    link = Link(descriptor)
    with link.telling():
        assigned = link.assignment(AssignCloud)
        pa.set_cpu_count(1)
        cloud = Cloud(assigned.owner, DirectoryStore(Path(assigned.store)))
        server = AttestedServer(link)
        bed = Bed(cloud, link, assigned.node, server.measurement)
        link.event(try_wake(bed, cloud))
        if cloud.asleep is not None and cloud.asleep.rule == "store-failed":
            raise cloud.asleep  # the store may answer the next one: this one would stay locked for its life
        computer = Computer(assigned.host_url, server.measurement)
        witnessing = Witnessing(cloud, now_ms)
        spender = Spender(cloud, computer, witnessing)
        routes = Routes(server, cloud, Runner(cloud, computer), spender, bed)
        activity = Activity(server.app(routes.all()), assigned.idle_s, assigned.linger_s)
        participant = Participant(cloud, computer, witnessing, link, born)
        participant.event = link.event
        listener = listen(assigned.listen)
        listener.listen(128)
        # From here the kernel queues connections, so the port may be told.
        link.ready(listener.getsockname()[1])
        life = _Life(link, cloud, bed, participant)
        asyncio.run(life.serve(server, activity, listener, routes))
        link.event(life.ended)
