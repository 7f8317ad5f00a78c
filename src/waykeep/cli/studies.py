"""Verbs of studies for those who take part; `researchers` and `trials` have those of who asks."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from waykeep.authority import studies
from waykeep.cli import consent, demo, output, paths, qr, researchers, trials
from waykeep.cli.options import Owner
from waykeep.device import memberships, studywords
from waykeep.device.account import Account
from waykeep.device.hostclient import HostClient
from waykeep.errors import DeviceError
from waykeep.formats import invitation
from waykeep.formats.ids import Digest, parse_digest
from waykeep.formats.invitation import Invitation
from waykeep.privacy import ledger

app = App(name="study", help="Studies: one private answer from many people.")
for _verb in (*researchers.VERBS, *trials.VERBS):
    app.command(_verb)
app.command(demo.study_demo, name="demo")

StudyFile = Annotated[Path, Parameter(help="The study's file, as its researcher published it.")]


@app.command
def show(
    study: StudyFile,
    *,
    qr_file: Annotated[Path | None, Parameter(name="--qr", help="Draw an invitation as a QR code here (PNG).")] = None,
    host: Annotated[str, Parameter(help="Where people find the study, for the invitation.")] = "",
    json: Annotated[bool, Parameter(help="Print JSON.")] = False,
) -> None:
    """What a study asks for, in plain words."""
    signed = studies.open_(paths.read_file(study))
    uri = invitation.write(Invitation(signed.digest, paths.host_address(host))) if host else ""
    if qr_file is not None:
        if not uri:
            raise DeviceError("host-missing", "found no host for the invitation", hint="say where with --host")
        paths.write_file(qr_file, qr.png(uri))
    if json:
        output.show_json(
            {"digest": signed.digest, "researcher": signed.researcher, "study": signed.study, "invitation": uri}
        )
        return
    output.console.print(studywords.consent(signed), markup=False, soft_wrap=True)
    output.console.print(f"\nDigest: {signed.digest}", markup=False, soft_wrap=True)
    if uri:
        output.console.print(f"{uri}\n{qr.terminal(uri)}", markup=False, soft_wrap=True)


@app.command
def join(
    digest: str = "",
    *,
    qr_: Annotated[Path | None, Parameter(name="--qr", help="A picture of an invitation's QR code.")] = None,
    uri: Annotated[str, Parameter(help="The invitation as text: waykeep:join?…")] = "",
    file: Annotated[Path | None, Parameter(help="The study's file.")] = None,
    yes: Annotated[bool, Parameter(help="Do not show it and ask first.")] = False,
    owner: Owner = Owner(),
) -> None:
    """Take part in a study, by its digest, an invitation or its file. It first says what you would agree to, and asks.

    The whole of what the study may ever learn is set aside from your budget. Joining is refused where that does not
    suffice.

    Example: waykeep study join --qr poster.png
    """
    with owner.account() as device:
        envelope = _envelope(device, digest, qr_, uri, file)
        signed = studies.open_(envelope)
        memberships.require_joinable(device, signed)
        text, elsewhere = studywords.consent(signed), not digest
        agreed = yes or (owner.json and not elsewhere)
        consent.agree(text, "Join it?", yes=agreed, from_elsewhere=elsewhere)
        number = memberships.join(device, envelope)
    if owner.json:
        whole = signed.study.span.units
        told = {"number": number, "digest": signed.digest}
        output.show_json(told | {"set_aside": whole, "set_aside_epsilon": ledger.epsilon_at(whole)})
        return
    output.console.print(f"You joined “{signed.study.title}”, as entry {number} of your log.", markup=False)
    output.console.print(f"It may learn {studywords.learns(signed.study)}.", markup=False)


@app.command
def leave(digest: str, *, owner: Owner = Owner()) -> None:
    """Take part in a study no longer. A query that has not gathered its people yet goes without you."""
    with owner.account() as device:
        left = memberships.leave(device, parse_digest(digest))
    if owner.json:
        output.show_json({"number": left.number, "debited": left.debited})
        return
    output.console.print(f"You left “{left.signed.study.title}”.", markup=False)
    if left.debited:
        spent = ledger.epsilon_at(left.debited)
        output.console.print(f"Answers of before stay in it: epsilon {spent:.3g} was debited, and is not given back.")


@app.command
def status(*, owner: Owner = Owner()) -> None:
    """The studies that you take part in, or did, and what they have learned."""
    with owner.account() as device:
        found = memberships.listed(device)
    if owner.json:
        output.show_json(
            [
                {
                    "number": each.number,
                    "digest": each.signed.digest,
                    "title": each.signed.study.title,
                    "ended": each.ended,
                    "debited": each.debited,
                    "set_aside": each.signed.study.span.units,
                }
                for each in found
            ]
        )
        return
    shown = output.table("entry", "study", "state", "learned", "of", "digest")
    for each in found:
        debited, whole = (f"{ledger.epsilon_at(u):.3g}" for u in (each.debited, each.signed.study.span.units))
        title, state = each.signed.study.title, "left" if each.ended else "joined"
        shown.add_row(str(each.number), title, state, debited, whole, each.signed.digest)
    output.console.print(shown)


def _envelope(device: Account, digest: str, picture: Path | None, uri: str, file: Path | None) -> bytes:
    """Raises: DeviceError: ``join-what``, ``study-changed``."""
    if sum(map(bool, (digest, picture, uri, file))) != 1:
        raise DeviceError("join-what", "found not one study to join", hint="give a digest, --qr, --uri or --file")
    if file is not None:
        return paths.read_file(file)
    if digest:
        return memberships.found(device.host, parse_digest(digest))
    said = invitation.parse(uri if picture is None else qr.read(paths.read_file(picture)))
    return _elsewhere(device, said.digest, said.host)


def _elsewhere(device: Account, digest: Digest, host: str) -> bytes:
    """From another host, with the bundles that it names; the owner's own gets them as well."""
    client = HostClient(host)
    try:
        return memberships.brought(device, client, digest)
    finally:
        client.close()
