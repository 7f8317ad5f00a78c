"""The rooms hold: who may import whom, and what the pure rooms must not touch.

import-linter says the same of imports (`make lint`); this reads the source itself, so it also sees an import inside a
function, a call that no import shows, and a module that grew too long.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import waykeep

PACKAGE = Path(waykeep.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"))
MAX_LINES = 300

PURE = {"errors", "formats", "privacy", "authority", "attestation"}
LOWER = {"errors", "formats", "privacy", "authority"}
MAY_IMPORT: dict[str, set[str]] = {
    "errors": set(),
    "formats": {"errors"},
    "privacy": {"errors", "formats"},
    "authority": {"errors", "formats", "privacy"},
    "attestation": LOWER,
    "channel": LOWER | {"attestation"},
    "vault": LOWER,
    "supervisor": LOWER | {"attestation"},
    "algorithm": LOWER | {"attestation", "channel", "supervisor"},
    "aggregator": LOWER | {"attestation", "channel", "supervisor"},
    "usercloud": LOWER | {"attestation", "channel", "vault", "supervisor"},
    "device": LOWER | {"attestation", "channel"},
    "host": {"errors", "formats"},
    "witness": LOWER,
    "synthetic": {"errors", "formats"},
}
MAY_IMPORT["demo"] = set(MAY_IMPORT) - {"host"}
MAY_IMPORT["trial"] = LOWER | {"vault", "algorithm", "device", "synthetic"}
MAY_IMPORT["cli"] = set(MAY_IMPORT)
# The attested program: trusted rooms only; it is started as a process, so no room may import it.
MAY_IMPORT["node"] = LOWER | {"attestation", "channel", "vault", "supervisor", "usercloud", "algorithm", "aggregator"}
MAY_IMPORT["__main__"] = {"cli"}

IMPURE_MODULES = {
    "anyio", "asyncio", "ctypes", "glob", "http", "httpcore", "httpx", "logging", "mmap", "multiprocessing", "os",
    "pathlib", "posix", "random", "secrets", "select", "selectors", "shutil", "signal", "socket", "sqlite3", "ssl",
    "starlette", "subprocess", "sys", "tempfile", "threading", "time", "urllib.request", "uuid", "uvicorn", "zoneinfo",
}  # fmt: skip
IMPURE_NAMES = {"open", "input", "print", "exec", "eval", "compile", "__import__"}
# Reads of the clock, the environment, files or the machine's randomness that hang on an innocent import.
IMPURE_ATTRIBUTES = {
    "now", "utcnow", "today", "environ", "getenv", "urandom", "token_bytes", "random_serial_number", "default_rng",
    "open", "memory_map", "read_bytes", "read_text", "write_bytes", "write_text",
}  # fmt: skip


def room_of(module: Path) -> str:
    """The room of a source file: the folder below the package, or the file itself."""
    first = module.relative_to(PACKAGE).parts[0]
    return first.removesuffix(".py")


def imports(tree: ast.AST) -> Iterator[str]:
    """Every module that is imported anywhere in a file, and every name imported from one, with dots."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = "." * node.level + (node.module or "")
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def room_faults(room: str, tree: ast.AST) -> list[str]:
    """Imports of rooms that ``room`` may not know."""
    faults = []
    for name in imports(tree):
        parts = name.split(".")
        if name.startswith("."):
            faults.append(f"relative import {name}")
        elif parts[0] == "waykeep" and len(parts) > 1 and parts[1] not in {room, "__version__"} | MAY_IMPORT[room]:
            faults.append(f"import of {name}")
    return faults


def purity_faults(tree: ast.AST) -> list[str]:
    """What a pure room may not touch: sockets, files, clock, environment, processes, randomness."""
    faults = []
    for name in imports(tree):
        if any(name == impure or name.startswith(f"{impure}.") for impure in IMPURE_MODULES):
            faults.append(f"import of {name}")
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and node.id in IMPURE_NAMES:
            faults.append(f"line {node.lineno}: {node.id}")
        elif isinstance(node, ast.Attribute) and node.attr in IMPURE_ATTRIBUTES:
            faults.append(f"line {node.lineno}: .{node.attr}")
    return faults


def names(module: Path) -> str:
    """A test's name: the path below the package."""
    return str(module.relative_to(PACKAGE))


def test_every_room_has_its_rules() -> None:
    rooms = {room_of(module) for module in MODULES} - {"__init__"}
    assert rooms == set(MAY_IMPORT)


@pytest.mark.parametrize("module", MODULES, ids=names)
def test_module_is_short(module: Path) -> None:
    lines = len(module.read_text().splitlines())
    assert lines <= MAX_LINES, f"{lines} lines: it wants a split"


@pytest.mark.parametrize("module", [m for m in MODULES if room_of(m) != "__init__"], ids=names)
def test_module_imports_only_the_rooms_it_may(module: Path) -> None:
    assert room_faults(room_of(module), ast.parse(module.read_text())) == []


@pytest.mark.parametrize("module", [m for m in MODULES if room_of(m) in PURE], ids=names)
def test_pure_room_touches_nothing_outside(module: Path) -> None:
    assert purity_faults(ast.parse(module.read_text())) == []


@pytest.mark.parametrize(
    ("room", "source"),
    [
        ("host", "from waykeep.authority.keys import x"),
        ("host", "def f():\n    import waykeep.vault"),
        ("host", "from waykeep import supervisor"),
        ("formats", "from waykeep.authority import x"),
        ("authority", "from waykeep.attestation import x"),
        ("supervisor", "from waykeep.usercloud import x"),
        ("witness", "from waykeep.channel.witness import x"),
        ("usercloud", "from waykeep.algorithm import x"),
        ("demo", "from waykeep.host import x"),
        ("device", "from waykeep.trial import x"),
        ("node", "from waykeep.device import x"),
        ("cli", "from waykeep.node.__main__ import main"),
        ("device", "from ..vault import x"),
        ("device", "from waykeep.cli.main import main"),
    ],
)
def test_import_of_a_forbidden_room_is_found(room: str, source: str) -> None:
    assert room_faults(room, ast.parse(source))


@pytest.mark.parametrize(
    "source",
    [
        "import os",
        "import os.path",
        "from time import time",
        "from urllib.request import urlopen",
        "def f():\n    import socket",
        "f = open('x')",
        "read = open",
        "import datetime\ndatetime.datetime.now()",
        "x.environ['y']",
        "io.open('x')",
        "import secrets",
        "x509.random_serial_number()",
        "pyarrow.memory_map('x')",
    ],
)
def test_impurity_is_found(source: str) -> None:
    assert purity_faults(ast.parse(source))


@pytest.mark.parametrize("source", ["import io\nio.BytesIO(b'')", "from datetime import datetime", "keys.open_file"])
def test_pure_code_passes(source: str) -> None:
    assert purity_faults(ast.parse(source)) == []
