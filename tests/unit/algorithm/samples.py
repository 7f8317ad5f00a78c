"""A small bundle that the tests of this room vary."""

from __future__ import annotations

from collections.abc import Mapping

from waykeep.algorithm import preload
from waykeep.formats import bundle
from waykeep.formats.bundle import Bundle

MANIFEST = """\
name = "rows"
version = "1.2.3"
author = "A. Uthor"
summary = "Counts your positions."
entry = "rows:run"

[inputs.location]
columns = ["ts_ms", "lat_e7"]
why = "To count them."

[parameters.times]
type = "integer"
minimum = 1
maximum = 9
default = 2
unit = "times"
meaning = "How often to count."

[limits]
memory_mib = 64
cpu_s = 1
wall_s = 3

[output]
meaning = "One row."
max_rows = 1

[output.fields.rows]
type = "integer"
minimum = 0
maximum = 1000
meaning = "How many."
"""
SOURCE = b"def run(tables, parameters):\n    return [{'rows': tables['location'].num_rows * parameters['times']}]\n"
FILES: Mapping[str, bytes] = {bundle.MANIFEST: MANIFEST.encode(), "rows.py": SOURCE}


def make(more: Mapping[str, bytes] | None = None) -> Bundle:
    """The bundle with these files besides or instead."""
    lock = bundle.write_libraries(preload.installed_libraries())
    return bundle.load(bundle.pack({**FILES, bundle.LIBRARIES: lock, **(more or {})}))
