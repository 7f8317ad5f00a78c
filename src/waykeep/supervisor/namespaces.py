"""Forking the first process of a PID namespace: an author's process then sees no other.

As root the parent enters a new namespace for its children, forks, and goes back. Without root only a user namespace
gives the right to make one, and a process cannot leave that again; so a process between makes it, forks, waits, and
ends with its child.
"""

from __future__ import annotations

import ctypes
import os
import signal

_CLONE_NEWPID, _CLONE_NEWUSER = 0x20000000, 0x10000000
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE = 1, 4
_libc = ctypes.CDLL(None, use_errno=True)


def fork_first() -> int:
    """As `os.fork`. Where the kernel gives no namespace the child has none, and its sandbox reports so.

    Returns:
        0 in the child. In the parent the pid to wait for and to kill: the child's, or that of the one between, which
        takes the child along.
    """
    return _as_root() if os.geteuid() == 0 else _between()


def _as_root() -> int:
    own = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    namespace, pid = _libc.unshare(_CLONE_NEWPID) == 0, -1
    try:
        pid = os.fork()
        return pid
    finally:
        # Back, so that the next fork lands in this namespace; a parent that cannot go back must not go on.
        if pid and namespace and _libc.setns(own, _CLONE_NEWPID) != 0:
            os._exit(1)
        os.close(own)


def _between() -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return pid
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:
        os._exit(1)
    uid, gid = os.getuid(), os.getgid()
    if _libc.unshare(_CLONE_NEWUSER | _CLONE_NEWPID) == 0:
        # A process that is not dumpable may not write its own maps; this one holds nothing yet.
        _libc.prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
        maps = {"setgroups": "deny", "uid_map": f"{uid} {uid} 1", "gid_map": f"{gid} {gid} 1"}
        for name, text in maps.items():
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
        _libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    child = os.fork()
    if child == 0:
        return 0
    os.closerange(0, os.sysconf("SC_OPEN_MAX"))
    _, status = os.waitpid(child, 0)
    os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
