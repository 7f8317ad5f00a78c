"""Set-up of a checkout: a virtual environment, the locked packages, and the few Debian packages that they need.

``python3 tools/setup.py demo`` prepares what the program needs, ``... test`` also what tests and lint need. It is the
first thing to run on a fresh machine, so it uses the standard library only. When nothing changed it says nothing and
takes a tenth of a second; otherwise it installs exactly what the lock files name, each file checked against its hash.

``.venv/setup.json`` records what was installed. It is removed before anything in ``.venv`` is touched and written
last, so a set-up that was interrupted half-way is begun anew, not continued.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import importlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "setup.json"
OLDEST_PYTHON = (3, 11)
LOCKS = {"demo": ("requirements.lock",), "test": ("requirements.lock", "requirements-dev.lock")}
PROGRAMS = {"demo": (), "test": ("age", "strace")}
"""Programs that are looked up in PATH; their Debian packages are called the same."""
PROGRESS_EVERY_S = 5.0


class SetupError(Exception):
    """What is missing and what to do, in one line."""


def say(line: str) -> None:
    """One line of progress, seen at once also through a pipe."""
    print(f"set-up: {line}", flush=True)


def missing_packages(level: str) -> list[str]:
    """The Debian packages that this machine lacks."""
    packages = [program for program in PROGRAMS[level] if shutil.which(program) is None]
    try:
        ctypes.CDLL("libseccomp.so.2")  # the sandbox of an algorithm
    except OSError:
        packages.append("libseccomp2")
    # Debian ships the interpreter without what fills a new virtual environment.
    if importlib.util.find_spec("ensurepip") is None:
        packages.append(f"python{sys.version_info.major}.{sys.version_info.minor}-venv")
    return packages


def install_packages(level: str) -> None:
    """Install missing Debian packages; only root can.

    Raises:
        SetupError: Not root, no ``apt-get``, or packages are still missing afterwards.
    """
    packages = missing_packages(level)
    if not packages:
        return
    wanted = " ".join(packages)
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise SetupError(f"missing system packages; install them as root: apt-get install {wanted}")
    say(f"installing Debian packages: {wanted}")
    apt = ["apt-get", "-q", "-y", "-o", "DPkg::Lock::Timeout=300"]
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    run([*apt, "update"], environment)
    run([*apt, "install", "--no-install-recommends", *packages], environment)
    importlib.invalidate_caches()
    if left := missing_packages(level):
        raise SetupError(f"apt-get ended well, but these are still missing: {' '.join(left)}")


def run(command: list[str], environment: dict[str, str]) -> None:
    """Run a command whose output matters only when it fails.

    Raises:
        SetupError: It failed; the end of its output has been shown.
    """
    lines: list[str] = []
    collected = 0
    shown = time.monotonic()
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, errors="replace",
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, close_fds=False,
    ) as process:  # fmt: skip
        assert process.stdout is not None  # noqa: S101 - for the type checker: stdout=PIPE gives one
        for line in process.stdout:
            lines.append(line.rstrip())
            collected += line.startswith("Collecting ")
            if collected and time.monotonic() - shown >= PROGRESS_EVERY_S:
                shown = time.monotonic()
                say(f"  {collected} packages so far")
    if process.returncode != 0:
        print("\n".join(lines[-30:]), file=sys.stderr)
        raise SetupError(f"`{' '.join(command[:5])} ...` failed with status {process.returncode}, see above")


def pip_install(*arguments: str) -> None:
    """``pip install`` in the new environment, alone with its own files."""
    # A user's settings may name mirrors and certificates, but not another place to install to.
    environment = {k: v for k, v in os.environ.items() if k not in {"PIP_USER", "PIP_TARGET", "PIP_PREFIX"}}
    pip = [str(VENV / "bin" / "python"), "-I", "-m", "pip", "--disable-pip-version-check", "--no-input"]
    run([*pip, "install", "--progress-bar", "off", *arguments], environment)


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def wanted_state(level: str) -> dict[str, str]:
    """What a finished set-up records: the interpreter, the place (scripts name it) and each file that was read."""
    state = {"python": f"{sys.version} {sys.base_prefix}", "place": str(ROOT)}
    for name in (*LOCKS[level], "pyproject.toml"):
        state[name] = digest(ROOT / name)
    return state


def recorded_state() -> dict[str, str]:
    """What the last finished set-up recorded; empty when there is none, or its interpreter is gone."""
    try:
        state = json.loads(STAMP.read_bytes())
    except (OSError, ValueError):
        return {}
    usable = isinstance(state, dict) and os.access(VENV / "bin" / "python", os.X_OK)
    return state if usable else {}


def set_up(level: str) -> None:
    """Bring ``.venv`` to what ``level`` wants."""
    wanted, recorded = wanted_state(level), recorded_state()
    if all(recorded.get(name) == value for name, value in wanted.items()):
        return
    stale = not recorded or any(name in recorded and recorded[name] != wanted[name] for name in wanted
                                if name != "pyproject.toml")  # fmt: skip
    STAMP.unlink(missing_ok=True)
    if stale:
        recorded = {}
        say(f"making .venv with Python {sys.version.split()[0]}")
        run([sys.executable, "-I", "-m", "venv", "--clear", str(VENV)], dict(os.environ))
    missing = [name for name in LOCKS[level] if name not in recorded]
    if missing:
        pins = {pin for name in LOCKS[level] for pin in re.findall(r"(?m)^[a-z0-9].*==\S+", (ROOT / name).read_text())}
        say(f"installing the {len(pins)} packages of {' and '.join(LOCKS[level])}")
        # Wheels only: building from source would fetch build requirements that no lock names.
        requirements = [word for name in LOCKS[level] for word in ("--requirement", name)]
        pip_install("--only-binary", ":all:", "--require-hashes", *requirements)
    say("installing waykeep itself")
    pip_install("--no-deps", "--no-build-isolation", "--editable", ".")
    unfinished = STAMP.with_suffix(".new")
    unfinished.write_text(json.dumps({**recorded, **wanted}, indent=1, sort_keys=True))
    unfinished.replace(STAMP)
    say("done")


def main() -> int:
    """Entry point; exit code 0 when everything is in place."""
    if len(sys.argv) != 2 or sys.argv[1] not in LOCKS:
        print(f"usage: {sys.argv[0]} {'|'.join(LOCKS)}", file=sys.stderr)
        return 2
    level = sys.argv[1]
    # Processes of other users (each part runs under a uid of its own) have to read what is installed here.
    os.umask(0o022)
    try:
        if sys.version_info < OLDEST_PYTHON:
            raise SetupError(f"found Python {sys.version.split()[0]}, need 3.11 or newer: make PYTHON=python3.11 ...")
        with Path(__file__).open("rb") as lock:
            # Two `make` at once: the second waits, and finds it done. pip inherits the lock, so that it also holds
            # while a pip is still at work whose set-up was killed.
            os.set_inheritable(lock.fileno(), True)
            fcntl.flock(lock, fcntl.LOCK_EX)
            install_packages(level)
            set_up(level)
    except SetupError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("error: interrupted; the next run begins the set-up anew", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
