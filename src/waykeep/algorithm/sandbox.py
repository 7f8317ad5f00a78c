"""The sandbox that a forked process puts on before it reads a byte of an author's code. It cannot be taken off.

Every feature is put on and then looked at (an inode, a limit, an attempt that must fail), because a return code only
says that the kernel accepted the call. One that is missing refuses the run. In order:

1.  The process has one thread: most of what follows binds only the thread that calls it. ``private-memory``: nothing
    that is written here is seen by another process; a shared mapping would outlive its descriptor. ``descriptors``:
    everything but the pipes is closed, standard streams included.
2.  ``network-``, ``mount-``, ``ipc-``, ``uts-``, ``cgroup-namespace``: no interface but a loopback that is down, an
    empty root, no shared memory. Not root: in a ``user-namespace``. ``pid-namespace`` is made by whoever forks
    (a process cannot move itself); here it is seen: the child is process 1.
3.  ``resource-limits``: memory, processor time, no process, no descriptor, no file size, no core.
4.  ``gid-uid`` (root): a uid of its own, no groups; ``capabilities``: none left.
5.  ``dumpable-off``, ``no-new-privileges``; the kernel kills the child when the process that forked it dies.
6.  ``landlock``: no path, no TCP, no signal to others.
7.  ``seccomp``: the allow-list of `waykeep.algorithm.seccomp`.
"""

from __future__ import annotations

import errno
import os
import resource
import signal
import socket
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Final

from waykeep.algorithm import landlock, libc, seccomp
from waykeep.errors import AlgorithmError
from waykeep.formats.manifest import Limits

REQUIRED: Final = frozenset(
    {
        "capabilities",
        "cgroup-namespace",
        "descriptors",
        "dumpable-off",
        "ipc-namespace",
        "landlock",
        "mount-namespace",
        "network-namespace",
        "no-new-privileges",
        "pid-namespace",
        "private-memory",
        "resource-limits",
        "seccomp",
        "uts-namespace",
    }
)
"""What must be in force. Besides, ``gid-uid`` or ``user-namespace`` is reported, and policy decides which will do."""

_NAMESPACES: Final = {"net": "network", "mnt": "mount", "ipc": "ipc", "uts": "uts", "cgroup": "cgroup", "user": "user"}
_UNSHARED: Final = libc.CLONE_NEWNET | libc.CLONE_NEWNS | libc.CLONE_NEWIPC | libc.CLONE_NEWUTS | libc.CLONE_NEWCGROUP
_LAST_DESCRIPTOR: Final = 2**32 - 1
_SEEN_DESCRIPTORS: Final = 256
_MIB: Final = 1 << 20


def enter(*, uid: int | None, keep: Collection[int], ceilings: Limits) -> tuple[str, ...]:
    """Put the sandbox on.

    Args:
        uid: The uid (and gid) that only this child has, as root; None when the forking process is not root.
        keep: The descriptors of the pipes, each above 2: on 0 to 2 a library's message would be taken for an answer.
        ceilings: Limits of any algorithm; `lower` sets those of one.

    Returns:
        The names of the features in force, sorted.

    Raises:
        AlgorithmError: ``sandbox-<feature>-missing``. The process must end then.
    """
    if min(keep) <= 2:
        raise _missing("descriptors", "the pipes lie on standard streams")
    with _putting_on("seccomp"):
        seccomp.prepare()
    virtual = _virtual_bytes()
    outside = _inodes()

    features = {"private-memory", "descriptors"}
    with _putting_on("one-thread"):
        _demand(len(os.listdir("/proc/self/task")) == 1)
    with _putting_on("private-memory"):
        _demand(not _shares_memory())
    with _putting_on("descriptors"):
        _close_all_but(keep)
    features |= _unshare(uid, outside)
    with _putting_on("mount-namespace"):
        _empty_root()
    with _putting_on("uts-namespace"):
        libc.sethostname("algorithm")
    with _putting_on("resource-limits"):
        _limit(virtual, max(keep), ceilings)
        features.add("resource-limits")
    if uid is not None:
        with _putting_on("gid-uid"):
            _become(uid)
            features.add("gid-uid")
    with _putting_on("capabilities"):
        libc.prctl(libc.PR_CAP_AMBIENT, libc.PR_CAP_AMBIENT_CLEAR_ALL)
        libc.drop_capabilities()
        _demand(libc.capabilities() == 0)
        features.add("capabilities")
    with _putting_on("dumpable-off"):
        # A change of credentials resets both of these, so they come after it.
        libc.prctl(libc.PR_SET_DUMPABLE, 0)
        libc.prctl(libc.PR_SET_PDEATHSIG, signal.SIGKILL)
        _demand(libc.prctl(libc.PR_GET_DUMPABLE) == 0)
        features.add("dumpable-off")
    with _putting_on("no-new-privileges"):
        libc.prctl(libc.PR_SET_NO_NEW_PRIVS, 1)
        _demand(libc.prctl(libc.PR_GET_NO_NEW_PRIVS) == 1)
        features.add("no-new-privileges")
    with _putting_on("landlock"):
        version = landlock.abi()
        _demand(version >= 1)
        landlock.restrict(version)
        _refused(errno.EACCES, _open_root)
        features.add("landlock")
    with _putting_on("seccomp"):
        seccomp.restrict(keep)
        _refused(errno.EPERM, _open_root)
        _refused(errno.EPERM, socket.socket)
        _refused(errno.EPERM, _fork)
        features.add("seccomp")
    for feature in sorted(REQUIRED - features):
        raise _missing(feature, "it is not in force")
    return tuple(sorted(features))


