"""The command line as a user runs it: a process of its own, with an environment that says nothing."""

from __future__ import annotations

import os
import subprocess
import sys


def waykeep(
    *arguments: str, code: int = 0, environment: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a verb to its end.

    Args:
        code: The exit code that it must have.
        environment: Variables to set.
    """
    found = subprocess.run(
        [sys.executable, "-I", "-m", "waykeep", *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", **(environment or {})},
    )
    assert found.returncode == code, (found.returncode, found.stdout, found.stderr)
    return found
