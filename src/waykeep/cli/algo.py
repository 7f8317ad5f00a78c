"""Verbs about algorithms: pack, show, publish."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from waykeep.algorithm import author, describe
from waykeep.cli import output, paths
from waykeep.device.hostclient import HostClient
from waykeep.errors import AlgorithmError
from waykeep.formats import bundle as bundles
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
