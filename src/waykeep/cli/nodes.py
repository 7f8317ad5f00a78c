"""Verbs of whoever runs machines: host, supervisor, measure. Here the rooms are put together."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter, validators

from waykeep.cli import output, paths

host = App(name="host", help="The untrusted directory: stores ciphertext, finds and launches user clouds.")
aggregator = App(name="aggregator", help="A node that adds up what people contribute to studies, with noise.")
supervisor = App(name="supervisor", help="The attested node: forks, binds and vouches for its processes.")

Listen = Annotated[str, Parameter(help="Address to listen on.")]
Port = Annotated[int, Parameter(validator=validators.Number(gte=0, lte=65535))]
AtOnce = Annotated[int, Parameter(validator=validators.Number(gte=1, lte=64))]
Rings = Annotated[int, Parameter(validator=validators.Number(gte=1, lte=4096))]
Idle = Annotated[float, Parameter(validator=validators.Number(gt=0, lte=2_592_000))]


@supervisor.command(name="serve")
def serve_supervisor(
    *,
    state: Path,
    store: Path,
    socket: Path,
    listen: Listen = "127.0.0.1",
    idle_s: Idle = 600.0,
    linger_s: Idle = 5.0,
) -> None:
    """Run a node's supervisor on platform 'insecure'.

    Args:
        state: Folder of the software root, the node's key and the uids; made if missing. Back up nothing of it, and
            copy none of it to another machine: a new one is a new node, which owners approve anew.
        store: Folder that user clouds write ciphertext to; the host's store.
        socket: Unix socket for the host.
        idle_s: Seconds without a request after which a user cloud sleeps. The next request wakes it.
        linger_s: The same for one that was woken by a study and that nobody else asked.
    """
    output.banner()
    places = {"--state": state, "--store": store, "--socket": socket}
    arguments = [text for name, path in places.items() for text in (name, str(path.absolute()))]
    more = ("--listen", listen, "--idle-s", repr(idle_s), "--linger-s", repr(linger_s))
    # The attested program is small and measured whole; the command line is neither.
    os.execv(sys.executable, [sys.executable, "-I", "-m", "waykeep.node", *arguments, *more])  # noqa: S606 - no shell


@host.command(name="serve")
def serve_host(
    *,
    store: Path,
    supervisor: Path,
    listen: Listen = "127.0.0.1",
    port: Port = 8470,
    url: str = "",
    algorithms: AtOnce = 8,
    rings: Rings = 64,
) -> None:
    """Run the host. It holds no key and sees ciphertext only.

    Args:
        store: Folder for ciphertext and bundles; made if missing.
        supervisor: The supervisor's Unix socket.
        port: Port to listen on; 0 picks a free one.
        url: Where user clouds reach this host, if not at the address it listens on.
        algorithms: So many algorithm services run at once.
        rings: So many user clouds answer a study at once; the others sleep until it is their turn.
    """
    from waykeep.authority import access
    from waykeep.channel.protocol import ProblemProtocol
    from waykeep.host import app as host_app
    from waykeep.host.ports import HostLimits
    from waykeep.host.serve import bind, serve_on
    from waykeep.host.supervisor import Supervisor
    from waykeep.vault.store import DirectoryStore

    output.banner()
    paths.make_folder(store, 0o711)
    listener = bind(listen, port)
    address = url or f"http://{listen}:{listener.getsockname()[1]}"
    folder = DirectoryStore(store)
    folder.create_shared()
    limits = HostLimits(algorithms=algorithms, rings=rings)
    application = host_app.create_app(folder, Supervisor(supervisor), access, host_url=address, limits=limits)

    def ready(bound: int) -> None:
        output.errors.print(f"host ready on {listen} port {bound}")

    serve_on(application, listener, ready, ProblemProtocol)


@aggregator.command(name="serve")
def serve_aggregator(*, supervisor: Path, listen: Listen = "127.0.0.1", port: Port = 8490) -> None:
    """Let researchers have aggregators started here, one for each query, by this machine's supervisor.

    Args:
        supervisor: The supervisor's Unix socket.
        port: Port to listen on; 0 picks a free one.
    """
    from waykeep.channel.protocol import ProblemProtocol
    from waykeep.host import aggregators
    from waykeep.host.serve import bind, serve_on
    from waykeep.host.supervisor import Supervisor

    output.banner()
    listener = bind(listen, port)

    def ready(bound: int) -> None:
        output.errors.print(f"aggregator ready on {listen} port {bound}")

    serve_on(aggregators.create_app(Supervisor(supervisor)), listener, ready, ProblemProtocol)


def measure(*, json: bool = False) -> None:
    """Print the reference values of this installation's code: what its attested parts measure as."""
    from waykeep.supervisor.measure import reference_values

    values = reference_values()
    if json:
        output.show_json(values)
        return
    shown = output.table("part", "measurement")
    shown.add_row("supervisor", values.supervisor[0])
    for workload, found in values.workloads.items():
        shown.add_row(workload, found[0])
    output.console.print(shown)
