"""Verbs of whoever runs a witness."""

from __future__ import annotations

import os
import secrets
import sys
import time
from pathlib import Path
from typing import Annotated

import msgspec
from cyclopts import App, Parameter, validators

from waykeep.cli import output
from waykeep.cli.nodes import Listen, Port

app = App(
    name="witness",
    help="Signs what it holds of owners' logs, so that no host can rewind them. Run it elsewhere than the host.",
)

State = Annotated[Path, Parameter(help="Folder of the witness's key and register; made if missing.")]
Json = Annotated[bool, Parameter(help="Print JSON.")]
MAX_TOKENS = 10_000


class Started(msgspec.Struct, frozen=True):
    """What `serve` says with ``--json`` once it accepts connections."""

    url: str
    key: str


@app.command
def serve(*, state: State, listen: Listen = "127.0.0.1", port: Port = 8471, json: Json = False) -> None:
    """Run a witness until it is told to end. Says its address and its key, by which owners know it.

    The key is made with the first start. Never go on from an old copy of the folder: it would sign old heads. Where
    owners reach it over a network, put TLS in front: what is said is signed, but not hidden.

    Example: waykeep witness serve --state witness --port 8471

    Args:
        port: Port to listen on; 0 picks a free one.
    """
    from waykeep.witness.serve import serve as serve_on

    def ready(bound: int, key: str) -> None:
        address = f"[{listen}]" if ":" in listen else listen
        started = Started(f"http://{address}:{bound}", key)
        if json:
            sys.stdout.write(msgspec.json.encode(started).decode() + "\n")  # one line, for whoever waits for it
            sys.stdout.flush()
        else:
            output.errors.print(f"witness ready on {listen} port {bound}, key {key}", soft_wrap=True)

    os.umask(0o077)
    serve_on(state, listen, port, seed=secrets.token_bytes(32), time_ms=_now_ms, ready=ready)


@app.command
def admit(
    *,
    state: State,
    count: Annotated[int, Parameter(validator=validators.Number(gte=1, lte=MAX_TOKENS))] = 1,
    json: Json = False,
) -> None:
    """Print admission tokens. Each registers one owner, once; the witness keeps only what recognizes it.

    Example: waykeep witness admit --state witness --count 3

    Args:
        count: How many.
    """
    from waykeep.formats.ids import b64
    from waykeep.witness import keyfile
    from waykeep.witness.register import SqliteRegister

    os.umask(0o077)
    keyfile.make_folder(state)
    tokens = [b64(secrets.token_bytes(32)) for _ in range(count)]
    register = SqliteRegister(state)
    try:
        register.admit(tokens)
    finally:
        register.close()
    if json:
        output.show_json({"tokens": tokens})
        return
    for token in tokens:
        output.console.print(token, soft_wrap=True)


@app.command
def status(*, state: Annotated[Path, Parameter(help="The witness's folder.")], json: Json = False) -> None:
    """What a witness holds, in numbers.

    Example: waykeep witness status --state witness
    """
    from waykeep.witness.register import SqliteRegister

    register = SqliteRegister(state, make=False)
    try:
        counts = register.counts()
    finally:
        register.close()
    if json:
        output.show_json(counts)
        return
    output.console.print(
        f"{counts.pseudonyms} pseudonyms, of which {counts.closed} are closed; {counts.tokens_left} tokens left"
    )


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


# An owner's verbs about their witness, in the same place; imported when they are used.
for _name, _help in (
    ("use", "Choose a witness for your logs."),
    ("move", "Move to another witness."),
    ("waive", "Do without a witness."),
    ("stop", "Retire all state keys at your witness: nothing is done for others."),
):
    app.command(f"waykeep.cli.witnesses:{_name}", name=_name, help=_help)
