"""Runs a few lines in a process of their own, since what they do to it cannot be undone."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

from waykeep.algorithm import preload

# A mount namespace as well: a sandbox that a test broke must not mount over the machine's root.
FIRST_OF_NAMESPACE = ("unshare", "--mount", "--pid", "--fork", "--kill-child")
AS_USER = ("unshare", "--user", "--map-current-user", "--mount", "--pid", "--fork", "--kill-child")


def run(program: str, *before: str) -> str:
    """What the program prints; it must end well."""
    done = subprocess.run(
        [*before, sys.executable, "-c", textwrap.dedent(program)],
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | preload.ENVIRONMENT | {"PYTHONPATH": os.pathsep.join(sys.path)},
        check=True,
        timeout=30,
    )
    return done.stdout


def run_first_of_namespace(program: str) -> str:
    """The same as process 1 of a PID namespace (`uid` is one for the sandbox to take)."""
    root = os.geteuid() == 0
    uid = 1_800_000_000 + os.getpid() % 100_000 if root else None
    return run(f"uid = {uid}\n" + textwrap.dedent(program), *(FIRST_OF_NAMESPACE if root else AS_USER))
