"""Landlock alone: in a run, seccomp refuses most of this before Landlock is asked."""

from __future__ import annotations

import pytest

from tests.unit.algorithm.programs import run
from waykeep.algorithm import landlock

PROGRAM = """
import os, socket
from waykeep.algorithm import landlock, libc
outside = socket.socket(socket.AF_UNIX)
outside.bind("\\0waykeep-landlock-" + str(os.getpid()))
outside.listen()
attempts = {
    "read": lambda: os.close(os.open("/etc/passwd", os.O_RDONLY)),
    "list": lambda: os.listdir("/"),
    "write": lambda: os.close(os.open("/dev/null", os.O_WRONLY)),
    "make": lambda: os.close(os.open("/dev/shm", os.O_TMPFILE | os.O_WRONLY)),
    "bind": lambda: socket.socket().bind(("127.0.0.1", 0)),
    "connect": lambda: socket.socket().connect(("127.0.0.1", 1)),
    "abstract": lambda: socket.socket(socket.AF_UNIX).connect(outside.getsockname()),
    "signal": lambda: os.kill(os.getppid(), 0),
    "own-signal": lambda: os.kill(os.getpid(), 0),
}
def go():
    for name, attempt in attempts.items():
        try:
            attempt()
            print(name, "done")
        except OSError as error:
            print(name, error.errno)
go()
libc.prctl(libc.PR_SET_NO_NEW_PRIVS, 1)
landlock.restrict(landlock.abi())
print("--")
go()
"""


def test_what_worked_before_is_refused_after() -> None:
    before, after = (dict(line.split() for line in part.splitlines()) for part in run(PROGRAM).split("--\n"))
    # 111: nobody listens there, so the call itself was allowed.
    assert before == dict.fromkeys(before, "done") | {"connect": "111"}
    eacces, eperm = "13", "1"
    expected = dict.fromkeys(("read", "list", "write", "make"), eacces) | {"own-signal": "done"}
    version = landlock.abi()
    expected |= dict.fromkeys(("bind", "connect"), eacces) if version >= 4 else {}
    expected |= dict.fromkeys(("abstract", "signal"), eperm) if version >= 6 else {}
    assert expected.items() <= after.items()


def test_it_cannot_be_put_on_without_giving_up_new_privileges() -> None:
    program = """
    import os
    from waykeep.algorithm import landlock, libc
    libc.drop_capabilities()
    try:
        landlock.restrict(landlock.abi())
        print("on")
    except OSError as error:
        print(error.errno)
    """
    assert run(program) == "1\n"


def test_a_newer_kernel_is_used_as_far_as_it_is_known() -> None:
    program = """
    import os
    from waykeep.algorithm import landlock, libc
    libc.prctl(libc.PR_SET_NO_NEW_PRIVS, 1)
    landlock.restrict(landlock.abi() + 100 if landlock.abi() >= 7 else landlock.abi())
    try:
        os.listdir("/")
        print("listed")
    except OSError as error:
        print(error.errno)
    """
    assert run(program) == "13\n"


def test_a_kernel_without_landlock_is_not_taken_for_one_with_it() -> None:
    with pytest.raises(KeyError):
        landlock.restrict(0)
