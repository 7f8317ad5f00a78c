"""The command line, preloaded: each verb runs in a process of its own, which waits until somebody watches it.

A program, started by `tests.support.durability_life.Commands`. Starting an interpreter for each of a thousand verbs
would take ten times as long; forked from here, a verb runs the same code from its first line to its exit code.

Protocol, a JSON document a line: ``{arguments, output, held}`` asks; ``{pid}`` answers; where ``held``, the verb begins
after a line ``go``; ``{code}`` tells its end, negative for a signal.
"""

from __future__ import annotations

import json
import os
import sys
from typing import NoReturn


def preload() -> None:
    """Import what verbs import when they are used."""
    from waykeep.algorithm import author
    from waykeep.cli import algo, grants, identity, main, output, owners, witnesses

    assert all((author, algo, grants, identity, main, output, owners, witnesses))


def run(arguments: list[str], output: str, gate: int) -> NoReturn:
    """A verb, in the process that was forked for it. ``gate`` is a pipe that closes when it may begin."""
    code = 70
    try:
        null, written = os.open(os.devnull, os.O_RDONLY), os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        for number, descriptor in enumerate((null, written, written)):
            os.dup2(descriptor, number)
        os.read(gate, 1)
        from waykeep.cli.main import main

        try:
            main(arguments)
            code = 0
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        sys.stdout.flush()
        sys.stderr.flush()
    except BaseException:  # noqa: BLE001 - the process ends in the next lines
        sys.excepthook(*sys.exc_info())
    finally:
        os._exit(code)


def serve() -> None:
    """Until standard input ends."""
    asked, answers = sys.stdin, os.fdopen(os.dup(1), "w", buffering=1)
    while line := asked.readline():
        request = json.loads(line)
        gate, opener = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.close(opener)
            run(request["arguments"], request["output"], gate)
        os.close(gate)
        answers.write(json.dumps({"pid": pid}) + "\n")
        if request["held"]:
            asked.readline()
        os.close(opener)
        _, status = os.waitpid(pid, 0)
        answers.write(json.dumps({"code": os.waitstatus_to_exitcode(status)}) + "\n")


if __name__ == "__main__":
    if len(sys.argv) > 1:  # a folder with another copy of the package
        sys.path.insert(0, sys.argv[1])
    preload()
    serve()
