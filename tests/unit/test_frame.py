"""The frame: what is installed is what the locks name, and the locks name nothing of one machine."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import waykeep

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ("requirements.lock", "requirements-dev.lock")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PIN = re.compile(r"([a-z0-9-]+)==\S+((?: \\\n +--hash=sha256:[0-9a-f]{64})+)\n")


def pins(lock: str) -> dict[str, str]:
    """Name to the whole pin with its hashes. Fails when the file holds anything else."""
    text = (ROOT / lock).read_text()
    assert PIN.sub("", text) == "", f"{lock} holds more than pins with hashes (a host, a path, an option?)"
    return {match[1]: match[0] for match in PIN.finditer(text)}


def name_of(requirement: str) -> str:
    """The normalized name (PEP 503) in a requirement such as ``cbor2>=6``."""
    return re.split(r"[<>=!~;\[ ]", requirement)[0].lower().replace("_", "-").replace(".", "-")


@pytest.mark.parametrize("lock", LOCKS)
def test_every_declared_requirement_is_locked(lock: str) -> None:
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    extra = PROJECT["optional-dependencies"]["dev"] if lock == "requirements-dev.lock" else []
    assert {name_of(r) for r in [*PROJECT["dependencies"], *build, *extra]} <= set(pins(lock))


def test_both_locks_pin_the_same_versions() -> None:
    runtime, dev = (pins(lock) for lock in LOCKS)
    assert {name: dev.get(name) for name in runtime} == runtime


def test_version_is_said_once() -> None:
    assert PROJECT["version"] == waykeep.__version__
