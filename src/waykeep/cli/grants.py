"""Verbs of grants to others: the owner gives and takes back, the holder uses."""

from __future__ import annotations

import json as json_module
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from waykeep.algorithm.describe import describe
from waykeep.attestation import insecure
from waykeep.authority.records import Receipt
from waykeep.channel.trust import Trust
from waykeep.cli import output, paths, rows
from waykeep.cli.options import InsecureRoot, Owner, SharedUid, private_umask
from waykeep.device import granting, holder
from waykeep.device.approvals import day_ms, parameters_of
from waykeep.device.hostclient import HostClient
from waykeep.device.making import now_ms
from waykeep.device.trusting import default_policy
from waykeep.errors import DeviceError
from waykeep.formats import bundle as bundles
from waykeep.formats.ids import parse_digest, parse_owner_id, parse_public_key
from waykeep.formats.messages import GrantedRows
from waykeep.supervisor.measure import reference_values

app = App(name="grant", help="Grants: somebody else may run an algorithm on your data, a number of times.")

From = Annotated[str, Parameter(name="--from", help="First day of data (YYYY-MM-DD, UTC).")]
To = Annotated[str, Parameter(help="Day after the last (YYYY-MM-DD, UTC).")]
HolderFile = Annotated[Path, Parameter(help="The holder's key file.")]
Json = Annotated[bool, Parameter(help="Print JSON.")]


@app.command
def give(
    digest: str,
    *,
    holder: Annotated[str, Parameter(help="The key of whoever may ask.", allow_leading_hyphen=True)],
    recipient: Annotated[str, Parameter(help="The age recipient that results are encrypted to.")],
    runs: Annotated[int, Parameter(help="How many runs in all.")],
    until: Annotated[str, Parameter(help="The day on which it ends (YYYY-MM-DD, UTC).")],
    from_: From = "2001-01-01",
    to: To = "2100-01-01",
    set_: Annotated[list[str] | None, Parameter(name="--set", help="Allow NAME=VALUE (repeat for more).")] = None,
    again: Annotated[bool, Parameter(help="Also if a grant that says the same is in force.")] = False,
    yes: Annotated[bool, Parameter(help="Do not show the algorithm and ask first.")] = False,
    owner: Owner = Owner(),
) -> None:
    """Let somebody else run one algorithm, by its digest, on what it asks for within the times given."""
    with owner.account() as device:
        found = bundles.load(device.host.bundle(parse_digest(digest)))
        grant = granting.propose_grant(
            found,
            parse_digest(digest),
            holder=parse_public_key(holder),
            recipient=recipient,
            runs=runs,
            until=until,
            first=from_,
            after=to,
            settings=set_ or [],
        )
        if not (yes or owner.json) and not output.agreed(describe(found), f"Grant {runs} runs to this key?"):
            raise DeviceError("not-agreed", "you did not agree; nothing was changed")
        number = granting.give(device, grant, again=again)
        witnessed = device.log().witness is not None
    if owner.json:
        output.show_json({"number": number, "grant": grant})
        return
    output.console.print(f"Granted {grant.name}, as entry {number} of your log: {runs} runs until {until}.")
    if not witnessed:
        output.console.print("No run is done without a witness: choose one with 'waykeep witness use'.")


@app.command(name="list")
def list_(*, owner: Owner = Owner()) -> None:
    """Grants that you gave, with what was used of them."""
    with owner.account() as device:
        found = granting.listed(device)
    if owner.json:
        output.show_json(found)
        return
    shown = output.table("no", "algorithm", "holder", "used", "until (UTC)", "state")
    for line in found:
        used = f"{'?' if line.used is None else line.used} of {line.grant.runs}"
        until = output.when(line.grant.until_ms)
        shown.add_row(str(line.number), line.grant.name, line.grant.holder, used, until, line.ended or "in force")
    output.console.print(shown)


@app.command
def revoke(
    number: Annotated[int, Parameter(help="The number of the grant's or approval's entry.")],
    *,
    at_witness: Annotated[bool, Parameter(help="Also retire all state keys at your witness, at once.")] = False,
    owner: Owner = Owner(),
) -> None:
    """Take a grant or an approval back. Where the host does not take it, your witness stops all spends."""
    with owner.account() as device:
        done = granting.revoke(device, number, at_witness=at_witness)
    if owner.json:
        output.show_json(done)
    elif done.number is not None:
        output.console.print(f"Taken back, as entry {done.number} of your log.")
    else:
        output.console.print("The host did not take it: it waits on this device.")
    if done.retired and not owner.json:
        output.console.print(f"{done.retired} state keys were retired at your witness: nothing is spent any more.")
    if done.refusal and not done.retired:
        raise DeviceError(
            "witness-not-told",
            f"the revocation is in your log, but your witness could not be told ({done.refusal})",
            hint="a host that hides the entry could still spend; run any command when the witness answers",
            status=502,
        )


# -- holders -----------------------------------------------------------------------------------------------------------


@app.command
def key(*, file: HolderFile, json: Json = False) -> None:
    """Make a holder's key file, or show its public halves: give both to the owner who wants to grant you something."""
    private_umask()
    with paths.writing(file):
        found = holder.make(paths.expanded(file))
    if json:
        output.show_json({"holder": found.signer.public, "recipient": found.recipient})
    else:
        output.console.print(f"holder:    {found.signer.public}\nrecipient: {found.recipient}", soft_wrap=True)


@app.command(name="use")
def use(
    digest: str,
    *,
    file: HolderFile,
    id_: Annotated[str, Parameter(name="--owner", help="The id of the owner who granted it.")],
    grant: Annotated[int, Parameter(help="The number of the grant.")],
    host: Annotated[str, Parameter(help="The owner's host.")],
    trust_insecure_root: InsecureRoot,
    shared_uid: SharedUid = False,
    from_: From = "2001-01-01",
    to: To = "2100-01-01",
    set_: Annotated[list[str] | None, Parameter(name="--set", help="Parameter NAME=VALUE.")] = None,
    receipt: Annotated[Path | None, Parameter(help="Write the signed receipt to this file.")] = None,
    json: Json = False,
) -> None:
    """Use one run of a grant. A repetition after a lost answer is the same run."""
    if not json:
        output.banner()
    root, wanted = parse_public_key(trust_insecure_root), parse_digest(digest)
    trust = Trust({insecure.PLATFORM: root}, reference_values(), default_policy(shared_uid=shared_uid))
    client = HostClient(paths.host_address(host))
    try:
        found = bundles.load(client.bundle(wanted))
    finally:
        client.close()
    if found.digest != wanted:
        raise DeviceError("bundle-changed", "the host gave another bundle than the one of this digest")
    with paths.opened(receipt) as keep:

        def show(result: GrantedRows, signed: Receipt) -> None:
            """What came, seen before the request is forgotten: a repetition would be another run."""
            if json:
                said = {"rows": result.rows, "receipt": json_module.loads(result.receipt)}
                output.show_json(said | {"epochs_missing": signed.epochs_missing})
            else:
                rows.show(found.manifest.output.fields, result.rows, output.console)
                output.console.print(f"{len(result.rows)} rows; the receipt fits them.")
                output.missing(signed.epochs_missing)
            sys.stdout.flush()
            keep(result.receipt)

        holder.use(
            paths.expanded(file),
            host,
            parse_owner_id(id_),
            trust,
            now_ms,
            grant=grant,
            digest=wanted,
            parameters=parameters_of(found, set_ or []),
            window=(day_ms(from_), day_ms(to)),
            show=show,
        )
