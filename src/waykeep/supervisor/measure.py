"""Measurements: one digest over the code that a supervisor or a workload runs.

A measurement is SHA-256 over the name of the part, sorted lines ``<path> <sha256>`` of the Python files of its rooms,
then lines ``<distribution>==<version> <sha256>`` of its libraries, where the last is over what the distribution's
RECORD says of its files in ``site-packages`` (installers add scripts and byte code beside them, which differ from place
to place and are left out). So two installations of the same version in different folders measure the same.

Platform ``insecure`` measures what lies on the disk when the supervisor starts; a confidential VM will measure the
image.
"""

from __future__ import annotations

import csv
import hashlib
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import waykeep
from waykeep.attestation.appraisal import ReferenceValues
from waykeep.attestation.evidence import AGGREGATOR, ALGORITHM, USER_CLOUD
from waykeep.errors import SupervisorError

_SUPERVISOR = ("__init__.py", "errors.py", "formats", "privacy", "authority", "attestation", "supervisor", "node")
_PRELOADED = (*_SUPERVISOR, "channel", "vault", "usercloud", "algorithm", "aggregator")
ROOMS = {"supervisor": _SUPERVISOR, **dict.fromkeys((USER_CLOUD, ALGORITHM, AGGREGATOR), _PRELOADED)}
"""Files and rooms of each part. Workloads are forked from one preloaded parent, where any module could change any
other, so each counts all of them; the supervisor's own process imports none. The first line of what is hashed is the
part's name.
"""

LIBRARIES = (
    "anyio",
    "cbor2",
    "certifi",
    "cffi",
    "click",
    "cryptography",
    "deprecated",
    "h11",
    "h3",
    "http-message-signatures",
    "http-sf",
    "httpcore",
    "idna",
    "msgspec",
    "numpy",
    "opendp",
    "pyarrow",
    "pyproj",
    "pyrage",
    "python-dateutil",
    "shapely",
    "starlette",
    "typing-extensions",
    "uvicorn",
    "wrapt",
)
"""All that is loaded, also what one library merely tries to import: it shares the address space."""


def measure(part: str, root: Path | None = None) -> str:
    """The measurement of a part: ``sha256:`` and 64 hex digits.

    Args:
        part: A key of `ROOMS`.
        root: The package's folder; the running one by default.
    """
    digest = hashlib.sha256()
    for line in [part, *_sources(part, root or Path(waykeep.__file__).parent), *_libraries()]:
        digest.update(line.encode() + b"\n")
    return "sha256:" + digest.hexdigest()


def reference_values(root: Path | None = None) -> ReferenceValues:
    """What the code of this installation measures as: reference values, for one who trusts this very code."""
    return ReferenceValues(
        supervisor=(measure("supervisor", root),),
        workloads={workload: (measure(workload, root),) for workload in (USER_CLOUD, ALGORITHM, AGGREGATOR)},
    )


def _sources(part: str, root: Path) -> list[str]:
    files: list[Path] = []
    for name in ROOMS[part]:
        place = root / name
        files += sorted(place.rglob("*.py")) if place.is_dir() else [place]
    return sorted(f"{f.relative_to(root).as_posix()} {hashlib.sha256(f.read_bytes()).hexdigest()}" for f in files)


_known_libraries: list[str] = []


def _libraries() -> list[str]:
    if not _known_libraries:
        _known_libraries.extend(_library(name) for name in LIBRARIES)
    return _known_libraries


def _library(name: str) -> str:
    try:
        found = distribution(name)
    except PackageNotFoundError:  # what is not installed is not loaded
        return f"{name} is absent"
    record = found.read_text("RECORD")
    if record is None:
        raise SupervisorError(
            "library-unmeasured", f"found no RECORD of {name}", hint="install the locked packages with pip"
        )
    rows = sorted(
        f"{path} {digest}"
        for path, digest, _ in csv.reader(record.splitlines())
        if digest and not path.startswith(("..", "/")) and ".dist-info/" not in path
    )
    return f"{name}=={found.version} {hashlib.sha256(chr(10).join(rows).encode()).hexdigest()}"
