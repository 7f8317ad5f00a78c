"""Runs a bundle in a real sandboxed child and says what came of it, and of the child."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from waykeep.algorithm import runner
from waykeep.errors import WaykeepError
from waykeep.formats import bundle

MANIFEST = """\
name = "attack"
version = "1.0.0"
author = "Mallory"
summary = "Tries what an algorithm must not."
entry = "attack:run"
[inputs.location]
columns = ["ts_ms", "lat_e7", "lon_e7"]
why = "To have something to steal."
[parameters.times]
type = "integer"
minimum = 1
maximum = 9
default = 1
meaning = "How often."
[limits]
memory_mib = {memory_mib}
cpu_s = {cpu_s}
wall_s = {wall_s}
[output]
meaning = "Whether it worked."
max_rows = 3
[output.fields.done]
type = "boolean"
meaning = "It worked."
[output.fields.count]
type = "integer"
minimum = 0
maximum = 2000
meaning = "How often it worked."
[output.fields.mode]
type = "choice"
values = ["walk", "ride"]
meaning = "How it went."
"""
ROW = '{"done": True, "count": 1, "mode": "walk"}'
DETOUR = """\
import statistics
sys = statistics.sys
ctypes, os, socket = (sys.modules[name] for name in ("ctypes", "os", "socket"))
"""
"""Gets every loaded module without an import: the sandbox has to hold without the importer's help."""

_uids = itertools.count(1_900_000_000 + os.getpid() % 100_000 * 1000)


def make(source: str, *, memory_mib: int = 64, cpu_s: int = 1, wall_s: int = 3, **files: str) -> bytes:
    """A bundle with that source as its entry module."""
    from waykeep.algorithm import preload

    members = {
        bundle.MANIFEST: MANIFEST.format(memory_mib=memory_mib, cpu_s=cpu_s, wall_s=wall_s),
        "attack.py": source,
        **{f"{name}.py": text for name, text in files.items()},
    }
    lock = bundle.write_libraries(preload.installed_libraries())
    return bundle.pack({path: text.encode() for path, text in members.items()} | {bundle.LIBRARIES: lock})


class Zygote:
    """A preloaded process that forks; see ``sandbox_zygote.py``."""

    def __init__(self, inherited: tuple[int, ...] = ()) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            self.process = subprocess.Popen(
                [sys.executable, str(Path(__file__).with_name("sandbox_zygote.py")), str(theirs.fileno())],
                pass_fds=(theirs.fileno(), *inherited),
                env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
            )
        self._ask({"do": "children"})  # it answers when it is warm

    def _ask(self, question: Mapping[str, object], fds: tuple[int, ...] = ()) -> dict[str, object]:
        socket.send_fds(self._control, [json.dumps(question).encode()], fds)
        answer: dict[str, object] = json.loads(self._control.recv(4096))
        return answer

    def fork(self) -> Child:
        to_child, from_front = os.pipe()
        from_child, to_front = os.pipe()
        # The zygote itself receives the pipes on free descriptors; none is a standard stream.
        uid = next(_uids) if os.geteuid() == 0 else None
        pid = self._ask({"do": "fork", "uid": uid}, (to_child, to_front))["pid"]
        os.close(to_child)
        os.close(to_front)
        return Child(self, int(str(pid)), from_child, from_front, uid)

    def exit_code(self, pid: int, timeout_s: float = 5.0) -> int:
        """The child's exit code when it has ended by itself (negative: the signal that ended it)."""
        until = time.monotonic() + timeout_s
        while time.monotonic() < until:
            code = self._ask({"do": "wait", "pid": pid})["exit"]
            if code is not None:
                return int(str(code))
            time.sleep(0.002)
        raise AssertionError("the child did not end by itself")

    def has_children(self) -> bool:
        return bool(self._ask({"do": "children"})["children"])

    def close(self) -> None:
        self._control.close()
        self.process.wait(10)


class Child:
    def __init__(self, zygote: Zygote, pid: int, read_fd: int, write_fd: int, uid: int | None) -> None:
        self.zygote, self.pid, self.read_fd, self.write_fd, self.uid = zygote, pid, read_fd, write_fd, uid
        self.exit_code: int | None = None

    def close(self) -> None:
        """Close the front's ends, and demand that the child then ends by itself and leaves nobody behind."""
        for fd in (self.read_fd, self.write_fd):
            with contextlib.suppress(OSError):
                os.close(fd)
        self.exit_code = self.zygote.exit_code(self.pid)
        assert not self.zygote.has_children()
        assert self.uid is None or self.uid not in set(_uids_of_processes())


def _uids_of_processes() -> Iterator[int]:
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            yield entry.stat().st_uid
            yield from (int(uid) for uid in (entry / "status").read_text().split("Uid:")[1].split("\n")[0].split())


def run(zygote: Zygote, archive: bytes, tables: Mapping[str, bytes] | None = None, **parameters: object) -> object:
    """The rows, or the error, of one run; the child has ended when this returns."""
    child = zygote.fork()
    try:
        runner.await_report(child.read_fd, 5.0)
        return runner.run(child.read_fd, child.write_fd, bundle.load(archive), archive, parameters, tables or {}, 10.0)
    except WaykeepError as error:
        return error
    finally:
        child.close()
