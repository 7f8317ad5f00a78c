"""What an author's code can import, loaded and run once before anything forks.

A child of the sandbox cannot open a file, so a library that imports lazily must have done so already; and a parent
that forks must have no second thread. `warm` sees to both. It has to run before anything else imports numpy or
pyarrow, since these start threads unless the environment tells them not to. This module imports neither.
"""

from __future__ import annotations

import importlib
import os
import platform
import sys
from typing import TYPE_CHECKING, Final

from waykeep.errors import AlgorithmError

if TYPE_CHECKING:
    from waykeep.formats.bundle import Bundle

_STANDARD: Final = (
    "__future__", "abc", "array", "bisect", "calendar", "cmath", "collections", "collections.abc", "contextlib",
    "copy", "dataclasses", "datetime", "decimal", "enum", "fractions", "functools", "heapq", "itertools", "json",
    "math", "numbers", "operator", "random", "re", "statistics", "string", "struct", "types", "typing", "zlib",
)  # fmt: skip
_LIBRARIES: Final = (
    "h3",
    "numpy", "numpy.fft", "numpy.lib.stride_tricks", "numpy.linalg", "numpy.ma", "numpy.polynomial", "numpy.random",
    "numpy.typing",
    "pyarrow", "pyarrow.compute",
    "pyproj",
    "shapely", "shapely.affinity", "shapely.geometry", "shapely.ops", "shapely.prepared", "shapely.strtree",
    "shapely.validation",
)  # fmt: skip

ALLOWED_MODULES: Final = frozenset(_STANDARD + _LIBRARIES)
"""The modules that an author may import, besides the bundle's own."""

ENVIRONMENT: Final = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    # Arrow's C++ side takes its memory from here too, not only what Python allocates; and mimalloc reserves a GiB of
    # addresses at a time, which counts against a limit of memory.
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "JE_ARROW_MALLOC_CONF": "background_thread:false",
    "PROJ_NETWORK": "OFF",
}
"""What keeps numpy and pyarrow from starting threads when they are imported."""


def may_import(name: str) -> bool:
    """Whether an author may import the module of that dotted name."""
    return name in ALLOWED_MODULES


def warm() -> None:
    """Import and use once everything that an author may import, and what a child itself needs.

    Raises:
        AlgorithmError: ``preload-threads`` when the process has more than one thread afterwards.
    """
    os.environ.update(ENVIRONMENT)
    for name in sorted(ALLOWED_MODULES):
        importlib.import_module(name)
    # Only now: it imports what needs the environment above.
    importlib.import_module("waykeep.algorithm.exercise").use_libraries()
    threads = len(os.listdir("/proc/self/task"))
    if threads != 1:
        raise AlgorithmError(
            "preload-threads",
            f"found {threads} threads in the process that forks, expected one",
            hint="call preload.warm() before anything imports numpy or pyarrow",
            status=503,
        )


def installed_libraries() -> dict[str, str]:
    """Versions of what an author may import, of the modules as they are loaded; ``python`` as major.minor."""
    versions = {
        name: str(importlib.import_module(name).__version__) for name in ("h3", "numpy", "pyarrow", "pyproj", "shapely")
    }
    return versions | {"python": ".".join(platform.python_version_tuple()[:2])}


def check_bundle(bundle: Bundle) -> None:
    """Whether this process can run the bundle.

    Raises:
        AlgorithmError: ``bundle-libraries-differ`` when it was packed against other versions;
            ``bundle-module-shadows`` when a module of it has the name of one of Python's or a library's.
    """
    installed = installed_libraries()
    differ = sorted(name for name in installed | bundle.libraries if installed.get(name) != bundle.libraries.get(name))
    if differ:
        raise AlgorithmError(
            "bundle-libraries-differ",
            f"found other versions of {', '.join(differ)} than the bundle was packed with",
            hint="pack the algorithm again with the libraries of this release, and approve the new digest",
        )
    taken = sys.stdlib_module_names | {name.partition(".")[0] for name in ALLOWED_MODULES}
    if any(name.partition(".")[0] in taken for name in bundle.modules):
        raise AlgorithmError("bundle-module-shadows", "found a module with the name of one of Python's or a library's")
