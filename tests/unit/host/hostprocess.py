"""A host as a process of its own: ``python -m tests.unit.host.hostprocess STORE SOCKET``. Prints its port."""

from __future__ import annotations

import sys
from pathlib import Path

from waykeep.authority import access
from waykeep.channel.protocol import ProblemProtocol
from waykeep.host.app import create_app
from waykeep.host.serve import bind, serve_on
from waykeep.host.supervisor import Supervisor
from waykeep.vault.store import DirectoryStore


def main() -> None:
    listener = bind("127.0.0.1", 0)
    app = create_app(
        DirectoryStore(Path(sys.argv[1])),
        Supervisor(sys.argv[2]),
        access,
        host_url=f"http://127.0.0.1:{listener.getsockname()[1]}",
    )
    serve_on(app, listener, lambda port: print(port, flush=True), ProblemProtocol)


if __name__ == "__main__":
    main()
