"""A process with another's uid, which tries what only that other may.

As a program it has imported all it needs before it changes its uid, since it may not even reach the interpreter's
files afterwards.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

_PTRACE_ATTACH, _PTRACE_DETACH = 16, 17
_PR_SET_DUMPABLE = 4
_libc = ctypes.CDLL(None, use_errno=True)


def trying_as(uid: int, victim: int, control: Path, *folders: Path) -> dict[str, str]:
    """What each attempt against process ``victim`` gives, made under ``uid``.

    Args:
        control: A Unix socket to connect to.
        folders: Folders to list, and to put a file into.
    """
    arguments = [str(uid), str(victim), str(control), *map(str, folders)]
    found = subprocess.run(
        [sys.executable, "-I", __file__, *arguments], capture_output=True, text=True, timeout=30, check=False
    )
    assert found.returncode == 0, found.stderr
    outcome = json.loads(found.stdout)
    assert isinstance(outcome, dict)
    return outcome


@contextmanager
def easy_victim(uid: int) -> Iterator[int]:
    """The pid of a process of this uid that took no care of itself."""
    arguments = [sys.executable, "-I", __file__, "victim", str(uid)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == b"ready\n"
        yield victim.pid
        victim.communicate()


def _become(uid: int) -> None:
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    _libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)  # which a change of uid took away


def _ptrace(pid: int) -> None:
    if _libc.ptrace(_PTRACE_ATTACH, pid, None, None) != 0:
        raise OSError(ctypes.get_errno(), "ptrace")
    os.waitpid(pid, 0)
    _libc.ptrace(_PTRACE_DETACH, pid, None, None)


def _peek(pid: int) -> None:
    """``process_vm_readv(2)`` of a byte of libc; whether the victim has it at that address does not matter."""
    address = ctypes.cast(_libc.getpid, ctypes.c_void_p).value
    local = (ctypes.c_void_p * 2)(ctypes.addressof(ctypes.create_string_buffer(1)), 1)
    remote = (ctypes.c_void_p * 2)(address, 1)
    if _libc.process_vm_readv(pid, local, 1, remote, 1, 0) < 0 and ctypes.get_errno() != errno.EFAULT:
        raise OSError(ctypes.get_errno(), "process_vm_readv")


def _connect(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.connect(path)


def _read(path: str) -> None:
    with open(path, "rb") as file:
        file.read(1)


def _put(folder: str) -> None:
    os.unlink(_touched(f"{folder}/intruder"))


def _touched(path: str) -> str:
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))
    return path


def _try(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, "?")
    return "done"


def _main() -> None:
    """Takes uid, pid of the victim, a Unix socket, folders; prints attempt -> ``done`` or the error's name, as JSON."""
    uid, victim, control, folders = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4:]
    process = f"/proc/{victim}"
    _become(uid)
    attempts: dict[str, Callable[[], object]] = {
        "ptrace": lambda: _ptrace(victim),
        "process_vm_readv": lambda: _peek(victim),
        "mem": lambda: os.close(os.open(f"{process}/mem", os.O_RDONLY)),
        "environ": lambda: _read(f"{process}/environ"),
        "fd": lambda: os.listdir(f"{process}/fd"),
        "maps": lambda: _read(f"{process}/maps"),
        "connect": lambda: _connect(control),
    }
    for number, folder in enumerate(folders):
        attempts[f"list-{number}"] = lambda folder=folder: os.listdir(folder)
        attempts[f"put-{number}"] = lambda folder=folder: _put(folder)
    json.dump({name: _try(attempt) for name, attempt in attempts.items()}, sys.stdout)


if __name__ == "__main__" and sys.argv[1] == "victim":
    _become(int(sys.argv[2]))
    print("ready", flush=True)
    sys.stdin.read()
elif __name__ == "__main__":
    _main()
