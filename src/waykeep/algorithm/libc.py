"""The few calls of Linux that Python 3.11 does not offer, through ctypes; each raises `OSError` as ``os`` does."""

from __future__ import annotations

import ctypes
import os

_LIBC = ctypes.CDLL(None, use_errno=True)
_LIBC.syscall.restype = ctypes.c_long

CLONE_NEWNS = 0x0002_0000
CLONE_NEWCGROUP = 0x0200_0000
CLONE_NEWUTS = 0x0400_0000
CLONE_NEWIPC = 0x0800_0000
CLONE_NEWUSER = 0x1000_0000
CLONE_NEWPID = 0x2000_0000
CLONE_NEWNET = 0x4000_0000

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC = 1, 2, 4, 8
MS_MOVE, MS_REC, MS_PRIVATE = 0x2000, 0x4000, 0x4_0000

PR_SET_PDEATHSIG, PR_GET_DUMPABLE, PR_SET_DUMPABLE = 1, 3, 4
PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS, PR_GET_NO_NEW_PRIVS, PR_CAP_AMBIENT = 24, 38, 39, 47
PR_CAP_AMBIENT_CLEAR_ALL = 4

_CLOSE_RANGE = 436
_CAPABILITY_VERSION_3 = 0x20080522


def _checked(result: int) -> int:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return result


def syscall(number: int, *arguments: object) -> int:
    """A system call by number; integers are passed as longs."""
    passed = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return _checked(_LIBC.syscall(ctypes.c_long(number), *passed))


def prctl(option: int, *arguments: int) -> int:
    padded = (*arguments, 0, 0, 0, 0)[:4]
    return _checked(_LIBC.prctl(option, *map(ctypes.c_ulong, padded)))


def unshare(flags: int) -> None:
    """``os.unshare`` of Python 3.12."""
    _checked(_LIBC.unshare(flags))


def setns(descriptor: int, kind: int) -> None:
    """``os.setns`` of Python 3.12."""
    _checked(_LIBC.setns(descriptor, kind))


def mount(source: str, target: str, kind: str, flags: int, options: str = "") -> None:
    _checked(_LIBC.mount(source.encode(), target.encode(), kind.encode(), ctypes.c_ulong(flags), options.encode()))


def sethostname(name: str) -> None:
    _checked(_LIBC.sethostname(name.encode(), len(name)))


def close_range(first: int, last: int) -> None:
    """Close the descriptors ``first`` to ``last`` (both included), open or not; needs no ``/proc``."""
    if first <= last:
        syscall(_CLOSE_RANGE, first, last, 0)


def drop_capabilities() -> None:
    """Empty the effective, permitted, inheritable and ambient sets of the calling process."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    _checked(_LIBC.capset(header, (ctypes.c_uint32 * 6)()))


def capabilities() -> int:
    """The effective and permitted capabilities, as one bit set."""
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    sets = (ctypes.c_uint32 * 6)()
    _checked(_LIBC.capget(header, sets))
    return int((sets[0] | sets[1]) | (sets[3] | sets[4]) << 32)
