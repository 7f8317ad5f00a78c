"""The verb ``waykeep approve``: by a digest that was typed, or by a QR code."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from waykeep.authority.permissions import Approved, Granted
from waykeep.cli import consent, output, paths, qr
from waykeep.cli.options import Owner
from waykeep.cli.terms import Terms
from waykeep.device import granting, proposing, telling, tickets
from waykeep.device.account import Account
from waykeep.errors import DeviceError
from waykeep.formats import proposal as proposals
from waykeep.formats.ids import parse_digest
from waykeep.formats.proposal import Proposal


def approve(
    digest: str = "",
    *,
    qr_: Annotated[Path | None, Parameter(name="--qr", help="A picture of a QR code that says what.")] = None,
    uri: Annotated[str, Parameter(help="The same as text: waykeep:approve?…")] = "",
    terms: Terms = Terms(),
    store: Annotated[str, Parameter(help="Keep results as this derived stream, such as 'trips'.")] = "",
    set_: Annotated[
        list[str] | None, Parameter(name="--set", help="Allow NAME=VALUE (repeat for more values).")
    ] = None,
    ticket_file: Annotated[
        Path | None, Parameter(name=["--output", "-o"], help="For a grant to somebody else: write their ticket here.")
    ] = None,
    yes: Annotated[bool, Parameter(help="Do not show it and ask first.")] = False,
    owner: Owner = Owner(),
) -> None:
    """Allow one algorithm, by its digest or a QR code, to read what it asks for within your terms.

    A QR code may propose terms, and may name somebody else whom you would grant it to. What you type yourself counts
    more. It first says in plain words what the algorithm is, what changed since the version before, and what you would
    agree to, and asks.

    Example: waykeep approve --qr poster.png
    """
    with owner.account() as device, paths.opened(ticket_file) as keep:
        asked = _proposal(digest, qr_, uri)
        found = proposing.fetch(device, asked.digest, asked.host)
        allowed = proposing.allowance(found, asked, terms.plain(), set_ or [], store)
        text, elsewhere = consent.told(device, found, allowed), bool(qr_ or uri)
        agreed = yes or (owner.json and not elsewhere)
        consent.agree(text, "Approve it?", yes=agreed, from_elsewhere=elsewhere)
        number = _append(device, allowed)
        if isinstance(allowed, Granted):
            keep(tickets.write(granting.ticket(device, number)))
    if owner.json:
        output.show_json({"number": number, "approval": allowed})
        return
    said = "Approved" if isinstance(allowed, Approved) else "Granted"
    output.console.print(f"{said} {allowed.name}, as entry {number} of your log.", markup=False)
    output.console.print(telling.consent(allowed), markup=False, soft_wrap=True)


def _proposal(digest: str, picture: Path | None, uri: str) -> Proposal:
    """Raises: DeviceError: ``approve-what``."""
    if sum(map(bool, (digest, picture, uri))) != 1:
        hint = "give a digest, --qr IMAGE or --uri TEXT"
        raise DeviceError("approve-what", "found not one thing to approve", hint=hint)
    if digest:
        return Proposal(parse_digest(digest), "")
    return proposals.parse(uri if picture is None else qr.read(paths.read_file(picture)))


def _append(device: Account, allowed: Approved | Granted) -> int:
    return device.approve(allowed) if isinstance(allowed, Approved) else granting.give(device, allowed)
