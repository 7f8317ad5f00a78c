"""Somebody starts a second supervisor where one runs: on its state, on its socket, on a file of somebody else."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tests.support.stages import Watched


def started(stage: Watched, state: Path, socket: Path) -> subprocess.CompletedProcess[str]:
    state.mkdir(exist_ok=True)
    places = {"--state": state, "--store": stage.store, "--socket": socket}
    arguments = [text for name, path in places.items() for text in (name, str(path))]
    command = [sys.executable, "-I", "-m", "waykeep.node", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_on_its_state(stage: Watched, tmp_path: Path) -> None:
    done = started(stage, stage.state, tmp_path / "second.sock")
    assert (done.returncode, "supervisor-running" in done.stderr) == (15, True)


def test_on_its_socket(stage: Watched, tmp_path: Path) -> None:
    done = started(stage, tmp_path / "state", stage.socket)
    assert (done.returncode, "socket-in-use" in done.stderr) == (15, True)
    assert stage.socket.is_socket()


def test_on_a_file_that_is_no_socket(stage: Watched, tmp_path: Path) -> None:
    path = tmp_path / "precious"
    path.write_text("kept")
    done = started(stage, tmp_path / "state", path)
    assert (done.returncode, "socket-in-use" in done.stderr) == (15, True)
    assert path.read_text() == "kept"
