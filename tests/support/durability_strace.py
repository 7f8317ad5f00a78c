"""`strace`, attached to a running process: what it did to files and whom it answered, and faults at its n-th call.

A fault is put in by ``strace -e inject``. An error is given back in place of the call; a ``SIGKILL`` is delivered as
the call is entered, and the call is then not made. So the kill at a call is the kill after the call before it."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.waiting import until

CALLS = (
    *("openat", "creat", "write", "writev", "pwrite64", "ftruncate", "truncate"),
    *("fsync", "fdatasync", "sync_file_range"),
    *("link", "linkat", "unlink", "unlinkat", "rename", "renameat", "renameat2", "mkdir", "mkdirat", "rmdir"),
    *("chmod", "fchmod", "fchmodat", "chown", "fchown", "fchownat", "sendto", "sendmsg", "exit_group"),
)
ANSWERS = ("answer", "exit")
"""Verbs after which somebody relies on what was done: bytes to a peer, or the end of a command."""

HELD = "(DELAYED)"
"""Of a call that returns later than it would."""
_EXITING = 0x4
"""Flag of a process in ``/proc/PID/stat`` (`PF_EXITING`, proc_pid_stat(5))."""
_LINE = re.compile(r"(\d+) +(.*)")
_CALL = re.compile(r"(\w+)\((.*)\)\s+= (.*)")
_PEER = re.compile(r"^(?:TCP|UNIX|socket:)")
_FD = r"(?:(?:AT_FDCWD|(\d+))<((?:TCP|UNIX)[^\]]*\]|[^>]*)>(?:\(deleted\))?)"
_TEXT = r'"((?:[^"\\]|\\.)*)"'
_FIRST_FD = re.compile(_FD)
_OPEN = re.compile(rf"{_FD}, {_TEXT}, ([A-Z_|0-9x]+)")
_LINK = re.compile(rf"{_FD}, {_TEXT}, {_FD}, {_TEXT}")
_AT = re.compile(rf"{_FD}, {_TEXT}")
_PATH = re.compile(_TEXT)


@dataclass(frozen=True)
class Call:
    """A system call that changes files, syncs them, or answers a peer.

    Attributes:
        verb: What it does, such as ``fsync folder``.
        path: The file or folder that it changes; for ``link`` and ``rename`` its new name.
        source: The file that gets a name, for ``link`` and ``rename``.
        name, nth: The system call, and which of its thread's calls of this name it is, from 1.
        error: The name of its error; ``killed`` for one that never came back.
        injected: Whether the error was put in.
        began, ended: Lines of the trace.
    """

    verb: str
    path: str
    source: str
    name: str
    nth: int
    error: str
    injected: bool
    began: int
    ended: int


@dataclass(frozen=True)
class Fault:
    """What happens to the n-th call of this name in a thread: an error such as ``EIO``, or a kill."""

    name: str
    nth: int
    error: str = ""

    @property
    def option(self) -> str:
        kind = f"error={self.error}" if self.error else "signal=SIGKILL"
        return f"inject={self.name}:{kind}:when={self.nth}"


class Trace:
    """A trace, complete when the context of `attached` has ended."""

    def __init__(self, output: Path) -> None:
        self._output = output

    @property
    def text(self) -> str:
        return self._output.read_text()

    @property
    def killed(self) -> bool:
        return "+++ killed by SIGKILL +++" in self.text

    def calls(self) -> list[Call]:
        return parse(self.text)


def require_strace() -> None:
    """These tests cannot be skipped in silence: what they show is shown by nothing else."""
    if shutil.which("strace") is None:
        pytest.fail("strace is missing: durability is shown at system calls; apt-get install strace", pytrace=False)


@contextmanager
def attached(pid: int, output: Path, fault: Fault | None = None) -> Iterator[Trace]:
    """Trace a process and all its threads, from when this returns to the end of the context or of the process."""
    inject = ["-e", fault.option] if fault else []
    traced = f"trace={','.join(CALLS)}"
    command = ["strace", "-f", "-yy", "-s", "0", "-o", output, "-e", traced, *inject, "-p", str(pid)]
    said = output.with_suffix(".said")
    with open(said, "wb") as errors, subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=errors) as tracer:
        try:
            attaches = re.compile(rf"Process {pid} attached")
            until(lambda: attaches.search(said.read_text()) or tracer.poll() is not None, "strace attaches")
            if tracer.poll() is not None and not attaches.search(said.read_text()):
                status = Path(f"/proc/{pid}/status")
                state = status.read_text() if status.exists() else "gone"
                words = "strace may not trace here (root and CAP_SYS_PTRACE), or this process ends:"
                pytest.fail(f"{words} {said.read_text()}\n{state}", pytrace=False)
            yield Trace(output)
        finally:
            tracer.terminate()
            try:
                tracer.wait(10)
            except subprocess.TimeoutExpired:
                # Told to end while what it traces dies, it waits for ever. The kernel lets go of what it traced.
                tracer.kill()
                tracer.wait()


def dies(pid: int) -> bool:
    """Whether a process is dead, or dying: its files are closed already, its threads not yet reaped."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return fields[0] in "ZX" or bool(int(fields[6]) & _EXITING)


