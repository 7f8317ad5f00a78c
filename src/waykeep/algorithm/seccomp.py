"""The allow-list of system calls for an author's code, loaded with libseccomp (Debian package ``libseccomp2``).

What is allowed is what a computation on memory needs: two pipes, memory that cannot become code, the clock, random
bytes, the end. Note what is *not* there. Nothing opens, makes, sends or signals anything. And nothing waits: no
``nanosleep``, no ``poll``, no ``futex`` but the wake-up, so a process that stays alive uses up the processor time
that its limit gives it, or blocks in a pipe that its front closes. The end of a run needs no goodwill.
"""

from __future__ import annotations

import ctypes
import errno
from collections.abc import Collection
from functools import cache
from typing import Final

from waykeep.errors import AlgorithmError

_LIBRARY: Final = "libseccomp.so.2"

_ALLOWED: Final = (
    # memory (mmap and mprotect are below, with their arguments)
    "brk", "madvise", "mremap", "munmap",
    # time; most of these never reach the kernel
    "clock_getres", "clock_gettime", "gettimeofday", "time", "times", "getrusage",
    # signals that the process sets up for itself: Python's handlers, a stack overflow
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall",
    # itself
    "getpid", "gettid", "getppid", "getuid", "geteuid", "getgid", "getegid", "getrandom",
    "sched_getaffinity", "sched_yield", "close", "exit", "exit_group",
)  # fmt: skip

_KILLED: Final = (
    # another process's memory, or control over it
    "ptrace", "process_vm_readv", "process_vm_writev", "process_madvise", "kcmp", "pidfd_open", "pidfd_getfd",
    "pidfd_send_signal",
    # ways around a filter, and large holes of the past
    "io_uring_setup", "io_uring_enter", "io_uring_register", "bpf", "userfaultfd", "perf_event_open", "seccomp",
    "memfd_create", "memfd_secret", "keyctl", "add_key", "request_key", "modify_ldt", "personality", "pkey_mprotect",
    "remap_file_pages", "shmat", "shmget",
    # the kernel and its namespaces
    "init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load", "reboot", "mount", "umount2",
    "move_mount", "open_tree", "fsopen", "fsconfig", "fsmount", "fspick", "pivot_root", "chroot", "setns", "unshare",
    "execve", "execveat",
)  # fmt: skip
"""No library reaches for these by itself: the process ends at once. Everything else is EPERM, an error in Python."""

_PROT_EXEC: Final = 4
_FUTEX_COMMAND: Final = 0x7F  # without the private and clock flags
_FUTEX_WAKE: Final = 1

_ACT_ALLOW: Final = 0x7FFF_0000
_ACT_EPERM: Final = 0x0005_0000 | errno.EPERM
_ACT_KILL_PROCESS: Final = 0x8000_0000
_CMP_EQ, _CMP_MASKED_EQ = 4, 7
_NO_SUCH_CALL: Final = -1
_FILTER_OPTIMIZE: Final = 8
_BINARY_TREE: Final = 2


class _Compare(ctypes.Structure):
    """``struct scmp_arg_cmp`` of ``seccomp.h``; for a masked comparison the mask comes before the value."""

    _fields_ = (
        ("arg", ctypes.c_uint),
        ("op", ctypes.c_int),
        ("datum_a", ctypes.c_uint64),
        ("datum_b", ctypes.c_uint64),
    )


@cache
def _library() -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(_LIBRARY)
    except OSError:
        raise AlgorithmError(
            "sandbox-seccomp-missing", f"found no {_LIBRARY}", hint="apt-get install libseccomp2", status=503
        ) from None
    library.seccomp_init.restype = ctypes.c_void_p
    return library


def prepare() -> None:
    """Load libseccomp, so that a forked child does not have to open it.

    Raises:
        AlgorithmError: ``sandbox-seccomp-missing``.
    """
    _library()


def restrict(descriptors: Collection[int]) -> None:
    """Load the filter into the calling process. Cannot be undone; ``no_new_privs`` must be set.

    Calls of another architecture (x32, 32 bits) kill the process, which is libseccomp's own default.

    Args:
        descriptors: The only ones that may be read from and written to.

    Raises:
        AlgorithmError: ``sandbox-seccomp-missing``.
    """
    library = _library()
    context = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_ACT_EPERM)))
    if context.value is None:
        raise AlgorithmError("sandbox-seccomp-missing", "libseccomp made no filter", status=503)

    def rule(action: int, name: str, *compared: _Compare, known: bool = True) -> None:
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number == _NO_SUCH_CALL and not known:
            return  # newer than this libseccomp: the default refuses it all the same
        arguments = (_Compare * len(compared))(*compared)
        code = library.seccomp_rule_add_array(context, ctypes.c_uint32(action), number, len(compared), arguments)
        if code:
            raise AlgorithmError("sandbox-seccomp-missing", f"libseccomp took no rule for {name}", status=503)

    try:
        library.seccomp_attr_set(context, _FILTER_OPTIMIZE, ctypes.c_uint32(_BINARY_TREE))
        for name in _ALLOWED:
            rule(_ACT_ALLOW, name)
        for name in _KILLED:
            rule(_ACT_KILL_PROCESS, name, known=False)
        for descriptor in descriptors:
            for name in ("read", "write"):
                rule(_ACT_ALLOW, name, _Compare(0, _CMP_EQ, descriptor, 0))
        for name in ("mmap", "mprotect"):
            rule(_ACT_ALLOW, name, _Compare(2, _CMP_MASKED_EQ, _PROT_EXEC, 0))
        rule(_ACT_ALLOW, "futex", _Compare(1, _CMP_MASKED_EQ, _FUTEX_COMMAND, _FUTEX_WAKE))
        for name in ("prlimit64", "getrlimit", "setrlimit"):
            # Of itself only (pid 0); without CAP_SYS_RESOURCE a hard limit only goes down.
            rule(_ACT_ALLOW, name, *([_Compare(0, _CMP_EQ, 0, 0)] if name == "prlimit64" else []))
        if library.seccomp_load(context):
            raise AlgorithmError("sandbox-seccomp-missing", "the kernel took no filter", status=503)
    finally:
        library.seccomp_release(context)
