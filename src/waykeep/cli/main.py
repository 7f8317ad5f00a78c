"""The command line's entry: verbs, and typed refusals with stable exit codes."""

from __future__ import annotations

import sys
from importlib.metadata import version

from cyclopts import App, CycloptsError

from waykeep.errors import WaykeepError

EXIT_USAGE = 2

app = App(
    name="waykeep",
    version=version("waykeep"),
    help="A private cloud of one's own for location data. Start with 'waykeep demo'.",
)
# By name: a verb's module is imported when the verb is used. A supervisor must not import what it measures and
# preloads.
_VERBS = {
    "demo": ("waykeep.cli.demo:demo", "Show the main job, end to end, on real phone recordings."),
    "init": ("waykeep.cli.owners:init", "Make an owner on this device, and register it at a host."),
    "import": ("waykeep.cli.owners:import_", "Read recordings into the outbox of this device."),
    "upload": ("waykeep.cli.owners:upload", "Encrypt what waits, upload it, have your user cloud accept it."),
    "status": ("waykeep.cli.owners:status", "What your user cloud holds, and what waits on this device."),
    "approve": (
        "waykeep.cli.approving:approve",
        "Allow one algorithm, by digest or QR code, to run on your data.",
    ),
    "run": ("waykeep.cli.owners:run", "Run an approved algorithm on your data."),
    "audit": ("waykeep.cli.owners:audit", "Who was allowed what, and what happened, in plain words."),
    "grant": ("waykeep.cli.grants:app", "Grants: somebody else may run an algorithm on your data."),
    "study": ("waykeep.cli.studies:app", "Studies: one private answer from many people."),
    "budget": ("waykeep.cli.budgets:app", "How much all studies together may learn of you."),
    "keys": ("waykeep.cli.identity:app", "The owner's keys: devices, epochs, the paper."),
    "suspend": ("waykeep.cli.witnesses:suspend", "Stop your user cloud at once."),
    "resume": ("waykeep.cli.witnesses:resume", "Go on where records of your journal are lost."),
    "simulate": ("waykeep.cli.simulate:simulate", "Synthetic people, to try algorithms and studies on."),
    "algo": ("waykeep.cli.algo:app", "Algorithms: pack, publish, and look before you approve."),
    "host": ("waykeep.cli.nodes:host", "The untrusted directory: stores ciphertext, finds user clouds."),
    "supervisor": ("waykeep.cli.nodes:supervisor", "The attested node: forks, binds and vouches for its processes."),
    "aggregator": ("waykeep.cli.nodes:aggregator", "A node that adds up what people contribute to studies."),
    "witness": ("waykeep.cli.witness:app", "Another operator's machine: signs heads, so that no host rewinds them."),
    "measure": ("waykeep.cli.nodes:measure", "Print what the attested parts of this version measure as."),
}
for _name, (_target, _help) in _VERBS.items():
    app.command(_target, name=_name, help=_help)


def main(arguments: list[str] | None = None) -> None:
    """Run one verb. Exit codes: 0 done; 2 usage; 10 to 22 a refusal, by the room that refused (`waykeep.errors`)."""
    tokens = sys.argv[1:] if arguments is None else arguments
    try:
        app(tokens, exit_on_error=False, print_error=False)
    except CycloptsError as error:
        from waykeep.cli import output

        output.show_usage(str(error))
        sys.exit(EXIT_USAGE)
    except WaykeepError as error:
        from waykeep.cli import output

        output.show_error(error, as_json="--json" in tokens)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(130)
