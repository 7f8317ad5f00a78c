"""Verbs of grants: the owner gives, looks, takes back and withholds. `waykeep.cli.holders` has the holder's."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from waykeep.authority.permissions import (
    AlgorithmRevoked,
    EverythingRevoked,
    Granted,
    HolderRevoked,
    Lifted,
    LinkRevoked,
    Taking,
    Withdrawn,
)
from waykeep.cli import consent, holders, output, paths
from waykeep.cli.options import Owner
from waykeep.cli.terms import Terms
from waykeep.device import granting, proposing, revoking, scoping, telling, tickets
from waykeep.device.account import Account
from waykeep.device.making import now_ms
from waykeep.errors import DeviceError
from waykeep.formats.bundle import Bundle
from waykeep.formats.ids import parse_digest, parse_public_key

app = App(name="grant", help="Grants: somebody else may run an algorithm on your data, or see some of it.")
app.command(holders.key)
app.command(holders.narrow)
app.command(holders.use)

Holder = Annotated[str, Parameter(help="The key of whoever may ask.", allow_leading_hyphen=True)]
Recipient = Annotated[str, Parameter(help="The age recipient that answers are encrypted to.")]
Runs = Annotated[int, Parameter(help="How many times in all.")]
Purpose = Annotated[str, Parameter(help="What for, in words.")]
Bits = Annotated[int | None, Parameter(help="Bits of output over all runs; as many as they can tell otherwise.")]
Deadline = Annotated[str, Parameter(help="Answers come so long after a run began, such as 30s, whatever came of it.")]
Output = Annotated[Path | None, Parameter(name=["--output", "-o"], help="Write the holder's ticket to this file.")]
Again = Annotated[bool, Parameter(help="Also if a grant that says the same is in force.")]
Yes = Annotated[bool, Parameter(help="Do not show what it comes to and ask first.")]


@app.command
def give(
    digest: str,
    *,
    holder: Holder,
    recipient: Recipient,
    runs: Runs,
    purpose: Purpose = "",
    terms: Terms = Terms(),
    set_: Annotated[list[str] | None, Parameter(name="--set", help="Allow NAME=VALUE (repeat for more).")] = None,
    store: Annotated[str, Parameter(help="Keep results in your vault as this derived stream.")] = "",
    bits: Bits = None,
    deadline: Deadline = "",
    ticket_file: Output = None,
    again: Again = False,
    yes: Yes = False,
    owner: Owner = Owner(),
) -> None:
    """Let somebody else run one algorithm, by its digest, on what it asks for within your terms.

    Example: waykeep grant give sha256:… --holder … --recipient age1… --runs 4 --until 2027-01-01 --precision 500
    """
    with owner.account() as device:
        found = proposing.fetch(device, parse_digest(digest))
        to = _to(holder, recipient, runs, purpose, bits, deadline)
        grant = granting.propose_grant(found, parse_digest(digest), to, terms.plain(), set_ or [], store)
        _give(device, grant, found, ticket_file, owner, again=again, yes=yes)


@app.command
def share(
    streams: Annotated[list[str], Parameter(help="Streams, such as location or location:ts_ms,lat_e7,lon_e7.")],
    *,
    holder: Holder,
    recipient: Recipient,
    runs: Runs = 1000,
    rows: Annotated[int, Parameter(help="At most so many rows each time, the newest.")] = 10_000,
    purpose: Purpose = "",
    terms: Terms = Terms(),
    bits: Bits = None,
    deadline: Deadline = "",
    ticket_file: Output = None,
    again: Again = False,
    yes: Yes = False,
    owner: Owner = Owner(),
) -> None:
    """Let another person see some of your data: no algorithm, the rows themselves.

    Example: waykeep grant share location --holder … --recipient age1… --last 1d --precision 500 --until 2026-11-29
    """
    with owner.account() as device:
        to = _to(holder, recipient, runs, purpose, bits, deadline)
        grant = granting.propose_read(to, terms.plain(), dict(map(granting.columns_of, streams)), rows)
        _give(device, grant, None, ticket_file, owner, again=again, yes=yes)


def _to(holder: str, recipient: str, runs: int, purpose: str, bits: int | None, deadline: str) -> granting.To:
    deadline_ms = scoping.duration_ms(deadline) if deadline else None
    return granting.To(parse_public_key(holder), recipient, runs, purpose, bits, deadline_ms)


def _give(
    device: Account,
    grant: Granted,
    found: Bundle | None,
    ticket_file: Path | None,
    owner: Owner,
    *,
    again: bool,
    yes: bool,
) -> None:
    question = f"Grant it to this key, {grant.runs} times?"
    consent.agree(consent.told(device, found, grant), question, yes=yes or owner.json)
    with paths.opened(ticket_file) as keep:
        number = granting.give(device, grant, again=again)
        keep(tickets.write(granting.ticket(device, number)))
    witnessed = device.log().witness is not None
    if owner.json:
        output.show_json({"number": number, "grant": grant})
        return
    output.console.print(f"Granted {grant.name}, as entry {number} of your log.", markup=False)
    output.console.print(telling.consent(grant), markup=False, soft_wrap=True)
    if ticket_file is None:
        output.console.print(f"Its holder needs a ticket: waykeep grant ticket {number} -o FILE", markup=False)
    if not witnessed:
        output.console.print("No run is done without a witness: choose one with 'waykeep witness use'.")


@app.command
def ticket(
    number: int,
    *,
    output_file: Annotated[Path, Parameter(name=["--output", "-o"], help="The file.")],
    owner: Owner = Owner(),
) -> None:
    """Write what the holder of a grant needs to use it, or to pass it on. Give it to nobody else: it says what is
    shared."""
    with owner.account() as device, paths.opened(output_file) as keep:
        keep(tickets.write(granting.ticket(device, number)))
    if owner.json:
        output.show_json({"number": number, "file": str(output_file)})
    else:
        output.console.print(f"Wrote the ticket of grant {number} to {output_file}.", markup=False)


@app.command(name="list")
def list_(*, owner: Owner = Owner()) -> None:
    """Grants that you gave, with what is left of them, and what you withhold."""
    with owner.account() as device:
        found, log = granting.listed(device), device.log()
    if owner.json:
        output.show_json({"grants": found, "withheld": log.withheld})
        return
    shown = output.table("no", "what", "holder", "runs left", "bits left", "until (UTC)", "state")
    for line in found:
        grant, left = line.grant, ("?", "?")
        if line.used is not None and line.used_bits is not None:
            left = (f"{grant.runs - line.used} of {grant.runs}", f"{grant.bits - line.used_bits:,}")
        until = "" if grant.scope.until_ms is None else telling.left(grant.scope.until_ms, now_ms())
        what = f"{grant.name}, {grant.purpose}" if grant.purpose != grant.name else grant.name
        shown.add_row(
            str(line.number),
            what,
            f"{grant.holder[:12]}…",
            *left,
            until,
            line.ended.removeprefix("grant-") or "in force",
        )
    output.console.print(shown)
    for number, withheld in log.withheld.items():
        output.console.print(f"Withheld, as entry {number}: {telling.withheld(withheld)}", markup=False)


@app.command
def revoke(
    number: Annotated[int | None, Parameter(help="The number of the grant's or approval's entry.")] = None,
    *,
    link: Annotated[
        list[str] | None,
        Parameter(help="What was passed on: grant, issuer's key, holder's key.", consume_multiple=True),
    ] = None,
    algorithm: Annotated[str, Parameter(help="All that an algorithm was allowed, by its digest.")] = "",
    holder: Annotated[str, Parameter(help="All that a key was allowed.", allow_leading_hyphen=True)] = "",
    everything: Annotated[bool, Parameter(name="--all", help="Everything.")] = False,
    at_witness: Annotated[bool, Parameter(help="Also retire all state keys at your witness, at once.")] = False,
    owner: Owner = Owner(),
) -> None:
    """Take back what you allowed; runs under way are stopped. Where the host does not take it, your witness stops all
    spends.

    Example: waykeep grant revoke 12
    """
    given: list[Taking] = []
    if number is not None:
        given.append(Withdrawn(number))
    if link:
        if len(link) != 3 or not link[0].isdecimal():
            raise DeviceError("link-malformed", "found no link", hint="say --link GRANT ISSUER HOLDER")
        given.append(LinkRevoked(int(link[0]), parse_public_key(link[1]), parse_public_key(link[2])))
    if algorithm:
        given.append(AlgorithmRevoked(parse_digest(algorithm)))
    if holder:
        given.append(HolderRevoked(parse_public_key(holder)))
    if everything:
        given.append(EverythingRevoked())
    if len(given) != 1:
        raise DeviceError(
            "revoke-what",
            "found not one thing to take back",
            hint="give a number, or one of --link, --algorithm, --holder and --all",
        )
    _take(given[0], "Taken back", owner, at_witness=at_witness)


@app.command
def withhold(
    *,
    from_: Annotated[str, Parameter(name="--from", help="From this day or minute (2026-11-25T14:30, UTC).")] = "",
    to: Annotated[str, Parameter(help="To this day or minute, not included.")] = "",
    area: Annotated[str, Parameter(help="An area: a GeoJSON file, or H3 cells with commas between.")] = "",
    trip: Annotated[str, Parameter(help="The trip that was under way at this minute.")] = "",
    words: Annotated[str, Parameter(help="What it is, for yourself.")] = "",
    owner: Owner = Owner(),
) -> None:
    """Take a time, an area or one trip out of every approval and grant, past and future, until you lift it.

    Example: waykeep grant withhold --trip 2026-11-24T18:10 --words "to the doctor"
    """
    first, end = (scoping.minute_ms(text) if text else None for text in (from_, to))
    place = scoping.area_of(paths.read_text(Path(area)) if area.endswith("json") else area) if area else None
    if trip:
        with owner.account() as device:
            first, end = revoking.trip_at(device, scoping.minute_ms(trip))
    scoping.require_time(first, end)
    _take(revoking.withholding(first, end, place, words), "Withheld", owner)


@app.command
def lift(number: Annotated[int, Parameter(help="Of the entry that withholds.")], *, owner: Owner = Owner()) -> None:
    """End a withholding. Grants give that data again."""
    _take(Lifted(number), "Lifted", owner)


def _take(what: Taking, said: str, owner: Owner, *, at_witness: bool = False) -> None:
    with owner.account() as device:
        done = revoking.revoke(device, what, at_witness=at_witness)
    if owner.json:
        output.show_json(done)
    elif done.number is not None:
        output.console.print(f"{said}, as entry {done.number} of your log.")
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
