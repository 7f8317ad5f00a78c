"""Verbs of an owner about their witness and their user cloud's life: use, move, waive, stop; resume, suspend."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from waykeep.authority.statements import WAIVER
from waykeep.cli import output, paths
from waykeep.cli.options import Owner
from waykeep.device import resuming, revoking, witnesses
from waykeep.errors import DeviceError

Url = Annotated[str, Parameter(help="The witness's address.")]
Token = Annotated[
    str,
    Parameter(
        help="An admission token, from its operator. Others on this machine can see it.", allow_leading_hyphen=True
    ),
]
TokenFile = Annotated[
    Path | None, Parameter(help="A file with the token, or - for standard input.", allow_leading_hyphen=True)
]
Key = Annotated[str, Parameter(help="The key that its operator told you.", allow_leading_hyphen=True)]

MAX_LINE = 1024
"""Of standard input, in characters."""

WHAT_IT_IS = """\
A witness holds digests and numbers of your logs, and the time; never a place, never your owner id. Your user cloud
asks it before each run for somebody else, so that the host cannot show an old state, or run two copies.
It is one party: one that colludes with your host could let it repeat what you granted, and while it is down nothing
is done for others. Your own reads, uploads and runs do not need it. Choose one that your host's operator does not run.\
"""


def use(
    url: Url,
    *,
    token: Token = "",
    token_file: TokenFile = None,
    key: Key = "",
    yes: Annotated[bool, Parameter(help="Do not say what a witness is and ask first.")] = False,
    owner: Owner = Owner(),
) -> None:
    """Choose a witness for your logs. Needs an admission token from its operator.

    Example: waykeep witness use http://witness.example:8471 --token-file token --key KEY
    """
    token = _token(token, token_file)
    found = witnesses.key_of(url, key)
    if not (yes or owner.json) and not output.agreed(f"{WHAT_IT_IS}\nIts key: {found}", "Use it?"):
        raise DeviceError("not-agreed", "you did not agree; nothing was changed")
    with owner.account() as device:
        number = witnesses.use(device, url, found, token)
    if owner.json:
        output.show_json({"number": number, "key": found, "url": url})
        return
    output.console.print(WHAT_IT_IS, markup=False)
    output.console.print(f"\nYour witness is {found} at {url} (entry {number} of your log).", soft_wrap=True)


def move(
    url: Url,
    *,
    token: Token = "",
    token_file: TokenFile = None,
    key: Key = "",
    old_is_dead: Annotated[bool, Parameter(help="The old one never answers again: every grant is used up.")] = False,
    yes: Annotated[bool, Parameter(help="Do not ask first.")] = False,
    owner: Owner = Owner(),
) -> None:
    """Move to another witness. The old one is closed and signs nothing more; its signed close goes into your log."""
    token = _token(token, token_file)
    found = witnesses.key_of(url, key)
    with owner.account() as device:
        if old_is_dead:
            grants = len(device.log().grants)
            text = (
                f"Without the old witness nobody knows what was spent: all {grants} grants in force count as used up."
            )
            if not (yes or owner.json) and not output.agreed(text, "Go on?"):
                raise DeviceError("not-agreed", "you did not agree; nothing was changed")
            number = witnesses.replace_dead(device, url, found, token)
        else:
            number = witnesses.move(device, url, found, token)
    if owner.json:
        output.show_json({"number": number, "key": found, "url": url})
        return
    output.console.print(f"Your witness is {found} at {url} (entry {number} of your log).", soft_wrap=True)
    if old_is_dead:
        output.console.print("Every grant from before counts as used up; grant anew what shall go on.")


def _token(token: str, file: Path | None) -> str:
    if file is not None and str(file) == "-":
        found = getpass.getpass("Token: ") if sys.stdin.isatty() else sys.stdin.readline(MAX_LINE)
    else:
        found = token if file is None else paths.read_text(paths.expanded(file))
    if not found.strip() or (token and file is not None):
        raise DeviceError(
            "token-needed",
            "found no admission token, or two",
            hint="give one with --token-file FILE; the witness's operator prints it with 'waykeep witness admit'",
        )
    return found.strip()


def waive(
    *,
    accept: Annotated[bool, Parameter(help="Accept the words that 'waykeep witness waive' shows.")] = False,
    owner: Owner = Owner(),
) -> None:
    """Do without a witness: grants to others work only if you accept, in these words, what it means."""
    if not accept and not output.confirmed(WAIVER, "Do you accept that?"):
        raise DeviceError(
            "not-agreed", "you did not accept what doing without means; nothing was changed", hint="--accept accepts it"
        )
    with owner.account() as device:
        number = witnesses.waive(device)
    if owner.json:
        output.show_json({"number": number, "words": WAIVER})
    else:
        output.console.print(f"{WAIVER} You accepted that, as entry {number} of your log.")


def stop(*, owner: Owner = Owner()) -> None:
    """Retire all state keys at the witness, whatever the host does: no spend until you unlock again."""
    with owner.account() as device:
        gone = revoking.stop(device)
    if owner.json:
        output.show_json({"state_keys_retired": gone})
    else:
        output.console.print(
            f"{gone} state keys were retired at your witness: nothing is spent until you unlock again."
        )


def resume(*, yes: Annotated[bool, Parameter(help="Do not ask first.")] = False, owner: Owner = Owner()) -> None:
    """Go on where records of your journal are lost. Says first what is missing; every grant then counts as used up."""
    with owner.account() as device:
        gap = resuming.look(device)
        if not gap.half_done and gap.missing is None and not gap.forked:
            raise DeviceError("resume-not-needed", "found every record that was seen at the host", status=409)
        if not owner.json:
            output.console.print(_gap(gap))
        if not (yes or owner.json) and not output.agreed("", "Sign that it goes on from there?"):
            raise DeviceError("not-agreed", "you did not agree; nothing was changed")
        number = resuming.resume(device, gap)
    if owner.json:
        output.show_json({"number": number, "gap": gap, "missing": gap.missing})
    else:
        output.console.print(f"Signed, as entry {number} of your log. Grant anew what shall go on.")


def _gap(gap: resuming.Gap) -> str:
    left = "no record" if gap.left is None else f"records up to {gap.left.number}"
    words = [f"The host shows {left} of your journal."]
    if gap.half_done:
        words.append("A resume of yours lies in your log; your witness was not told yet.")
    if gap.missing is not None:
        words.append(
            f"Records {gap.missing[0]} to {gap.missing[1]} are missing: what they say may have happened, unseen."
        )
    if gap.forked and gap.seen is not None:
        words.append(f"Record {gap.seen.number} is another one than was seen: somebody went on from an old copy.")
    words.append(f"What was in force counts as used up: {len(gap.grants)} grants end with this.")
    return "\n".join(words)


def suspend(
    *,
    forget: Annotated[bool, Parameter(help="Nobody but you can start it again: its sealed state and keys go.")] = False,
    owner: Owner = Owner(),
) -> None:
    """Stop your user cloud at once. The next request wakes it, unless its state is forgotten."""
    with owner.account() as device:
        done = device.suspend(forget=forget)
    if owner.json:
        output.show_json(done)
        return
    wakes = "the next request wakes it" if done.wakes else "only a device of yours can start it again"
    output.console.print(f"Your user cloud has stopped; {wakes}.")
