"""Loads a shipped bundle as a run does: packed, parsed, and its modules imported from the archive alone."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa

from waykeep.algorithm.author import pack_folder
from waykeep.algorithm.importer import BundleImporter
from waykeep.formats import bundle, results
from waykeep.formats.bundle import Bundle
from waykeep.formats.manifest import Value

ROOT = Path(__file__).parents[3] / "algorithms"
NAMES = ("heat-map", "mode-share", "od-cells", "presence", "trip-statistics", "trips")

Row = dict[str, Any]


@cache
def packed(name: str) -> Bundle:
    """The bundle as its author packs it, against the installed libraries, and loaded again."""
    return bundle.load(pack_folder(ROOT / name))


@cache
def modules(name: str) -> dict[str, ModuleType]:
    """All modules of a bundle by name. Two bundles' modules of one name stay apart."""
    loaded = packed(name)
    importer = BundleImporter(loaded)
    try:
        importer.load(loaded.manifest.module)
        return {module: sys.modules[module] for module in loaded.modules}
    finally:
        sys.meta_path.remove(importer)
        for module in loaded.modules:
            sys.modules.pop(module, None)


def run(name: str, tables: Mapping[str, pa.Table], **parameters: Value) -> list[Row]:
    """What the bundle returns for the tables and parameters, both sides checked against its manifest."""
    manifest = packed(name).manifest
    granted = {given.stream: tables[given.stream].select(list(given.columns)) for given in manifest.inputs}
    function = getattr(modules(name)[manifest.module], manifest.function)
    return list(results.check_result(manifest, function(granted, results.check_parameters(manifest, parameters))))
