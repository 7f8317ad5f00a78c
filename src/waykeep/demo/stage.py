"""A node, a host and a witness as real processes on loopback, for the demo, the tests and the benchmarks."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType

from waykeep.channel.exchange import Exchanges, Unanswered
from waykeep.errors import HostError, SupervisorError
from waykeep.formats.frames import Clouds, ListClouds
from waykeep.formats.ids import OwnerId
from waykeep.formats.wire import MIB, decode_frame, encode_frame, frame_length

START_S = 60.0


class Stage:
    """Supervisor and host, started by the program's own verbs.

    Args:
        folder: Where state, store, sockets and logs go.
        source: A folder that holds another copy of the package, for a node that runs other code.
        wrap_supervisor, wrap_host: A command that starts the real one, such as a tracer.
        idle_s: After how long without a request a user cloud sleeps, in seconds.
        linger_s: The same for one that nobody but a study asked.
        rings: So many user clouds answer a study at once.
    """

    def __init__(
        self,
        folder: Path,
        *,
        source: Path | None = None,
        wrap_supervisor: Sequence[str] = (),
        wrap_host: Sequence[str] = (),
        idle_s: float = 600.0,
        linger_s: float = 5.0,
        rings: int = 64,
    ) -> None:
        self.folder, self._source, self._idle_s = folder, source, idle_s
        self._linger_s, self._rings = linger_s, rings
        self._wraps = {"supervisor": tuple(wrap_supervisor), "host": tuple(wrap_host), "witness": (), "aggregator": ()}
        self.store, self.state, self.socket = folder / "store", folder / "state", folder / "supervisor.sock"
        self.supervisor: subprocess.Popen[bytes] | None = None
        self.host: subprocess.Popen[bytes] | None = None
        self.witness: subprocess.Popen[bytes] | None = None
        self.aggregator: subprocess.Popen[bytes] | None = None
        self.host_url = self.witness_url = self.aggregator_url = ""

    def __enter__(self) -> Stage:
        try:
            self.start_supervisor()
            self.start_host()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def root(self) -> str:
        """The public software root of this installation."""
        return (self.state / "insecure-root.pub").read_text().strip()

    @property
    def own_uids(self) -> bool:
        """Whether this node can give each process a uid of its own: it runs as root."""
        return os.geteuid() == 0

    @property
    def pids(self) -> tuple[int, int]:
        """Process ids of host and supervisor. Raises: HostError: ``not-running``."""
        if self.host is None or self.supervisor is None:
            raise HostError("not-running", "the stage is not up")
        return self.host.pid, self.supervisor.pid

    def log(self, name: str) -> Path:
        return self.folder / f"{name}.log"

    def start_supervisor(self) -> None:
        """Raises: SupervisorError: ``start-failed``, naming the log."""
        arguments = ["supervisor", "serve", "--state", self.state, "--store", self.store, "--socket", self.socket]
        arguments += ["--idle-s", repr(self._idle_s), "--linger-s", repr(self._linger_s)]
        self.supervisor = self._spawn("supervisor", [str(a) for a in arguments])
        if not _until(self._supervised, self.supervisor):
            raise SupervisorError(
                "start-failed", "the supervisor did not start", hint=f"it said last: {self._last_word('supervisor')}"
            )

    def start_host(self, port: int = 0, supervisor: Path | None = None, url: str = "") -> None:
        """Start the host, on a free port unless one is given.

        ``url`` is what it tells user clouds. Raises: HostError.
        """
        port = port or free_port()
        arguments = ["host", "serve", "--store", self.store, "--supervisor", supervisor or self.socket, "--port", port]
        arguments += ["--rings", self._rings]
        self.host = self._spawn("host", [*(str(a) for a in arguments), *(("--url", url) if url else ())])
        self.host_url = f"http://127.0.0.1:{port}"
        if not _until(lambda: answers(f"{self.host_url}/readyz"), self.host):
            raise HostError("start-failed", "the host did not start", hint=f"it said last: {self._last_word('host')}")

    def start_witness(self, owners: int = 1) -> list[str]:
        """Start a witness, which somebody other than the host would run; so many tokens of it. Raises: HostError."""
        port, state = free_port(), self.folder / "witness"
        self.witness = self._spawn("witness", ["witness", "serve", "--state", str(state), "--port", str(port)])
        self.witness_url = f"http://127.0.0.1:{port}"
        if not _until(lambda: answers(f"{self.witness_url}/readyz"), self.witness):
            raise HostError(
                "start-failed", "the witness did not start", hint=f"it said last: {self._last_word('witness')}"
            )
        command = [sys.executable, "-I", "-m", "waykeep", "witness", "admit", "--state", str(state), "--json"]
        command += ["--count", str(owners)]
        admitted = subprocess.run(command, stdout=subprocess.PIPE, check=True)
        return [str(token) for token in json.loads(admitted.stdout)["tokens"]]

    def start_aggregator(self) -> str:
        """Start the front of an aggregator's node, on this stage's supervisor; its URL. Raises: HostError."""
        port = free_port()
        arguments = ["aggregator", "serve", "--supervisor", str(self.socket), "--port", str(port)]
        self.aggregator = self._spawn("aggregator", arguments)
        self.aggregator_url = f"http://127.0.0.1:{port}"
        if not _until(lambda: answers(f"{self.aggregator_url}/healthz"), self.aggregator):
            raise HostError(
                "start-failed", "the aggregator did not start", hint=f"it said last: {self._last_word('aggregator')}"
            )
        return self.aggregator_url

    def _last_word(self, name: str) -> str:
        lines = self.log(name).read_text(errors="replace").split("\n")
        return next((line for line in reversed(lines) if line.strip()), "nothing")

    def _spawn(self, name: str, arguments: list[str]) -> subprocess.Popen[bytes]:
        # Isolated from the environment and the working folder, as the units in production are.
        program = ["-I", "-m", "waykeep"]
        if self._source is not None:
            module, arguments = ("waykeep.node", arguments[2:]) if name == "supervisor" else ("waykeep", arguments)
            path = f"sys.path.insert(0, {str(self._source)!r})"
            start = f"import sys, runpy; {path}; runpy.run_module({module!r}, run_name='__main__')"
            program = ["-I", "-c", start]
        with open(self.log(name), "ab") as log:
            return subprocess.Popen(
                [*self._wraps[name], sys.executable, *program, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "LANG": "C.UTF-8"},
                start_new_session=True,
            )

    def _supervised(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe, contextlib.suppress(OSError):
            probe.connect(str(self.socket))
            return True
        return False

    def clouds(self) -> tuple[OwnerId, ...]:
        """Owners whose user clouds run, as the supervisor knows it."""
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(str(self.socket))
            asking.sendall(encode_frame(ListClouds()))
            with asking.makefile("rb") as answer:
                return decode_frame(answer.read(frame_length(answer.read(4))), Clouds).owners

    def stop_host(self) -> None:
        """End the host alone."""
        if self.host is not None:
            end(self.host)
        self.host = None

    def stop(self) -> None:
        """End them, and with the supervisor all that it forked."""
        self.stop_host()
        for process in (self.witness, self.aggregator):
            if process is not None:
                end(process)
        self.witness = self.aggregator = None
        if self.supervisor is not None:
            end(self.supervisor)
        self.supervisor = None


def end(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> None:
    """Signal a process started here and wait; a tracer and what it traces are one group."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)
    try:
        process.wait(10)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def answers(url: str) -> bool:
    """Whether a URL answers 200."""
    http = Exchanges(step_s=5, total_s=5)
    try:
        return http.exchange("GET", url, limit=MIB)[0] == 200
    except Unanswered:
        return False
    finally:
        http.close()


def _until(ready: Callable[[], bool], process: subprocess.Popen[bytes]) -> bool:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.poll() is None:
        if ready():
            return True
        time.sleep(0.02)
    return False
