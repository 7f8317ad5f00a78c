"""What `/proc` says of the processes of a stage: read from outside, as root or as their own uid."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from waykeep.supervisor.uids import ALGORITHM_BASE, CLOUD_BASE

PROC = Path("/proc")


@dataclass(frozen=True)
class Process:
    """A process at the moment of reading.

    Attributes:
        namespaced: Whether it is in a PID namespace below this one, as an author's process is.
    """

    pid: int
    parent: int
    uid: int
    session: int
    namespaced: bool

    @property
    def path(self) -> Path:
        return PROC / str(self.pid)

    @property
    def is_cloud(self) -> bool:
        return CLOUD_BASE <= self.uid < ALGORITHM_BASE

    @property
    def is_front(self) -> bool:
        return self.uid >= ALGORITHM_BASE and not self.namespaced

    @property
    def is_child(self) -> bool:
        return self.uid >= ALGORITHM_BASE and self.namespaced

    @property
    def alive(self) -> bool:
        """Whether it runs still; one that nobody reaped does not run."""
        return _state(self.pid) not in ("", "Z", "X")

    @property
    def busy(self) -> bool:
        """Whether it has used a fifth of a second of processor time: an author's code is at work in it."""
        fields = (self.path / "stat").read_text().rpartition(")")[2].split()
        return int(fields[11]) + int(fields[12]) >= 20

    def descriptors(self) -> dict[int, str]:
        """What each open descriptor refers to, such as ``/dev/null`` or ``socket:[123]``."""
        found = {}
        for entry in (self.path / "fd").iterdir():
            try:
                found[int(entry.name)] = os.readlink(entry)
            except FileNotFoundError:
                continue
        return found

    def environment(self) -> dict[str, str]:
        text = (self.path / "environ").read_text()
        return dict(line.split("=", 1) for line in text.split("\0") if line)


def of(folder: Path) -> list[Process]:
    """The processes whose command line names ``folder``. A fork keeps its parent's, so these are all of a stage."""
    wanted, found = str(folder).encode(), []
    for entry in PROC.iterdir():
        if not entry.name.isdecimal():
            continue
        try:
            if wanted not in (entry / "cmdline").read_bytes().replace(b"\0", b" "):
                continue
            status = dict(line.split(":\t", 1) for line in (entry / "status").read_text().splitlines() if ":\t" in line)
            stat = (entry / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if stat[0] in "ZX":
            continue
        found.append(
            Process(
                pid=int(entry.name),
                parent=int(stat[1]),
                uid=int(status["Uid"].split()[0]),
                session=int(stat[3]),
                namespaced=len(status["NSpid"].split()) > 1,
            )
        )
    return sorted(found, key=lambda process: process.pid)


def _state(pid: int) -> str:
    try:
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def listening() -> dict[int, int]:
    """Port by inode of every listening TCP socket of this machine."""
    found = {}
    for table in ("tcp", "tcp6"):
        for line in (PROC / "net" / table).read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A":
                found[int(fields[9])] = int(fields[1].rpartition(":")[2], 16)
    return found


def sockets(descriptors: dict[int, str]) -> set[int]:
    """Inodes of the sockets among descriptors."""
    return {int(name[8:-1]) for name in descriptors.values() if name.startswith("socket:[")}
