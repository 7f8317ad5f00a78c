"""Verbs of a holder: somebody to whom an owner granted something. `waykeep.cli.grants` takes them along."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from waykeep.attestation import insecure
from waykeep.authority.asking import Ask
from waykeep.channel.trust import Trust
from waykeep.cli import output, paths, rows
from waykeep.cli.options import InsecureRoot, SharedUid, private_umask
from waykeep.cli.terms import Terms
from waykeep.device import granting, holder, scoping, telling, tickets
from waykeep.device.approvals import parameters_of, require
from waykeep.device.hostclient import HostClient
from waykeep.device.making import now_ms
from waykeep.device.trusting import default_policy
from waykeep.formats import bundle as bundles
from waykeep.formats import table
from waykeep.formats.bundle import Bundle
from waykeep.formats.ids import parse_public_key
from waykeep.supervisor.measure import reference_values

HolderFile = Annotated[Path, Parameter(help="The holder's key file.")]
TicketFile = Annotated[Path, Parameter(help="The ticket that the owner, or another holder, gave you.")]
Json = Annotated[bool, Parameter(help="Print JSON.")]


def key(*, file: HolderFile, json: Json = False) -> None:
    """Make a holder's key file, or show its public halves: give both to whoever wants to grant you something."""
    private_umask()
    with paths.writing(file):
        found = holder.make(paths.expanded(file))
    if json:
        output.show_json({"holder": found.signer.public, "recipient": found.recipient})
    else:
        output.console.print(f"holder:    {found.signer.public}\nrecipient: {found.recipient}", soft_wrap=True)


def narrow(
    ticket: TicketFile,
    *,
    file: HolderFile,
    output_file: Annotated[Path, Parameter(name=["--output", "-o"], help="The new holder's ticket.")],
    holder_: Annotated[str, Parameter(name="--holder", help="The new holder's key.", allow_leading_hyphen=True)],
    recipient: Annotated[str, Parameter(help="The age recipient that their answers are encrypted to.")],
    runs: Annotated[int | None, Parameter(help="At most so many runs.")] = None,
    bits: Annotated[int | None, Parameter(help="At most so many bits of output over all runs.")] = None,
    stream: Annotated[
        list[str] | None, Parameter(help="Only these, such as location:ts_ms,lat_e7,lon_e7 (repeat).")
    ] = None,
    set_: Annotated[list[str] | None, Parameter(name="--set", help="Only NAME=VALUE (repeat).")] = None,
    terms: Terms = Terms(),
    json: Json = False,
) -> None:
    """Pass a grant on to another key, narrower; nobody is asked, and it can never be wider than what you have.

    Example: waykeep grant narrow mine.ticket --file my.key -o theirs.ticket --holder … --recipient age1… --runs 2
    """
    private_umask()
    mine, found = holder.load(paths.expanded(file)), tickets.read(paths.expanded(ticket))
    wanted = dict(map(granting.columns_of, stream)) if stream else None
    scope = scoping.scope_of(terms.plain(), wanted, tickets.only(found, set_) if set_ else None)
    made = tickets.pass_on(found, mine.signer, parse_public_key(holder_), recipient, scope, runs, bits)
    paths.write_file(output_file, tickets.write(made))
    chain = tickets.open_(made).chain
    if json:
        output.show_json({"file": str(output_file), "scope": chain.scope, "links": len(made.links)})
        return
    output.console.print(f"Wrote a ticket for {chain.holder[:16]}… to {output_file}. It allows", markup=False)
    for line in (telling.what, telling.when, telling.where, telling.precision):
        output.console.print(f"  {line(chain.scope)}", markup=False, soft_wrap=True)
    output.console.print(f"  {chain.budgets[-1].runs} runs, shared with you", markup=False)


def use(
    ticket: TicketFile,
    *,
    file: HolderFile,
    trust_insecure_root: InsecureRoot,
    shared_uid: SharedUid = False,
    from_: Annotated[str, Parameter(name="--from", help="First day of data (YYYY-MM-DD, UTC).")] = "",
    to: Annotated[str, Parameter(help="Day after the last (YYYY-MM-DD, UTC).")] = "",
    stream: Annotated[
        list[str] | None, Parameter(help="Of a look only these, such as location:ts_ms,lat_e7,lon_e7 (repeat).")
    ] = None,
    set_: Annotated[list[str] | None, Parameter(name="--set", help="Parameter NAME=VALUE.")] = None,
    review: Annotated[list[Path] | None, Parameter(help="A reviewer's statement, where one is asked for.")] = None,
    host: Annotated[str, Parameter(help="Another address of the owner's host.")] = "",
    receipt: Annotated[Path | None, Parameter(help="Write the signed receipt to this file.")] = None,
    rows_file: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="Write the rows of a look to this file (Parquet).")
    ] = None,
    json: Json = False,
) -> None:
    """Use a grant once: a run of its algorithm, or a look. A repetition after a lost answer is the same one."""
    if not json:
        output.banner()
    root, found = parse_public_key(trust_insecure_root), tickets.read(paths.expanded(ticket))
    trust = Trust({insecure.PLATFORM: root}, reference_values(), default_policy(shared_uid=shared_uid))
    host_url = paths.host_address(host or found.ticket.host)
    bundle = _bundle(found, host_url)
    with paths.opened(receipt) as keep, paths.opened(rows_file) as keep_rows:

        def show(got: holder.Got) -> None:
            """What came, seen before the request is forgotten: a repetition would be another run."""
            for read in got.tables.values():
                keep_rows(table.to_parquet(read))
            _show(bundle, got, as_json=json)
            sys.stdout.flush()
            keep(got.envelope)

        if not json:
            after = telling.duration(found.grant.deadline_ms)
            output.errors.print(f"The answer comes {after} after the run began, whatever comes of it.")
        holder.use(
            paths.expanded(file),
            found,
            trust,
            now_ms,
            ask=Ask(
                streams=dict(map(granting.columns_of, stream)) if stream else None,
                from_ms=scoping.day_ms(from_) if from_ else None,
                to_ms=scoping.day_ms(to) if to else None,
            ),
            parameters={} if bundle is None else parameters_of(bundle, set_ or []),
            reviews=tuple(paths.read_text(path) for path in review or ()),
            host_url=host_url,
            show=show,
        )


def _bundle(found: tickets.Opened, host_url: str) -> Bundle | None:
    """The algorithm's, None for a look."""
    if found.grant.algorithm is None:
        return None
    client = HostClient(host_url)
    try:
        bundle = bundles.load(client.bundle(found.grant.algorithm))
    finally:
        client.close()
    require(bundle, found.grant.algorithm)
    return bundle


def _show(bundle: Bundle | None, got: holder.Got, *, as_json: bool) -> None:
    missing = got.receipt.epochs_missing
    if as_json:
        read = {stream: found.to_pylist() for stream, found in got.tables.items()}
        said = {"rows": got.rows, "tables": read, "receipt": json_module.loads(got.envelope)}
        output.show_json(said | {"epochs_missing": missing})
        return
    if bundle is not None:
        rows.show(bundle.manifest.output.fields, got.rows, output.console)
    for stream, found in got.tables.items():
        rows.show_table(stream, found, output.console)
    output.console.print(f"{got.receipt.rows_out} rows; the receipt fits them.")
    output.missing(missing)