def words(output: Path) -> str:
    """A trace with single spaces."""
    return " ".join(output.read_text().split())


def parse(text: str) -> list[Call]:
    """The calls of a trace in the order in which they were entered."""
    found: list[Call] = []
    counts: Counter[tuple[str, str]] = Counter()
    folders: dict[str, bool] = {}
    opened: dict[str, str] = {}
    unfinished: dict[str, tuple[int, int, str]] = {}
    for line, entry in enumerate(text.splitlines()):
        match = _LINE.match(entry)
        if match is None or match[2].startswith(("+++", "---")):
            continue
        thread, rest, began = match[1], match[2], line
        if rest.startswith("<... "):
            if thread not in unfinished:
                continue  # it was entered before anybody looked
            began, nth, start = unfinished.pop(thread)
            rest = start + rest.partition(" resumed>")[2]
        else:
            name = rest.partition("(")[0]
            counts[thread, name] += 1
            nth = counts[thread, name]
        if rest.endswith("<unfinished ...>"):
            unfinished[thread] = (began, nth, rest.removesuffix("<unfinished ...>").rstrip())
            continue
        found += _call(rest, nth, began, line, folders, opened)
    for began, nth, start in unfinished.values():
        found += _call(f"{start}) = ?", nth, began, began, folders, opened)
    return sorted(found, key=lambda call: call.began)


def _call(text: str, nth: int, began: int, ended: int, folders: dict[str, bool], opened: dict[str, str]) -> list[Call]:
    match = _CALL.match(text)
    if match is None:
        return []
    name, arguments, result = match[1], match[2], match[3]
    error = "killed" if result.startswith("?") else result.split()[1] if result.startswith("-1 ") else ""
    verb, path, source = _meaning(name, arguments, folders, opened)
    if name == "openat" and not error:
        number = result.partition("<")[0]
        folders[number] = "O_DIRECTORY" in arguments and "O_TMPFILE" not in arguments
        opened[number] = _FIRST_FD.match(result)[2]
    injected = result.endswith("(INJECTED)")
    return [Call(verb, path, source, name, nth, error, injected, began, ended)] if verb else []


def _meaning(name: str, arguments: str, folders: dict[str, bool], opened: dict[str, str]) -> tuple[str, str, str]:
    """Verb, path and source of a call; an empty verb for one that only reads."""
    if name == "exit_group":
        return "exit", "", ""
    if name == "openat":
        return _opening(arguments)
    if name == "linkat":
        _, _, source, _, folder, to = _LINK.match(arguments).groups()
        return "link", f"{folder}/{to}", opened.get(source.removeprefix("/proc/self/fd/"), source)
    if name in ("link", "rename"):
        first, second = _PATH.findall(arguments)
        return name, second, first
    if name in ("renameat", "renameat2"):
        _, folder, source, _, other, to = _LINK.match(arguments).groups()
        return "rename", f"{other}/{to}", f"{folder}/{source}"
    if arguments.startswith('"'):
        return name, _PATH.match(arguments)[1], ""
    number, path = _FIRST_FD.match(arguments).groups()
    if name in ("unlinkat", "mkdirat", "fchmodat", "fchownat"):
        within = _AT.match(arguments)[3]
        return name.removesuffix("at").removeprefix("f"), within if within.startswith("/") else f"{path}/{within}", ""
    if _PEER.match(path):
        return "answer", path.partition(":")[0].partition("-")[0], ""
    if name in ("fsync", "fdatasync"):
        return ("fsync folder" if folders.get(number) else "fsync"), path, ""
    verbs = {"fchmod": "chmod", "fchown": "chown", "ftruncate": "truncate", "writev": "write", "pwrite64": "write"}
    return verbs.get(name, name), path, ""


def _opening(arguments: str) -> tuple[str, str, str]:
    _, folder, path, flags = _OPEN.match(arguments).groups()
    path = path if path.startswith("/") else f"{folder}/{path}"
    given = flags.split("|")
    if "O_TMPFILE" in given:
        return "make unnamed", path, ""
    if "O_CREAT" in given:
        return "create", path, ""
    return ("truncate" if "O_TRUNC" in given else ""), path, ""
