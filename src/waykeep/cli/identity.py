"""Verbs of the owner's keys, behind ``keys``."""

from __future__ import annotations

import getpass
import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from waykeep.attestation import insecure
from waykeep.channel.trust import Trust
from waykeep.cli import output, paths
from waykeep.cli.options import InsecureRoot, Owner, SharedUid, private_umask
from waykeep.device import enrolling, identity, recovery
from waykeep.device.making import now_ms
from waykeep.device.owner import Paper
from waykeep.device.profile import Profile
from waykeep.device.trusting import default_policy
from waykeep.errors import DeviceError
from waykeep.formats.ids import parse_owner_id, parse_public_key
from waykeep.supervisor.measure import reference_values

app = App(name="keys", help="The owner's keys: devices, epochs, the paper.")
nodes = App(name="nodes", help="Nodes on which your user cloud may wake without you.")
app.command(nodes)


@app.command(name="list")
def list_(*, owner: Owner = Owner()) -> None:
    """Devices, writers, epochs, user clouds, nodes, witness: what is in force, and whose secret is on this device."""
    with owner.account() as device:
        lines = identity.list_keys(device)
    if owner.json:
        output.show_json(lines)
        return
    shown = output.table("kind", "name", "in force", "secret here", "expires (UTC)", "key")
    for line in lines:
        shown.add_row(line.kind, line.name, _yes(line.in_force), _yes(line.here), output.when(line.until_ms), line.key)
    output.console.print(shown)


def _yes(value: bool) -> str:
    return "yes" if value else "no"


@app.command
def rotate(*, owner: Owner = Owner()) -> None:
    """Begin a new epoch: what is uploaded from now on is encrypted to a new key. What lies there stays as it is."""
    with owner.account() as device:
        number = identity.rotate(device)
    if owner.json:
        output.show_json({"epoch": number})
    else:
        output.console.print(
            f"Epoch {number} began. New data is encrypted to its key; nobody holds it but your devices,"
        )
        output.console.print("your paper, and your user cloud.")


@app.command
def revoke(
    key: Annotated[str, Parameter(help="The key, its beginning, or the name of a device or writer.")],
    *,
    at_witness: Annotated[bool, Parameter(help="Also retire all state keys at your witness, at once.")] = False,
    owner: Owner = Owner(),
) -> None:
    """Revoke a device or a writer. New log keys and a new epoch follow, which it is not given.

    What it was given before it keeps: nobody can take back what somebody has seen.
    """
    from waykeep.device import revoking

    with owner.account() as device:
        found = identity.find(device.known_log(), key)
        stopped = 0
        try:
            number: int | None = identity.revoke(device, found)
        except DeviceError as error:
            if error.rule not in revoking.WITHHELD and not (at_witness and error.rule == "entry-pending"):
                raise
            number, stopped = None, revoking.stop(device)
        else:
            stopped = revoking.stop(device) if at_witness else 0
    if owner.json:
        output.show_json({"number": number, "key": found, "state_keys_retired": stopped})
        return
    if number is None:
        output.console.print("The host did not take it: the revocation waits on this device.")
    else:
        output.console.print(f"Revoked, as entry {number} of your log; log keys and epoch are new.")
    if stopped:
        output.console.print(
            f"{stopped} state keys were retired at your witness: nothing is spent until you unlock again."
        )


@app.command
def enroll(
    *,
    host: Annotated[str, Parameter(help="The host's address, such as http://127.0.0.1:8470.")] = "",
    id_: Annotated[str, Parameter(name="--owner", help="The owner id.")] = "",
    trust_insecure_root: InsecureRoot = "",
    shared_uid: SharedUid = False,
    name: str = "another device",
    finish: Annotated[bool, Parameter(help="Take what the other device left for this one.")] = False,
    owner: Owner = Owner(),
) -> None:
    """Make this a device of an owner who has one already. Prints a line to type into 'waykeep keys add' there.

    Example: waykeep keys enroll --host http://127.0.0.1:8470 --owner ID --trust-insecure-root "$(cat root.pub)"
    """
    private_umask()
    if finish:
        log = enrolling.finish(owner.folder, owner.lock())
        if owner.json:
            output.show_json({"owner": log.owner, "owner_head": log.head})
        else:
            output.console.print(f"This is a device of {log.owner} now; its log has {log.head.number} entries.")
        return
    if owner.folder.enrolling.exists():
        profile = owner.folder.profile()
    else:
        profile = _profile(host, id_, trust_insecure_root, shared_uid=shared_uid)
    with owner.new_lock() as lock:
        line = enrolling.enroll(owner.folder, profile, lock, name)
    if owner.json:
        output.show_json({"request": line})
    else:
        output.console.print("On a device that has the authority, run 'waykeep keys add' with this line:\n")
        output.console.print(line, soft_wrap=True)
        output.console.print("\nThen, here: waykeep keys enroll --finish")


@app.command
def add(
    request: Annotated[str, Parameter(help="The line that 'waykeep keys enroll' printed on the new device.")],
    *,
    with_authority: Annotated[bool, Parameter(help="It may add and revoke devices as well.")] = False,
    yes: Annotated[bool, Parameter(help="Do not show the device and ask first.")] = False,
    owner: Owner = Owner(),
) -> None:
    """Add a device: it is handed what opens your logs and epochs. The authority stays here unless you say otherwise."""
    asked = enrolling.parse_request(request)
    text = f"A device “{asked.name}” with key {asked.device} asks to read everything of yours, and to sign for you."
    if not (yes or owner.json) and not output.agreed(text, "Is that the key on its screen, and shall it be added?"):
        raise DeviceError("not-agreed", "you did not agree; nothing was changed")
    with owner.account() as device:
        number = enrolling.add(device, asked, with_authority=with_authority)
    if owner.json:
        output.show_json({"number": number, "device": asked.device})
    else:
        output.console.print(f"Added, as entry {number} of your log. On it: waykeep keys enroll --finish", markup=False)


