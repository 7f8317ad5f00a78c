"""Verbs about algorithms: pack, show, publish."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from waykeep.algorithm import author, describe
from waykeep.algorithm.difference import difference, tell
from waykeep.authority.reviews import Review, vouch
from waykeep.cli import output, paths, qr
from waykeep.cli.terms import Proposed
from waykeep.device import holder
from waykeep.device.approvals import require
from waykeep.device.hostclient import HostClient
from waykeep.device.scoping import day_ms
from waykeep.errors import AlgorithmError
from waykeep.formats import bundle as bundles
from waykeep.formats import proposal as proposals
from waykeep.formats.ids import parse_digest

app = App(name="algo", help="Algorithms: pack a folder, publish it, look at one before you approve it.")

Host = Annotated[str, Parameter(help="The host's address.", env_var="WAYKEEP_HOST")]


@app.command
def pack(
    folder: Path, *, output_file: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None, json: bool = False
) -> None:
    """Pack an algorithm's folder into its canonical archive, and print its digest."""
    with paths.reading(folder):
        next(folder.iterdir(), None)  # a folder that is missing is another mistake than one without a manifest
        archive = author.pack_folder(folder)
    found = bundles.load(archive)
    path = output_file or Path(f"{found.manifest.name}-{found.manifest.version}.tar")
    paths.write_file(path, archive)
    if json:
        output.show_json({"digest": found.digest, "file": str(path), "bytes": len(archive)})
    else:
        output.console.print(f"{found.digest}  {path}", soft_wrap=True)


@app.command
def show(digest_or_file: str, *, host: Host = "", json: bool = False) -> None:
    """Say in plain words what an algorithm is, which data it asks for, and what comes out."""
    archive = _archive(digest_or_file, host)
    found = bundles.load(archive)
    if digest_or_file.startswith("sha256:") and found.digest != parse_digest(digest_or_file):
        raise AlgorithmError("digest-mismatch", "the host gave another bundle than the one of this digest")
    if json:
        output.show_json({"digest": found.digest, "manifest": found.manifest, "libraries": found.libraries})
    else:
        output.console.print(describe.describe(found), markup=False, soft_wrap=True)


@app.command
def publish(file: Path, *, host: Host, json: bool = False) -> None:
    """Publish a packed algorithm at a host, where owners find it by its digest."""
    archive = paths.read_file(file)
    found = bundles.load(archive)
    client = HostClient(paths.host_address(host))
    try:
        client.put_bundle(found.digest, archive)
    finally:
        client.close()
    if json:
        output.show_json({"digest": found.digest})
    else:
        output.console.print(
            f"published {found.manifest.name} {found.manifest.version} as {found.digest}", soft_wrap=True
        )


@app.command
def diff(before: str, after: str, *, host: Host = "", json: bool = False) -> None:
    """Say what changed between two versions of an algorithm, each a digest or a packed file; with all of the source."""
    found = difference(*(bundles.load(_archive(name, host)) for name in (before, after)))
    if json:
        output.show_json(found)
    else:
        output.console.print(tell(found, shown=len(found.source)), markup=False, soft_wrap=True)


@app.command
def review(
    digest_or_file: str,
    *,
    file: Annotated[Path, Parameter(help="The reviewer's key file, as 'waykeep grant key' makes one.")],
    until: Annotated[str, Parameter(help="The day on which your word ends (YYYY-MM-DD, UTC).")],
    words: Annotated[str, Parameter(help="What you looked at.")],
    output_file: Annotated[Path, Parameter(name=["--output", "-o"], help="The signed statement.")],
    host: Host = "",
    json: bool = False,
) -> None:
    """Vouch for an algorithm. An owner may allow only what one of some reviewers vouched for (--vetted-by)."""
    found, reviewer = bundles.load(_archive(digest_or_file, host)), holder.load(paths.expanded(file))
    if digest_or_file.startswith("sha256:"):
        require(found, parse_digest(digest_or_file))
    paths.write_file(output_file, vouch(Review(found.digest, day_ms(until), words), reviewer.signer))
    if json:
        output.show_json({"digest": found.digest, "reviewer": reviewer.signer.public, "file": str(output_file)})
    else:
        output.console.print(f"{reviewer.signer.public} vouches for {found.digest} until {until}.", soft_wrap=True)


@app.command(name="qr")
def qr_(
    digest: str,
    *,
    host: Annotated[str, Parameter(help="The host's address, as owners reach it.", env_var="WAYKEEP_HOST")],
    terms: Proposed = Proposed(),
    output_file: Annotated[Path | None, Parameter(name=["--output", "-o"], help="Write a PNG.")] = None,
    json: bool = False,
) -> None:
    """Draw a QR code with which owners approve an algorithm, or grant it to you, on the terms that you propose.

    Example: waykeep algo qr sha256:… --host https://example.org --precision 500 --last 30d -o poster.png
    """
    wanted = parse_digest(digest)
    require(bundles.load(_archive(digest, host)), wanted)
    text = proposals.write(terms.proposal(wanted, paths.host_address(host)))
    if output_file is not None:
        paths.write_file(output_file, qr.png(text))
    if json:
        output.show_json({"uri": text, "file": None if output_file is None else str(output_file)})
        return
    if output_file is None:
        sys.stdout.write(qr.terminal(text))
    output.console.print(text, markup=False, soft_wrap=True)


def _archive(name: str, host: str) -> bytes:
    if not name.startswith("sha256:"):
        return paths.read_file(Path(name))
    if not host:
        raise AlgorithmError("host-needed", "a digest is looked up at a host", hint="give --host, or a packed file")
    client = HostClient(paths.host_address(host))
    try:
        return client.bundle(parse_digest(name))
    finally:
        client.close()
