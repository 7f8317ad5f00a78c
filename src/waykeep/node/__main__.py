"""``python -I -m waykeep.node``: a node's supervisor.

A program of its own, and a small one, because everything that shares its address space is measured: neither the command
line nor its libraries do. ``waykeep supervisor serve`` becomes it by `exec`.
"""

from __future__ import annotations

import argparse
import logging
import sys
from pathlib import Path

from waykeep.errors import WaykeepError
from waykeep.formats import wire
from waykeep.supervisor.node import IDLE_S, LINGER_S, MAX_IDLE_S
from waykeep.supervisor.service import Settings, serve
from waykeep.supervisor.zygote import Workloads


def workloads() -> Workloads:
    """What the preloaded parent can fork into; called there, and nowhere else."""
    from waykeep.algorithm import preload

    # First: it sets what numpy and pyarrow read once, when they are imported.
    preload.warm()
    from waykeep.aggregator import process as aggregating
    from waykeep.algorithm import child, front
    from waykeep.usercloud import process, warm

    def warm_all() -> None:
        wire.learn()
        aggregating.warm()
        warm.warm()

    return Workloads(
        warm=warm_all,
        user_cloud=process.main,
        front=front.main,
        child=child.main,
        aggregator=aggregating.main,
    )


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="waykeep.node", description=__doc__)
    for name in ("state", "store", "socket"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--listen", default="127.0.0.1")
    parser.add_argument("--idle-s", type=float, default=IDLE_S)
    parser.add_argument("--linger-s", type=float, default=LINGER_S)
    given = parser.parse_args(arguments)
    if not 0 < min(given.idle_s, given.linger_s) <= max(given.idle_s, given.linger_s) <= MAX_IDLE_S:
        parser.error(f"--idle-s and --linger-s are more than 0 and at most {MAX_IDLE_S:.0f} seconds")
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    given.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    given.store.mkdir(mode=0o711, parents=True, exist_ok=True)
    settings = Settings(
        socket=given.socket,
        state=given.state,
        store=given.store,
        listen=given.listen,
        idle_s=given.idle_s,
        linger_s=given.linger_s,
    )
    serve(settings, workloads)


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except WaykeepError as error:
        sys.stderr.write(f"error: {error.rule}: {error.message}\nhint: {error.hint}\n")
        sys.exit(error.exit_code)
