"""A node's processes.

Forks them through the preloaded parent, binds each for life, and answers what it asks.
"""

from __future__ import annotations

import asyncio
import resource
import socket
from collections.abc import Callable
from pathlib import Path
from weakref import WeakValueDictionary

from waykeep.attestation.evidence import AGGREGATOR, ALGORITHM, USER_CLOUD
from waykeep.errors import SupervisorError
from waykeep.formats import wire
from waykeep.formats.frames import (
    AssignAggregator,
    AssignAlgorithm,
    AssignCloud,
    LaunchAlgorithm,
    Launched,
)
from waykeep.formats.ids import Digest, OwnerId, parse_digest, parse_owner_id, query_binding, sha256
from waykeep.formats.messages import Ring, Rung
from waykeep.supervisor import processes
from waykeep.supervisor.answers import Answers, Process
from waykeep.supervisor.processes import SLEEP_S, Processes
from waykeep.supervisor.room import Room
from waykeep.supervisor.signer import Signer
from waykeep.supervisor.uids import Uids, claim_home
from waykeep.supervisor.zygote import (
    SpawnAggregator,
    SpawnAlgorithm,
    SpawnCloud,
)

ALGORITHM_LIFE_S = 180.0
KILLED_S = 5.0
IDLE_S = 600.0
LINGER_S = 5.0
RING_S = 900.0
"""How long a user cloud may take to do its part of a query."""
AGGREGATOR_LIFE_S = 40 * 86_400.0
MAX_AGGREGATORS = 16
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
        linger_s: The same for one that nobody but a study asked.
    """

    def __init__(
        self,
        zygote: socket.socket,
        answers: Answers,
        uids: Uids | None,
        store: Path,
        listen: str,
        idle_s: float = IDLE_S,
        linger_s: float = LINGER_S,
    ) -> None:
        self._answers, self._uids, self._store = answers, uids, store
        self._processes = Processes(zygote, answers)
        self._processes.on_end = self._ended
        self._listen, self._idle_s, self._linger_s = listen, idle_s, linger_s
        self._clouds: dict[OwnerId, Process] = {}
        # Weak: a host may name any number of owners, and a lock that nobody holds need not be kept.
        self._locks: WeakValueDictionary[OwnerId, asyncio.Lock] = WeakValueDictionary()
        self._room = Room(self.algorithms)
        # A socket, a pidfd in the parent, and some for all that comes and goes.
        self._most = max(1, min(MAX_CLOUDS, resource.getrlimit(resource.RLIMIT_NOFILE)[0] // 2 - 4 * MAX_ALGORITHMS))

    def listen_to_zygote(self, gone: Callable[[], None]) -> None:
        """Begin to take the parent's notices. ``gone`` is called when it died."""
        self._processes.listen_to_zygote(gone)

    def vouch_with(self, signer: Signer) -> None:
        """Sign evidence with a renewed signer from now on."""
        self._answers.signer = signer

    def owners(self) -> tuple[OwnerId, ...]:
        return tuple(self._clouds)

    def algorithms(self) -> int:
        return self._processes.count(ALGORITHM)

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
            assignment = AssignCloud(
                owner, str(self._store), host_url, self._listen, self._answers.node, self._idle_s, self._linger_s
            )
            process = await self._processes.start(
                USER_CLOUD, owner, SpawnCloud(uid), uid, wire.encode_frame(assignment)
            )
            self._clouds[owner] = process
            if process.ended.is_set():  # it ended between its word and ours
                del self._clouds[owner]
            if process.ended.is_set() or process.sleeping:
                raise SupervisorError("start-failed", "the user cloud ended at once", status=503)
            return Launched(self._listen, process.ready.result(), True)

    async def ring(self, owner: OwnerId, host_url: str, ring: Ring) -> Rung:
        """Pass a ring on, and wait for what it comes to.

        Raises:
            SupervisorError: As `cloud`; ``ring-lost`` where the user cloud ended before it answered,
                ``ring-under-way``.
        """
        await self.cloud(owner, host_url)
        process = self._clouds.get(owner)
        if process is None or process.sleeping:
            raise processes.lost()
        if process.rung is not None:
            raise SupervisorError("ring-under-way", "found a ring that this user cloud still answers", status=409)
        process.rung = asyncio.get_running_loop().create_future()
        try:
            process.writer.write(wire.encode_frame(ring))
            return Rung(await asyncio.wait_for(process.rung, RING_S))
        except TimeoutError:
            raise processes.lost() from None
        finally:
            process.rung = None

    async def aggregator(self, study: Digest, repetition: int) -> Launched:
        """A new aggregator for one query.

        Raises: SupervisorError: ``too-many``, ``start-failed``.
        """
        if self._processes.count(AGGREGATOR) >= MAX_AGGREGATORS:
            raise SupervisorError("too-many", "found too many aggregators at once", hint="try again", status=503)
        uid = self._uids.fresh() if self._uids else None
        assignment = wire.encode_frame(AssignAggregator(parse_digest(study), repetition, self._listen))
        process = await self._processes.start(
            AGGREGATOR, query_binding(study, repetition), SpawnAggregator(uid), uid, assignment
        )
        self._processes.task(self._processes.end_after(process, AGGREGATOR_LIFE_S))
        return Launched(self._listen, process.ready.result(), True)

    async def _gone_to_sleep(self, process: Process) -> None:
        """Wait until a sleeping process ended; `Processes` sees to it. Raises: SupervisorError: ``start-failed``."""
        try:
            await asyncio.wait_for(process.ended.wait(), SLEEP_S + KILLED_S)
        except TimeoutError:
            raise SupervisorError(
                "start-failed", "the user cloud before this one does not end", hint="try again", status=503
            ) from None

    async def algorithm(self, asked: LaunchAlgorithm) -> Launched:
        """A new algorithm service for one run, once there is room for it.

        Raises: SupervisorError: ``digest-mismatch``, ``algorithms-busy``, ``start-failed``.
        """
        digest, bundle, most = asked.digest, asked.bundle, min(asked.most, MAX_ALGORITHMS)
        if sha256(bundle) != parse_digest(digest):
            raise SupervisorError("digest-mismatch", "found a bundle that has not this digest", status=409)
        try:
            await self._room.take(most, asked.wait_s)
        except TimeoutError:
            raise SupervisorError(
                "algorithms-busy",
                f"at most {most} algorithm services run here at once",
                hint="try again when a run has ended",
                status=503,
            ) from None
        uid, child_uid = (self._uids.fresh(), self._uids.fresh()) if self._uids else (None, None)
        assignment = wire.encode_frame(AssignAlgorithm(parse_digest(digest), bundle, self._listen))
        spawn = SpawnAlgorithm(uid, child_uid)
        process = await self._processes.start(ALGORITHM, digest, spawn, uid, assignment, self._room.started)
        self._processes.task(self._processes.end_after(process, ALGORITHM_LIFE_S))
        return Launched(self._listen, process.ready.result(), True)

    def _ended(self, process: Process) -> None:
        self._room.ended()
        if process.workload == USER_CLOUD and self._clouds.get(OwnerId(process.binding)) is process:
            del self._clouds[OwnerId(process.binding)]
