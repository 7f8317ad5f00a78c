"""Where the machine gives no more descriptors, a start is refused and nothing else ends."""

from __future__ import annotations

import os
import resource
import socket

import msgspec

from waykeep.supervisor import zygote
from waykeep.supervisor.zygote import Exited, Failed, SpawnAlgorithm, SpawnCloud, Spawned, Workloads


def _nothing(*_: object) -> None:
    os._exit(0)


def _parent(control: socket.socket, parent: int) -> None:
    """A preloaded parent with room for its epoll, a request's socket, and three more: two pipes are one too many."""

    def load() -> Workloads:
        return Workloads(lambda: None, user_cloud=_nothing, front=_nothing, child=_nothing, aggregator=_nothing)

    limit = 3 + 5 + (control.fileno() < 8)
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    zygote.run(control, parent, load)


def _ask(control: socket.socket, request: SpawnCloud | SpawnAlgorithm) -> Spawned | Failed:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        socket.send_fds(control, [msgspec.json.encode(request)], [theirs.fileno()])
    while True:
        notice = msgspec.json.decode(control.recv(4096), type=Spawned | Failed | Exited)
        if not isinstance(notice, Exited):
            return notice


def test_an_algorithm_for_which_there_are_no_pipes_is_refused_and_the_parent_lives() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    parent, pid = os.getpid(), os.fork()
    if pid == 0:
        try:
            _parent(theirs, parent)
        finally:
            os._exit(1)
    theirs.close()
    with ours:
        ours.settimeout(30)
        assert isinstance(msgspec.json.decode(ours.recv(4096), type=Spawned), Spawned)
        failed = _ask(ours, SpawnAlgorithm(None, None))
        assert isinstance(failed, Failed)
        assert failed.reason == "Too many open files"
        # It still forks what fits, and has lost nothing to the attempt.
        for _ in range(3):
            assert isinstance(_ask(ours, SpawnCloud(None)), Spawned)
            assert isinstance(_ask(ours, SpawnAlgorithm(None, None)), Failed)
    os.waitpid(pid, 0)
