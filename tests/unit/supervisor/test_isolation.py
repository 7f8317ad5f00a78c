"""A forked process keeps the descriptors it was given and nothing else, and ends with its parent."""

from __future__ import annotations

import ctypes
import os
import resource
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.builders import refused
from tests.unit.supervisor.forked import forked
from waykeep.errors import SupervisorError
from waykeep.supervisor import isolation

ROOT = os.geteuid() == 0
UID = 1_234_567_890


def open_descriptors() -> list[int]:
    """The descriptors of this process, found by asking for each: a listing of `/proc` would open one itself."""
    found = []
    for descriptor in range(resource.getrlimit(resource.RLIMIT_NOFILE)[0]):
        try:
            os.fstat(descriptor)
        except OSError:
            continue
        found.append(descriptor)
    return found


def closed_but(*more: int, pipe_at: int) -> list[int]:
    """What is open after `close_all_but` of a pipe, moved to a number of one's choice, and some more."""

    def work(pipe: int) -> list[int]:
        resource.setrlimit(resource.RLIMIT_NOFILE, (300, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
        for descriptor in (0, 1, 2, 20, 150, 299):
            if descriptor != pipe:
                os.dup2(pipe, descriptor)
        os.dup2(pipe, pipe_at)
        isolation.close_all_but((*more, pipe_at))
        found = open_descriptors()
        os.dup2(pipe_at, pipe)
        return found

    answer = forked(work)
    assert isinstance(answer, list), answer
    return answer


@pytest.mark.parametrize("kept", [0, 1, 3, 20, 150, 299])
def test_the_one_descriptor_to_keep_is_kept(kept: int) -> None:
    assert closed_but(pipe_at=kept) == [kept]


@pytest.mark.parametrize("kept", [(0,), (0, 1, 2), (20, 150), (150, 20), (299, 0), (20, 20)])
def test_several_are_kept_in_whatever_order(kept: tuple[int, ...]) -> None:
    assert closed_but(*kept, pipe_at=21) == sorted({*kept, 21})


def test_nothing_is_kept_where_nothing_is_asked_for() -> None:
    # The answer cannot come through a descriptor; the exit code says how many were open.
    pid = os.fork()
    if pid == 0:
        isolation.close_all_but(())
        os._exit(min(len(open_descriptors()), 100))
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def _entered(uid: int | None) -> dict[str, object]:
    parent, secret = os.getpid(), os.open("/", os.O_RDONLY)

    def work(pipe: int) -> dict[str, object]:
        isolation.enter(uid=uid, keep=(pipe,), parent=parent)
        signalled = ctypes.c_int()
        ctypes.CDLL(None).prctl(2, ctypes.byref(signalled), 0, 0, 0)
        null = os.stat("/dev/null")
        return {
            "open": [descriptor for descriptor in open_descriptors() if descriptor != pipe],
            "null": [stat.S_ISCHR(os.fstat(n).st_mode) and os.fstat(n).st_rdev == null.st_rdev for n in (0, 1, 2)],
            "ids": [*os.getresuid(), *os.getresgid()],
            "groups": os.getgroups(),
            "folder": os.getcwd(),
            "dumpable": ctypes.CDLL(None).prctl(3, 0, 0, 0, 0),
            "core": resource.getrlimit(resource.RLIMIT_CORE),
            "death": signalled.value,
        }

    try:
        answer = forked(work)
    finally:
        os.close(secret)
    assert isinstance(answer, dict), answer
    return answer


def test_a_process_that_entered_has_what_its_claims_say() -> None:
    found = _entered(UID if ROOT else None)
    assert found["open"] == [0, 1, 2]
    assert found["null"] == [True] * 3
    assert found["folder"] == "/"
    assert (found["dumpable"], found["core"]) == (0, [0, 0])
    assert found["death"] == signal.SIGKILL
    if ROOT:
        assert (found["ids"], found["groups"]) == ([UID] * 6, [])


def test_claims_name_a_uid_only_where_there_is_one() -> None:
    assert set(isolation.claims(UID)) - set(isolation.claims(None)) == {isolation.OWN_UID}
    assert isolation.OWN_UID not in isolation.claims(None)


def test_a_process_whose_parent_is_gone_already_ends() -> None:
    # As if it had been forked by another than its parent: it must not go on without a supervisor.
    def work(_: int) -> str:
        isolation.die_with_parent(os.getppid() + 1_000_000)
        return "went on"

    assert forked(work) is None


def test_a_process_dies_with_its_parent(tmp_path: Path) -> None:
    fifo = tmp_path / "alive"
    os.mkfifo(fifo)
    program = (
        "import os, sys, time\n"
        "from waykeep.supervisor import isolation\n"
        "parent = os.getpid()\n"
        "if os.fork() == 0:\n"
        "    isolation.die_with_parent(parent)\n"
        "    end = os.open(sys.argv[1], os.O_WRONLY)\n"
        "    os.write(end, b'x')\n"
        "    time.sleep(600)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(fifo)]) as process:
        try:
            with fifo.open("rb") as reader:
                assert reader.read(1) == b"x"
                process.kill()
                # Its end of the pipe closes when the child is gone, and no sooner.
                assert reader.read() == b""
        finally:
            process.kill()


def test_what_the_kernel_refuses_is_a_typed_refusal() -> None:
    with refused("isolation-missing", SupervisorError):
        isolation._prctl(1 << 20, 0)
