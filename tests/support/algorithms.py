"""Algorithms for tests: the shipped ones, packed, and a small one that takes as long as it is told."""

from __future__ import annotations

from functools import cache
from pathlib import Path

from waykeep.algorithm import author
from waykeep.algorithm.preload import installed_libraries
from waykeep.authority.permissions import Approved
from waykeep.authority.scopes import Scope, canonical
from waykeep.device.account import Account
from waykeep.formats import bundle
from waykeep.formats.bundle import Bundle

A_WHILE, FOR_EVER = 30_000_000, 1_000_000_000_000
"""Rounds of `slow`: about a second, and until the processor's limit of 30 s."""
SHIPPED = Path(__file__).parents[2] / "algorithms"

_MANIFEST = """\
name = "{name}"
version = "1.0.0"
author = "Tests"
summary = "Counts rows, and takes its time."
entry = "slow:run"
[inputs.location]
columns = ["ts_ms"]
why = "To count them."
[parameters.rounds]
type = "integer"
minimum = 0
maximum = 1000000000000
default = 0
meaning = "How often it turns round before it answers."
[limits]
memory_mib = 256
cpu_s = 30
wall_s = 40
[output]
meaning = "How many rows there were."
max_rows = 1
[output.fields.rows]
type = "integer"
minimum = 0
maximum = 1000000
meaning = "How many."
"""
_SOURCE = b"""\
def run(tables, parameters):
    for _ in range(parameters["rounds"]):
        pass
    return [{"rows": tables["location"].num_rows}]
"""


@cache
def slow(name: str = "slow", source: bytes = _SOURCE) -> tuple[Bundle, bytes]:
    """A bundle that counts rows and is busy for some ``rounds``; of another digest for another name or source."""
    files = {
        bundle.MANIFEST: _MANIFEST.format(name=name).encode(),
        "slow.py": source,
        bundle.LIBRARIES: bundle.write_libraries(installed_libraries()),
    }
    archive = bundle.pack(files)
    return bundle.load(archive), archive


@cache
def shipped(name: str) -> tuple[Bundle, bytes]:
    """``trips`` or ``mode-share``."""
    archive = author.pack_folder(SHIPPED / name)
    return bundle.load(archive), archive


def approve(device: Account, found: tuple[Bundle, bytes], from_ms: int, to_ms: int, store: str = "") -> Approved:
    """Publish and approve a bundle, with its defaults; the slow one also with `A_WHILE` and `FOR_EVER`."""
    loaded, archive = found
    device.host.put_bundle(loaded.digest, archive)
    allowed = {p.name: (p.default,) for p in loaded.manifest.parameters}
    if "rounds" in allowed:
        allowed["rounds"] = (0, A_WHILE, FOR_EVER)
    approval = Approved(
        algorithm=loaded.digest,
        name=f"{loaded.manifest.name} {loaded.manifest.version}",
        scope=canonical(
            Scope(
                streams={given.stream: given.columns for given in loaded.manifest.inputs},
                parameters=allowed,
                from_ms=from_ms,
                to_ms=to_ms,
            )
        ),
        store_as=f"derived/{store}" if store else "",
    )
    device.approve(approval)
    return approval


@cache
def reader(stream: str, column: str) -> tuple[Bundle, bytes]:
    """A bundle that counts the rows of one stream, of which it reads one column."""
    manifest = (
        _MANIFEST.format(name="reader")
        .replace("slow:run", "reader:run")
        .replace("[inputs.location]", f'[inputs."{stream}"]')
    )
    start, end = manifest.index("[parameters.rounds]"), manifest.index("[limits]")
    files = {
        bundle.MANIFEST: (manifest[:start] + manifest[end:]).replace('"ts_ms"', f'"{column}"').encode(),
        "reader.py": f"def run(tables, parameters):\n    return [{{'rows': tables['{stream}'].num_rows}}]\n".encode(),
        bundle.LIBRARIES: bundle.write_libraries(installed_libraries()),
    }
    archive = bundle.pack(files)
    return bundle.load(archive), archive
