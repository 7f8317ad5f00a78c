"""The preloaded parent: it has imported and run everything once, holds no secret, and forks.

It was itself forked from the supervisor before that made a key, so no child's memory ever held one. It has one thread:
a fork copies only the thread that calls it. It talks with the supervisor over one socket (a packet a message), reaps
what it forked, and ends, with all of it, when the supervisor does.
"""

from __future__ import annotations

import array
import contextlib
import errno
import gc
import os
import select
import signal
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated, NoReturn

import msgspec

from waykeep.supervisor import isolation, namespaces

MAX_PACKET = 4096


@dataclass(frozen=True)
class Workloads:
    """What the parent can fork into; the command line composes it, so that this room imports no workload.

    Attributes:
        warm: Runs the read and write path once, starting no thread.
        user_cloud: ``user_cloud(link)``.
        front: ``front(link, read, write)`` of an algorithm service: pipes from and to its child.
        aggregator: ``aggregator(link)``.
        child: ``child(read, write, uid)``; puts its sandbox on, including its uid, before anything else.
    """

    warm: Callable[[], None]
    user_cloud: Callable[[int], None]
    front: Callable[[int, int, int], None]
    child: Callable[[int, int, int | None], None]
    aggregator: Callable[[int], None]


class SpawnCloud(msgspec.Struct, frozen=True, tag="cloud"):
    uid: int | None


class SpawnAggregator(msgspec.Struct, frozen=True, tag="aggregator"):
    uid: int | None


class SpawnAlgorithm(msgspec.Struct, frozen=True, tag="algorithm"):
    uid: int | None
    child_uid: int | None


Spawn = SpawnCloud | SpawnAggregator | SpawnAlgorithm


class Kill(msgspec.Struct, frozen=True, tag="kill"):
    pid: int


class Spawned(msgspec.Struct, frozen=True, tag="spawned"):
    pid: int


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """The machine gave no process, pipe or descriptor; ``reason`` is the operating system's word for it."""

    reason: str


class Exited(msgspec.Struct, frozen=True, tag="exited"):
    pid: Annotated[int, msgspec.Meta(ge=1)]
    status: int


@dataclass
class _Family:
    """Live children by pidfd, and each front's child, which it takes along.

    A child that ends leaves its front to answer.
    """

    pids: dict[int, int] = field(default_factory=dict)
    partner: dict[int, int] = field(default_factory=dict)


def run(control: socket.socket, supervisor: int, load: Callable[[], Workloads]) -> NoReturn:
    """Serve the supervisor until it goes. ``load`` imports the workloads, here and not in the supervisor."""
    isolation.close_all_but((0, 1, 2, control.fileno()))
    isolation.not_dumpable()
    isolation.die_with_parent(supervisor)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # it ends with the supervisor, not by a signal to the group
    workloads = load()
    workloads.warm()
    gc.collect()
    gc.freeze()  # so that a child's collector does not touch, and thereby copy, the shared pages
    control.send(msgspec.json.encode(Spawned(os.getpid())))
    family, poller = _Family(), select.epoll()
    poller.register(control, select.EPOLLIN)
    while True:
        for descriptor, _ in poller.poll():
            if descriptor == control.fileno():
                _serve(control, workloads, family, poller)
            elif descriptor in family.pids:
                _reap(control, family, poller, descriptor)


def _serve(control: socket.socket, workloads: Workloads, family: _Family, poller: select.epoll) -> None:
    packet, ancillary, _, _ = control.recvmsg(MAX_PACKET, socket.CMSG_SPACE(4))
    if not packet:
        os._exit(0)
    received = array.array("i")
    for _, kind, data in ancillary:
        if kind == socket.SCM_RIGHTS:
            received.frombytes(data[:4])
    request = msgspec.json.decode(packet, type=Spawn | Kill)
    try:
        _do(control, workloads, family, poller, request, received)
    except OSError as error:
        # No pid, no descriptor: a refusal, and no reason for all user clouds to end with this process.
        control.send(msgspec.json.encode(Failed(os.strerror(error.errno or 0))))
    finally:
        for descriptor in received:
            os.close(descriptor)


def _do(
    control: socket.socket,
    workloads: Workloads,
    family: _Family,
    poller: select.epoll,
    request: Spawn | Kill,
    received: array.array[int],
) -> None:
    if not isinstance(request, Kill) and not received:
        raise OSError(errno.EMFILE, "no descriptor came with the request")
    match request:
        case Kill(pid):
            if pid in family.pids.values():
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        case SpawnCloud(uid) | SpawnAggregator(uid):
            body = workloads.user_cloud if isinstance(request, SpawnCloud) else workloads.aggregator
            pid = _fork(lambda: body(received[0]), uid, (received[0],))
            _adopt(family, poller, pid)
            control.send(msgspec.json.encode(Spawned(pid)))
        case SpawnAlgorithm(uid, child_uid):
            with contextlib.ExitStack() as pipes:
                to_child, from_child = _pipe(pipes), _pipe(pipes)
                child = _fork_child(workloads, to_child[0], from_child[1], child_uid)
                # The child ends by itself if what follows fails: its pipes are closed.
                _adopt(family, poller, child)
                ends = (received[0], from_child[0], to_child[1])
                front = _fork(lambda: workloads.front(*ends), uid, ends)
            _adopt(family, poller, front)
            family.partner[front] = child
            control.send(msgspec.json.encode(Spawned(front)))


def _pipe(closing: contextlib.ExitStack) -> tuple[int, int]:
    ends = os.pipe()
    for descriptor in ends:
        closing.callback(os.close, descriptor)
    return ends


def _fork(body: Callable[[], None], uid: int | None, keep: tuple[int, ...]) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    try:
        isolation.enter(uid=uid, keep=keep, parent=parent)
        body()
        os._exit(0)
    finally:
        os._exit(1)


def _fork_child(workloads: Workloads, read: int, write: int, uid: int | None) -> int:
    """Fork an author's process as the first of a PID namespace, where the kernel lets us; the sandbox reports it."""
    pid = namespaces.fork_first()
    if pid:
        return pid
    try:
        isolation.close_all_but((read, write))
        isolation.die_with_parent(None)
        workloads.child(read, write, uid)
    finally:
        os._exit(1)


def _adopt(family: _Family, poller: select.epoll, pid: int) -> None:
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        # What cannot be watched is not left running.
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        raise
    family.pids[descriptor] = pid
    poller.register(descriptor, select.EPOLLIN)


def _reap(control: socket.socket, family: _Family, poller: select.epoll, descriptor: int) -> None:
    pid = family.pids.pop(descriptor)
    poller.unregister(descriptor)
    os.close(descriptor)
    _, status = os.waitpid(pid, 0)
    partner = family.partner.pop(pid, None)
    if partner is not None and partner in family.pids.values():
        with contextlib.suppress(ProcessLookupError):
            os.kill(partner, signal.SIGKILL)
    control.send(msgspec.json.encode(Exited(pid, status)))
