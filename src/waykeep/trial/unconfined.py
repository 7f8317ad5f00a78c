"""A bundle's function in this process, without its sandbox: for a researcher's own code, on made-up people alone.

Bundles share names of modules (`track`, `legs`), so those of each are at hand only while it runs.
"""

from __future__ import annotations

import importlib
import io
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from types import ModuleType

import pyarrow as pa

from waykeep.algorithm import preload
from waykeep.algorithm.importer import BundleImporter
from waykeep.errors import AlgorithmError
from waykeep.formats import results
from waykeep.formats.bundle import Bundle
from waykeep.formats.messages import Value
from waykeep.formats.results import Row


class Unconfined:
    """One bundle, to be run any number of times.

    Raises: AlgorithmError: As `preload.check_bundle`.
    """

    def __init__(self, bundle: Bundle) -> None:
        preload.check_bundle(bundle)
        self.bundle = bundle
        self._importer = BundleImporter(bundle)
        parts = [name.split(".") for name in bundle.modules]
        self._names = {".".join(each[:depth]) for each in parts for depth in range(1, len(each) + 1)}
        self._modules: dict[str, ModuleType] = {}

    def run(self, tables: dict[str, pa.Table], parameters: dict[str, Value]) -> list[Row]:
        """The rows, checked against the bundle's schema.

        Raises: AlgorithmError: ``run-failed``, with the kind of what the code raised; as `results.check_result`.
        """
        manifest = self.bundle.manifest
        with self._at_hand(), redirect_stdout(io.StringIO()):
            try:
                function: Callable[..., object] = getattr(importlib.import_module(manifest.module), manifest.function)
                rows = function(tables, dict(parameters))
            except Exception as error:
                raise AlgorithmError("run-failed", f"found code that raised {type(error).__name__}") from error
        return results.check_result(manifest, rows)

    @contextmanager
    def _at_hand(self) -> Iterator[None]:
        """Its modules are what their names stand for; afterwards all is as before."""
        others = {name: sys.modules.pop(name) for name in self._names & sys.modules.keys()}
        sys.modules.update(self._modules)
        sys.meta_path.insert(0, self._importer)
        try:
            yield
        finally:
            sys.meta_path.remove(self._importer)
            self._modules = {name: sys.modules.pop(name) for name in self._names & sys.modules.keys()}
            sys.modules.update(others)
