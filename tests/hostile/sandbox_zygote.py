"""Stands in for the supervisor's parent process: preloaded, one thread, it forks sandboxed children on request.

Run as a program with one end of a Unix socket as its argument. Every child is process 1 of a PID namespace: as root
by entering one for the fork and leaving it again, otherwise through a process between in a user namespace.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys

from waykeep.algorithm import preload

preload.warm()

from waykeep.algorithm import child, libc  # noqa: E402 - after warm, as it says


def fork_first_of_namespace() -> int:
    """As `os.fork`; the child is process 1 of a PID namespace of its own."""
    if os.geteuid() == 0:
        own = os.open("/proc/self/ns/pid", os.O_RDONLY)
        try:
            libc.unshare(libc.CLONE_NEWPID)
            pid = os.fork()
            if pid:
                libc.setns(own, libc.CLONE_NEWPID)
            return pid
        finally:
            os.close(own)
    maps = {
        "setgroups": "deny",
        "uid_map": f"{os.getuid()} {os.getuid()} 1",
        "gid_map": f"{os.getgid()} {os.getgid()} 1",
    }
    between = os.fork()
    if between:
        return between
    libc.prctl(libc.PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.unshare(libc.CLONE_NEWUSER | libc.CLONE_NEWPID)
    for name, text in maps.items():  # a user without a name here could make no user namespace again
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    pid = os.fork()
    if pid:
        os.closerange(3, 256)
        _, status = os.waitpid(pid, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    return 0


def main(descriptor: int) -> None:
    control = socket.socket(fileno=descriptor)
    while True:
        data, fds, _, _ = socket.recv_fds(control, 4096, 2)
        if not data:
            return
        asked = json.loads(data)
        if asked["do"] == "fork":
            pid = fork_first_of_namespace()
            if pid == 0:
                child.main(fds[0], fds[1], asked["uid"])
            for fd in fds:
                os.close(fd)
            answer = {"pid": pid}
        elif asked["do"] == "wait":
            pid, status = os.waitpid(asked["pid"], os.WNOHANG)
            answer = {"exit": os.waitstatus_to_exitcode(status) if pid else None}
        else:
            try:
                os.waitpid(-1, os.WNOHANG)
                answer = {"children": True}
            except ChildProcessError:
                answer = {"children": False}
        control.send(json.dumps(answer).encode())


if __name__ == "__main__":
    main(int(sys.argv[1]))
