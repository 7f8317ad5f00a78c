"""Uses each library once, so that what it loads lazily is loaded before a fork (see `waykeep.algorithm.preload`)."""

from __future__ import annotations

import datetime
import decimal
import fractions
import json
import random
import re
import statistics
import zlib
from types import ModuleType

import h3
import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyproj
import shapely

from waykeep.algorithm import pipes, preload, seccomp, serial
from waykeep.algorithm.importer import BundleImporter
from waykeep.formats import bundle, results, streams, table

_MANIFEST = b"""\
name = "warm-up"
version = "1.0.0"
author = "Waykeep"
summary = "Counts rows."
entry = "warm_up:run"
[inputs.location]
columns = ["ts_ms", "lat_e7"]
why = "To count them."
[limits]
memory_mib = 64
cpu_s = 1
wall_s = 1
[output]
meaning = "One row."
max_rows = 1
[output.fields.rows]
type = "integer"
minimum = 0
maximum = 100
meaning = "How many."
"""
_SOURCE = b"""\
from __future__ import annotations
def run(tables, parameters):
    return [{"rows": tables["location"].num_rows}]
"""


def use_libraries() -> None:
    """Run the paths that a child takes, and one call of each library. Starts no thread."""
    serial.use_one_thread()
    pa.set_memory_pool(pa.system_memory_pool())
    seccomp.prepare()
    _arrow()
    _geometry()
    np.linalg.norm(np.random.default_rng(1).random(8))
    statistics.median([1, 2])
    random.Random(1).random()  # noqa: S311 - nothing is drawn from it
    datetime.datetime.strptime("2001-01-01 +0000", "%Y-%m-%d %z").astimezone(datetime.UTC).isoformat()
    json.loads(json.dumps({"a": [1, 1.5, None]}))
    re.compile("a+").match("a")
    zlib.crc32(str(decimal.Decimal(1) + decimal.Decimal(fractions.Fraction(1, 2).numerator)).encode())
    _run()


def _arrow() -> None:
    table = pa.table({"a": [1, 2, 1], "b": [4, 5, 6]})
    table.group_by("a").aggregate([("b", "sum")])
    table.join(table, "a", right_suffix="_right")
    table.sort_by("b").filter(pc.field("a") > 1).filter(pc.greater(pa.array([2]), 1)).to_pylist()
    pc.sort_indices(table, sort_keys=[("a", "ascending")])
    table["a"].to_numpy()
    pc.sum(table["b"]).as_py()


def _geometry() -> None:
    pyproj.Geod(ellps="WGS84").inv(1.0, 2.0, 3.0, 4.0)
    area = shapely.Point(0, 0).buffer(1.0)
    shapely.STRtree([area]).query(shapely.box(0, 0, 1, 1))
    shapely.from_wkt(shapely.to_wkt(area))
    h3.cell_to_boundary(h3.latlng_to_cell(1.0, 2.0, 9))


def _run() -> None:
    """The steps of `waykeep.algorithm.child` without its sandbox and its pipes, on a bundle of our own."""
    files = {
        bundle.MANIFEST: _MANIFEST,
        bundle.LIBRARIES: bundle.write_libraries(preload.installed_libraries()),
        "warm_up.py": _SOURCE,
    }
    loaded = bundle.load(bundle.pack(files))
    preload.check_bundle(loaded)
    for message in (pipes.Report(), pipes.Start(loaded.digest, {}, ()), pipes.Answer()):
        msgspec.msgpack.decode(msgspec.msgpack.encode(message), type=type(message))
    empty = streams.schema("location").empty_table().select(["ts_ms", "lat_e7"])
    options = pa.ipc.IpcReadOptions(use_threads=False)
    with pa.ipc.open_stream(pa.py_buffer(table.to_ipc(empty)), options=options) as reader:
        tables = {"location": reader.read_all()}
    importer = BundleImporter(loaded)
    module = ModuleType(loaded.manifest.module)
    importer.exec_module(module)
    results.check_result(loaded.manifest, module.run(tables, results.check_parameters(loaded.manifest, {})))
