"""What separates a forked process from the others: uid, descriptors, no dumps, and an end with its parent.

Only a process boundary isolates. What a machine cannot give (not root) is left out of the claims, and the policy of
whoever appraises the evidence decides.
"""

from __future__ import annotations

import ctypes
import os
import resource
import signal

from waykeep.errors import SupervisorError

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_libc = ctypes.CDLL(None, use_errno=True)

OWN_UID = "own-uid"
CLAIMS = ("not-dumpable", "own-descriptors", "parent-death-signal")


def claims(uid: int | None) -> tuple[str, ...]:
    """The isolation claims of a process that `enter` made, with this uid of its own or None."""
    return (*CLAIMS, OWN_UID) if uid is not None else CLAIMS


def not_dumpable() -> None:
    """No core file, no ptrace and no `/proc` by processes of the same uid (PR_SET_DUMPABLE 0)."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(_PR_SET_DUMPABLE, 0)


def die_with_parent(parent: int | None) -> None:
    """SIGKILL when the thread that forked this process ends. To be set after a change of uid, which clears it.

    Args:
        parent: Its pid, to notice that it is gone already; None for a process in a PID namespace of its own, which sees
            no parent, and has a pipe to notice by.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if parent is not None and os.getppid() != parent:
        os._exit(1)


def enter(*, uid: int | None, keep: tuple[int, ...], parent: int) -> None:
    """Isolate this process, which was just forked.

    Args:
        uid: Its uid and gid of its own, or None where the supervisor is not root.
        keep: The only descriptors it keeps; 0, 1 and 2 become `/dev/null`.
        parent: The pid it was forked from.

    Raises:
        OSError: The machine refuses; the process must end.
    """
    close_all_but(keep)
    null = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    if null > 2:
        os.close(null)
    os.chdir("/")
    os.umask(0o022)
    if uid is not None:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    not_dumpable()
    die_with_parent(parent)


def close_all_but(keep: tuple[int, ...]) -> None:
    """Close every descriptor but those in ``keep``, whichever numbers are open."""
    low = 0
    for descriptor in sorted(keep):
        if low < descriptor:  # closerange(0, 0) closes everything: CPython passes -1 on as the last descriptor
            os.closerange(low, descriptor)
        low = descriptor + 1
    os.closerange(low, max(resource.getrlimit(resource.RLIMIT_NOFILE)[0], low))


def _prctl(option: int, value: int) -> None:
    if _libc.prctl(option, value, 0, 0, 0) != 0:
        raise SupervisorError(
            "isolation-missing", f"the kernel refuses prctl {option}: {os.strerror(ctypes.get_errno())}"
        )
