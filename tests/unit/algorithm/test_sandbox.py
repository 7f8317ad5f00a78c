"""What `enter` refuses. Where a kernel accepts a call and does nothing, the look afterwards has to find it."""

from __future__ import annotations

import os

import pytest

from tests.unit.algorithm.programs import run, run_first_of_namespace
from waykeep.algorithm import sandbox

BEGIN = """
import os, sys
from waykeep.algorithm import landlock, libc, sandbox, seccomp
from waykeep.errors import AlgorithmError
from waykeep.formats.manifest import CEILINGS
read_fd, write_fd = os.pipe(), os.pipe()
answer = os.dup(1)
def enter(uid, keep=()):
    try:
        text = " ".join(sandbox.enter(uid=uid, keep=keep or (read_fd[0], answer), ceilings=CEILINGS))
    except AlgorithmError as error:
        text = error.rule
    os.write(answer, text.encode())
    os._exit(0)
"""


def test_everything_required_is_in_force_and_looked_at() -> None:
    own = "gid-uid" if os.geteuid() == 0 else "user-namespace"
    assert run_first_of_namespace(BEGIN + "enter(uid)").split() == sorted(sandbox.REQUIRED | {own})


def test_a_process_that_is_not_the_first_of_a_namespace() -> None:
    uid = 1_800_000_000 if os.geteuid() == 0 else None
    assert run(BEGIN + f"enter({uid})") == "sandbox-pid-namespace-missing"


def wraps(name: str, body: str) -> str:
    """Replaces a function of `libc` by one that may call the real one."""
    return f"real = libc.{name}; libc.{name} = {body}"


FAULTS = {
    "a-second-thread": (
        "import threading; threading.Thread(target=threading.Event().wait, daemon=True).start()",
        "one-thread",
    ),
    "shared-memory": ("import mmap; shared = mmap.mmap(-1, 4096)", "private-memory"),
    "descriptors-not-closed": ("libc.close_range = lambda first, last: None", "descriptors"),
    "no-namespace": ("libc.unshare = lambda flags: None", "cgroup-namespace"),
    "no-network-namespace": (wraps("unshare", "lambda flags: real(flags & ~libc.CLONE_NEWNET)"), "network-namespace"),
    "no-mount-namespace": (wraps("unshare", "lambda flags: real(flags & ~libc.CLONE_NEWNS)"), "mount-namespace"),
    "no-ipc-namespace": (wraps("unshare", "lambda flags: real(flags & ~libc.CLONE_NEWIPC)"), "ipc-namespace"),
    "no-uts-namespace": (wraps("unshare", "lambda flags: real(flags & ~libc.CLONE_NEWUTS)"), "uts-namespace"),
    "the-old-root": ("os.chroot = lambda path: None", "mount-namespace"),
    "limits-not-set": ("sandbox.resource.setrlimit = lambda kind, limits: None", "resource-limits"),
    "a-limit-below-ours": ("import resource; resource.setrlimit(resource.RLIMIT_CPU, (59, 59))", "resource-limits"),
    "dumpable-left-on": (
        wraps("prctl", "lambda option, *more: real(option, *((1,) if option == 4 else more))"),
        "dumpable-off",
    ),
    "new-privileges-left-on": (
        wraps("prctl", "lambda option, *more: 0 if option == 38 else real(option, *more)"),
        "no-new-privileges",
    ),
    "no-landlock": ("landlock.abi = lambda: 0", "landlock"),
    "landlock-not-on": ("landlock.restrict = lambda version: None", "landlock"),
    "seccomp-not-on": ("seccomp.restrict = lambda descriptors: None", "seccomp"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_sandbox_with(name: str) -> None:
    fault, feature = FAULTS[name]
    assert run_first_of_namespace(f"{BEGIN}\n{fault}\nenter(uid)") == f"sandbox-{feature}-missing"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives uids")
@pytest.mark.parametrize(
    ("fault", "feature"),
    [
        ("uid = None", "gid-uid"),
        ("uid = 0", "gid-uid"),
        ("os.setresuid = lambda *uids: None", "gid-uid"),
        ("os.setgroups([4]); os.setgroups = lambda groups: None", "gid-uid"),
    ],
    ids=["no-uid", "root", "a-uid-not-taken", "groups-kept"],
)
def test_an_authors_code_never_runs_as_another(fault: str, feature: str) -> None:
    assert run_first_of_namespace(f"{BEGIN}\n{fault}\nenter(uid)") == f"sandbox-{feature}-missing"


def test_pipes_on_standard_streams() -> None:
    assert run_first_of_namespace(f"{BEGIN}\nenter(uid, keep=(read_fd[0], 1))") == "sandbox-descriptors-missing"


def test_limits_go_down_to_those_of_an_algorithm() -> None:
    program = """
from waykeep.formats.manifest import Limits
import resource
sandbox.enter(uid=uid, keep=(read_fd[0], answer), ceilings=CEILINGS)
before = resource.getrlimit(resource.RLIMIT_AS)
sandbox.lower(CEILINGS, Limits(64, 2, 30))
after = resource.getrlimit(resource.RLIMIT_AS)
text = [(before[0] - after[0]) >> 20, after[0] == after[1], resource.getrlimit(resource.RLIMIT_CPU)]
os.write(answer, repr(text).encode())
os._exit(0)
"""
    assert run_first_of_namespace(BEGIN + program) == "[960, True, (2, 2)]"
