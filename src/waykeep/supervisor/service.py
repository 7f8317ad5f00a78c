"""The supervisor's process: starts the preloaded parent, makes its keys, and serves the host on a Unix socket."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import logging
import os
import resource
import secrets
import signal
import socket
import stat
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import msgspec

from waykeep.attestation import insecure
from waykeep.attestation.evidence import AGGREGATOR, ALGORITHM, USER_CLOUD
from waykeep.authority.keys import SigningKey
from waykeep.errors import SupervisorError, WaykeepError
from waykeep.formats import wire
from waykeep.formats.frames import (
    Clouds,
    ControlRequest,
    LaunchAggregator,
    LaunchAlgorithm,
    LaunchCloud,
    Refused,
    RingCloud,
)
from waykeep.supervisor import isolation, zygote
from waykeep.supervisor.answers import Answers
from waykeep.supervisor.kept import kept, node_key
from waykeep.supervisor.measure import measure
from waykeep.supervisor.node import IDLE_S, LINGER_S, Node
from waykeep.supervisor.signer import Signer
from waykeep.supervisor.uids import Uids
from waykeep.supervisor.zygote import MAX_PACKET, Spawned, Workloads

log = logging.getLogger("waykeep.supervisor")
RENEW_S = 86_400.0
"""How often the platform is asked for a new quote, over a new signing key."""


@dataclass(frozen=True)
class Settings:
    """Where a supervisor keeps and finds things.

    ``state`` holds the software root of platform ``insecure``, the node's key and the uids. A user cloud sleeps after
    ``idle_s`` seconds without a request, and after ``linger_s`` where nobody but a study asked.
    """

    socket: Path
    state: Path
    store: Path
    listen: str = "127.0.0.1"
    idle_s: float = IDLE_S
    linger_s: float = LINGER_S


def serve(settings: Settings, load: Callable[[], Workloads]) -> None:
    """Run until SIGTERM or SIGINT. ``load`` imports the workloads, in the preloaded parent only."""
    isolation.not_dumpable()
    _check_reachable(settings.store)
    lock = _only_one(settings.state)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, hard), hard))
    # Measured before anything is imported into the parent, so that what is forked is what was measured.
    measured = {part: measure(part) for part in ("supervisor", USER_CLOUD, ALGORITHM, AGGREGATOR)}
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    supervisor = os.getpid()
    if os.fork() == 0:
        try:
            ours.close()
            zygote.run(theirs, supervisor, load)
        except BaseException:  # noqa: BLE001 - the process ends in the next line
            # The parent knows nothing of an owner, so its own trace may be logged; a child's never is.
            traceback.print_exc()
        finally:
            os._exit(1)
    theirs.close()
    try:
        asyncio.run(_main(settings, ours, measured))
    finally:
        os.close(lock)


def _check_reachable(store: Path) -> None:
    """Whether processes with uids of their own can reach the store. Raises: SupervisorError: ``store-unreachable``."""
    closed = [folder for folder in (store, *store.parents) if not folder.stat().st_mode & stat.S_IXOTH]
    if os.geteuid() == 0 and closed:
        raise SupervisorError(
            "store-unreachable",
            f"user clouds have uids of their own and cannot pass a folder above the store ({closed[-1].name or '/'})",
            hint="chmod o+x that folder, or put the store elsewhere",
        )


async def _main(settings: Settings, parent: socket.socket, measured: dict[str, str]) -> None:
    loop, stop = asyncio.get_running_loop(), asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    packet = await loop.run_in_executor(None, parent.recv, MAX_PACKET)
    if not packet:
        raise SupervisorError("start-failed", "the preloaded parent did not start")
    msgspec.json.decode(packet, type=Spawned)
    root, key = software_root(settings.state), node_key(settings.state)

    def signer() -> Signer:
        """A new signing key, quoted now."""
        return Signer(
            insecure.PLATFORM,
            lambda report_data: insecure.quote(root, measured["supervisor"], report_data),
            secrets.token_bytes(32),
            time.time_ns() // 1_000_000,
            measured,
            key.recipient,
        )

    uids = Uids(settings.state / "uids") if os.geteuid() == 0 else None
    waits = (settings.idle_s, settings.linger_s)
    node = Node(parent, Answers(signer(), key), uids, settings.store, settings.listen, *waits)
    node.listen_to_zygote(stop.set)
    _free(settings.socket)
    server = await asyncio.start_unix_server(
        lambda r, w: _serve_host(node, r, w), path=settings.socket, limit=wire.MAX_FRAME
    )
    settings.socket.chmod(0o660)
    log.info("ready on platform %s", insecure.PLATFORM)
    async with server:
        while not stop.is_set():
            try:
                await asyncio.wait_for(stop.wait(), RENEW_S)
            except TimeoutError:
                node.vouch_with(signer())
    settings.socket.unlink(missing_ok=True)


def _free(path: Path) -> None:
    """Remove the socket that a dead supervisor left. Raises: SupervisorError: ``socket-in-use`` for anything else."""
    try:
        dead = stat.S_ISSOCK(path.lstat().st_mode) and not _answers(path)
    except FileNotFoundError:
        return
    if not dead:
        raise SupervisorError("socket-in-use", "found something else at this path", hint="give another --socket")
    path.unlink()


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
    return True


def _only_one(state: Path) -> int:
    """Hold this state for the process's life. Raises: SupervisorError: ``supervisor-running``."""
    lock = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise SupervisorError(
            "supervisor-running",
            "another supervisor uses this state",
            hint="end it, or give another --state",
        ) from None
    return lock


async def _serve_host(node: Node, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """One request of the host. The host is not trusted: what it may ask for is all that it can get."""
    with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, TimeoutError):
        try:
            async with asyncio.timeout(10):
                body = await reader.readexactly(wire.frame_length(await reader.readexactly(4)))
            reply = await _reply(node, body)
        except OSError as error:
            log.error("a start failed with errno %s", error.errno)
            reply = wire.encode_frame(Refused("supervisor", "start-failed", "the machine gives no more", "", 503))
        except WaykeepError as error:
            log.info("refused a request by %s", error.rule)
            reply = wire.encode_frame(Refused(error.family, error.rule, error.message, error.hint, error.status))
        writer.write(reply)
        await writer.drain()
    writer.close()


async def _reply(node: Node, body: bytes) -> bytes:
    request: ControlRequest = wire.decode_frame(body, ControlRequest)  # type: ignore[arg-type]  # of a union
    match request:
        case LaunchCloud():
            return wire.encode_frame(await node.cloud(request.owner, request.host_url))
        case RingCloud():
            return wire.encode_frame(await node.ring(request.owner, request.host_url, request.ring))
        case LaunchAlgorithm():
            return wire.encode_frame(await node.algorithm(request))
        case LaunchAggregator():
            return wire.encode_frame(await node.aggregator(request.study, request.repetition))
        case _:
            return wire.encode_frame(Clouds(node.owners(), node.algorithms()))


def software_root(state: Path) -> SigningKey:
    """The installation's software root, made once; its public half is beside it for those who choose to trust it."""
    path = state / "insecure-root"
    seed = kept(path, lambda: secrets.token_bytes(32))  # before anybody sees its public half, and trusts it
    if len(seed) != 32:
        raise SupervisorError(
            "root-damaged", "found a software root that has not 32 bytes", hint=f"delete {path.name} to make a new one"
        )
    root = SigningKey(seed)
    (state / "insecure-root.pub").write_text(root.public + "\n")
    return root