def lower(ceilings: Limits, limits: Limits) -> None:
    """From the ceilings that `enter` set to the limits of one algorithm; a limit only ever goes down."""
    for kind, by in (
        (resource.RLIMIT_AS, (ceilings.memory_mib - limits.memory_mib) * _MIB),
        (resource.RLIMIT_CPU, ceilings.cpu_s - limits.cpu_s),
    ):
        value = resource.getrlimit(kind)[1] - by
        resource.setrlimit(kind, (value, value))


def _close_all_but(keep: Collection[int]) -> None:
    first = 0
    for descriptor in sorted(keep):
        libc.close_range(first, descriptor - 1)
        first = descriptor + 1
    libc.close_range(first, _LAST_DESCRIPTOR)
    for descriptor in range(_SEEN_DESCRIPTORS):
        if descriptor not in keep:
            _refused(errno.EBADF, lambda descriptor=descriptor: os.fstat(descriptor))  # type: ignore[misc]  # bound early


def _unshare(uid: int | None, outside: dict[str, int]) -> set[str]:
    if (uid is None) == (os.geteuid() == 0):
        raise _missing("gid-uid", "an author's code runs under a uid of its own, which only root can give")
    with _putting_on("network-namespace"):
        libc.unshare(_UNSHARED | (libc.CLONE_NEWUSER if uid is None else 0))
    inside = _inodes()
    features = {f"{name}-namespace" for kind, name in _NAMESPACES.items() if inside[kind] != outside[kind]}
    # Before anything is mounted: in the namespace of the machine that would be the machine's own root.
    for name in sorted(set(_NAMESPACES.values()) - {"user"}):
        if f"{name}-namespace" not in features:
            raise _missing(f"{name}-namespace", "it is not in force")
    return features | ({"pid-namespace"} if os.getpid() == 1 else set())


def _empty_root() -> None:
    """Move an empty, read-only file system over the root, as ``switch_root`` does (that works on an initramfs too)."""
    libc.mount("none", "/", "", libc.MS_REC | libc.MS_PRIVATE)
    flags = libc.MS_RDONLY | libc.MS_NOSUID | libc.MS_NODEV | libc.MS_NOEXEC
    libc.mount("none", "/proc", "tmpfs", flags, "size=4k,nr_inodes=2,mode=755")
    os.chdir("/proc")
    libc.mount(".", "/", "", libc.MS_MOVE)
    os.chroot(".")
    os.chdir("/")
    _demand(os.listdir("/") == [])


def _limit(virtual: int, last_descriptor: int, ceilings: Limits) -> None:
    limits = {
        resource.RLIMIT_AS: virtual + ceilings.memory_mib * _MIB,
        # Soft equals hard: at the soft limit comes SIGXCPU, which a PID namespace's first process ignores.
        resource.RLIMIT_CPU: ceilings.cpu_s,
        resource.RLIMIT_NPROC: 0,
        resource.RLIMIT_NOFILE: last_descriptor + 1,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_CORE: 0,
        resource.RLIMIT_MEMLOCK: 0,
        resource.RLIMIT_MSGQUEUE: 0,
    }
    for kind, value in limits.items():
        resource.setrlimit(kind, (value, value))
        _demand(resource.getrlimit(kind) == (value, value))


def _become(uid: int) -> None:
    _demand(uid > 0)
    os.setgroups([])
    os.setresgid(uid, uid, uid)
    os.setresuid(uid, uid, uid)
    _demand(os.getresuid() == (uid,) * 3 and os.getresgid() == (uid,) * 3 and os.getgroups() == [])


def _inodes() -> dict[str, int]:
    with _putting_on("network-namespace"):
        return {kind: os.stat(f"/proc/self/ns/{kind}").st_ino for kind in _NAMESPACES}


def _virtual_bytes() -> int:
    with _putting_on("resource-limits"), open("/proc/self/statm", "rb") as file:
        return int(file.read().split()[0]) * resource.getpagesize()


def _shares_memory() -> bool:
    """Whether a mapping is both writable and shared (``proc_pid_maps(5)``: the second field, as in ``rw-s``)."""
    with open("/proc/self/maps", "rb") as file:
        permissions = [line.split(maxsplit=2)[1] for line in file]
    return any(b"w" in each and b"s" in each for each in permissions)


def _open_root() -> None:
    os.close(os.open("/", os.O_RDONLY))


def _fork() -> None:
    if os.fork() == 0:
        os._exit(0)


def _refused(number: int, attempt: Callable[[], object]) -> None:
    """Try what must fail, with exactly this error: another one would say that something else stopped it."""
    try:
        attempt()
    except OSError as error:
        _demand(error.errno == number)
        return
    _demand(False)


def _demand(holds: bool) -> None:
    if not holds:
        raise OSError(errno.EPROTO, "it was accepted and is not in force")


@contextmanager
def _putting_on(feature: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise _missing(feature, os.strerror(error.errno) if error.errno else "it failed") from None
    except ValueError:  # of setrlimit, when the machine's own limit is below ours
        raise _missing(feature, "this process has less than it takes") from None


def _missing(feature: str, reason: str) -> AlgorithmError:
    return AlgorithmError(
        f"sandbox-{feature}-missing",
        f"the sandbox lacks {feature}: {reason}",
        hint="no algorithm of others runs on a machine without it: a kernel with namespaces, seccomp and Landlock",
        status=503,
    )
