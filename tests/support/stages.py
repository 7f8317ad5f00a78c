"""A stage that tells when something of it was left behind, and what an operator can do with it."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support import node, processes
from tests.support.processes import Process
from tests.support.waiting import until
from waykeep.attestation import insecure
from waykeep.channel.trust import Trust
from waykeep.demo.stage import Stage
from waykeep.device.trusting import default_policy
from waykeep.errors import SupervisorError
from waykeep.formats.ids import OwnerId, parse_digest, parse_object, parse_owner_id
from waykeep.supervisor.measure import reference_values

ROOT = os.geteuid() == 0
NODE_STATE = {"insecure-root", "insecure-root.pub", "lock", "node-key", "uids"}
"""The files of a supervisor's state."""


class Watched(Stage):
    """A stage whose processes keep temporary files in a folder of its own."""

    def __init__(self, folder: Path, *, source: Path | None = None, idle_s: float = 600.0) -> None:
        self.temporary = folder / "temporary"
        self.temporary.mkdir(mode=0o711)
        at_home = ("env", f"TMPDIR={self.temporary}")
        super().__init__(folder, source=source, wrap_supervisor=at_home, wrap_host=at_home, idle_s=idle_s)
        self.devices = folder / "devices"
        self.devices.mkdir(mode=0o700)

    def start_supervisor(self) -> None:
        try:
            super().start_supervisor()
        except SupervisorError as error:
            raise AssertionError(self.log("supervisor").read_text()) from error

    def trust(self) -> Trust:
        """What a device demands here: this installation's root and code, and all that this machine can give."""
        return Trust({insecure.PLATFORM: self.root}, reference_values(), default_policy(shared_uid=not ROOT))

    # -- its processes -------------------------------------------------------------------------------------------------

    def processes(self) -> list[Process]:
        return processes.of(self.folder)

    @property
    def supervisor_pid(self) -> int:
        assert self.supervisor is not None
        return self.supervisor.pid

    @property
    def host_pid(self) -> int:
        assert self.host is not None
        return self.host.pid

    def supervised(self) -> list[Process]:
        """What the supervisor forked: the preloaded parent, and what that forked."""
        return [p for p in self.processes() if p.session == self.supervisor_pid and p.pid != self.supervisor_pid]

    def parent(self) -> Process:
        """The preloaded parent."""
        return next(p for p in self.supervised() if p.parent == self.supervisor_pid)

    def forked(self) -> list[Process]:
        """User clouds, algorithm services and aggregators."""
        parent = self.parent().pid
        return [p for p in self.supervised() if p.parent == parent]

    def cloud(self, owner: OwnerId) -> Process:
        """The owner's user cloud, by the uid that the supervisor keeps for its owner. Needs root."""
        line = (self.state / "uids").read_text().split().index(owner)
        return next(p for p in self.forked() if p.is_cloud and p.uid == processes.CLOUD_BASE + line)

    def services(self) -> set[Process]:
        """Fronts and children of algorithm services."""
        return {p for p in self.forked() if p.is_front or p.is_child}

    def listener(self, port: int) -> Process:
        """The user cloud, service or aggregator that listens on a port."""
        inodes = {inode for inode, at in processes.listening().items() if at == port}
        return next(p for p in self.forked() if not inodes.isdisjoint(processes.sockets(p.descriptors())))

    def forgets(self, owner: OwnerId) -> None:
        """Waits until the supervisor knows that the owner's user cloud ended; before, a host would still name it."""
        until(lambda: owner not in node.running(self.socket).owners, "the supervisor knows that a user cloud ended")

    # -- faults --------------------------------------------------------------------------------------------------------

    def kill_supervisor(self) -> None:
        """``kill -9`` of the supervisor alone; what it forked is left to itself."""
        assert self.supervisor is not None
        os.kill(self.supervisor.pid, signal.SIGKILL)
        self.supervisor.wait()

    def kill_host(self) -> int:
        """``kill -9`` of the host; the port that it had."""
        assert self.host is not None
        os.kill(self.host.pid, signal.SIGKILL)
        self.host.wait()
        return int(self.host_url.rpartition(":")[2])


def kill(process: Process) -> None:
    """``kill -9`` of one process, gone when this returns."""
    os.kill(process.pid, signal.SIGKILL)
    until(lambda: not process.alive, "a killed process is gone")


@contextmanager
def running(*, source: Path | None = None, root_of: Stage | None = None, idle_s: float = 600.0) -> Iterator[Watched]:
    """A stage in a folder that other uids can traverse; afterwards it is checked that nothing of it is left.

    Args:
        source: A folder with another copy of the package, which its processes run.
        root_of: Another stage whose software root it shares.
    """
    with tempfile.TemporaryDirectory(prefix="waykeep-stage-") as name:
        folder = Path(name)
        folder.chmod(0o711)
        stage = Watched(folder, source=source, idle_s=idle_s)
        if root_of is not None:
            stage.state.mkdir(mode=0o700)
            shutil.copy(root_of.state / "insecure-root", stage.state)
        with stage:
            yield stage
            inodes = {inode for p in stage.processes() for inode in processes.sockets(p.descriptors())}
        assert_nothing_left(stage, inodes)


def assert_nothing_left(stage: Watched, inodes: set[int]) -> None:
    """No process, no listening socket (``inodes`` are those it had), no temporary or half-written file."""
    # The kernel ends what the supervisor forked a moment after it.
    until(lambda: not stage.processes(), f"no process is left, found {stage.processes()}", 5)
    # It closes the sockets of a killed process a moment after that, too.
    until(lambda: inodes.isdisjoint(processes.listening()), "nothing listens", 5)
    assert list(stage.temporary.iterdir()) == []
    expected = {"devices", "host.log", "state", "store", "supervisor.log", "temporary"}
    assert {path.name for path in stage.folder.iterdir()} - {"supervisor.sock", "aggregator.log"} == expected
    assert {path.name for path in stage.state.iterdir()} <= NODE_STATE
    for path in stage.store.rglob("*"):
        if path.is_file():
            _assert_named(path.relative_to(stage.store).parts)


def _assert_named(parts: tuple[str, ...]) -> None:
    """Every file of a store has the name of an object: none is a rest of writing one."""
    if parts[0] in ("bundles", "studies", "stopped"):
        assert len(parts) == 2 and parse_digest(f"sha256:{parts[1]}")
    elif parts[0] == "members":
        assert len(parts) == 3 and parse_digest(f"sha256:{parts[1]}") and parse_owner_id(parts[2])
    else:
        assert parts[0] == "owners" and len(parts) == 4
        assert parse_owner_id(parts[1]) and parse_object(parts[2], parts[3])