@app.command
def recover(
    *,
    host: Annotated[str, Parameter(help="The host that has your objects.")] = "",
    id_: Annotated[str, Parameter(name="--owner", help="Your owner id.")] = "",
    trust_insecure_root: InsecureRoot = "",
    shared_uid: SharedUid = False,
    name: str = "this device",
    secrets_file: Annotated[Path | None, Parameter(help="A file with the two secrets, a line each.")] = None,
    void_from: Annotated[int | None, Parameter(help="Entries from this number on have no effect.")] = None,
    owner: Owner = Owner(),
) -> None:
    """Take your id back on an empty machine, with the two secrets on paper. Every other device loses it.

    A new paper is shown first; the old one is void once the log has the rotation. Repeat the command where it was cut
    off. If somebody else may have seen the secret that rotates, do it twice: the second time with the new paper.
    """
    private_umask()
    folder = owner.folder
    begun = folder.recovering.exists() and folder.keystore.exists()
    profile = folder.profile() if begun else _profile(host, id_, trust_insecure_root, shared_uid=shared_uid)
    with owner.new_lock() as lock:
        done = recovery.recover(
            folder,
            profile,
            lock,
            lambda: _paper(secrets_file),
            name,
            void_from=void_from,
            show=lambda paper: _show_new(owner, paper),
            clock=now_ms,
        )
    if not owner.json:
        output.console.print(f"\nThe id is yours again, as entry {done.number} of its log. No device from before is.")
    if done.untold:
        output.warn(f"your witness does not know yet ({done.untold}); the next command tells it", as_json=owner.json)
    for url in done.void:
        output.warn(
            f"the witness at {url} is void now and could not be told; until its operator ends it, what you granted "
            "while it was yours can still be used, as often as you granted it",
            as_json=owner.json,
        )


def _paper(file: Path | None) -> Paper:
    if file is not None:
        lines = [line.strip() for line in paths.read_text(paths.expanded(file)).splitlines() if line.strip()]
    elif sys.stdin.isatty():
        lines = [getpass.getpass("The secret that opens: "), getpass.getpass("The secret that rotates: ")]
    else:
        raise DeviceError(
            "paper-needed", "found no terminal to ask for the two secrets on", hint="give them with --secrets-file"
        )
    opening = [line for line in lines if line.startswith("AGE-SECRET-KEY-")]
    rotating = [line for line in lines if line.startswith("WAYKEEP-ROTATE-")]
    if len(opening) != 1 or len(rotating) != 1:
        raise DeviceError(
            "paper-malformed", "found no two secrets, one that opens and one that rotates", hint="check with the paper"
        )
    return Paper(opening[0], rotating[0])


def _show_new(owner: Owner, paper: Paper) -> None:
    if owner.json:
        output.show_json({"opening_secret": paper.opening, "rotating_secret": paper.rotating})
    else:
        output.console.print("This is your new paper. Write both down, now; the old one is void when this is done.")
        output.console.print(f"  opens everything:      {paper.opening}", soft_wrap=True)
        output.console.print(f"  takes your id back:    {paper.rotating}", soft_wrap=True)
    sys.stdout.flush()  # seen, not only written, before anything depends on it
    if not owner.json and not output.agreed("", "Written down?"):
        raise DeviceError("not-agreed", "you did not write it down; nothing was changed")


def _profile(host: str, owner: str, root: str, *, shared_uid: bool) -> Profile:
    paths.host_address(host)
    trust = Trust(
        {insecure.PLATFORM: parse_public_key(root)}, reference_values(), default_policy(shared_uid=shared_uid)
    )
    return Profile(parse_owner_id(owner), host, trust)


@app.command
def export(epoch: int, *, owner: Owner = Owner()) -> None:
    """Print an epoch's secret key, with which 'age -d' opens its segments.

    Whoever sees it can read that epoch's data.
    """
    with owner.account() as device:
        secret = device.export_epoch(epoch)
    if owner.json:
        output.show_json({"epoch": epoch, "secret": secret})
    else:
        output.console.print(secret, soft_wrap=True)


# -- nodes -------------------------------------------------------------------------------------------------------------


@nodes.command(name="list")
def nodes_list(*, owner: Owner = Owner()) -> None:
    """Nodes that you approved."""
    with owner.account() as device:
        found = device.log().nodes
    if owner.json:
        output.show_json(list(found.values()))
        return
    shown = output.table("name", "node")
    for recipient, node in found.items():
        shown.add_row(node.name, recipient)
    output.console.print(shown)


@nodes.command
def approve(
    node: Annotated[str, Parameter(help="The node's age recipient, as its operator shows it.")],
    *,
    name: str = "a node",
    owner: Owner = Owner(),
) -> None:
    """Let your user cloud wake on a node without you."""
    with owner.account() as device:
        number = identity.approve_node(device, node, name)
    _done(owner, number, "Your user cloud may wake there without you.")


@nodes.command
def withdraw(node: str, *, owner: Owner = Owner()) -> None:
    """Take that back. All state keys are retired with it, so your user cloud starts anew with your next command."""
    with owner.account() as device:
        number = identity.withdraw_node(device, node)
    _done(owner, number, "It is withdrawn, and the state keys are retired.")


def _done(owner: Owner, number: int, words: str) -> None:
    if owner.json:
        output.show_json({"number": number})
    else:
        output.console.print(f"{words} (entry {number} of your log)")
