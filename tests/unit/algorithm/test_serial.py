from __future__ import annotations

import json

from tests.unit.algorithm.programs import run

PROGRAM = """
import json, os
import pyarrow as pa
import pyarrow.compute as pc
from waykeep.algorithm import serial

def use():
    table = pa.table({"a": [2, 1, 2, 3], "b": [1, 2, 3, 4]})
    return [
        sorted(table.group_by("a").aggregate([("b", "sum")]).to_pylist(), key=lambda row: row["a"]),
        sorted(table.join(table, "a", right_suffix="_r").to_pylist(), key=lambda row: (row["b"], row["b_r"])),
        table.filter(pc.field("b") > 2).to_pylist(),
        table.to_batches()[0].filter(pc.field("b") > 2).to_pylist(),
        table.sort_by([("a", "descending"), ("b", "ascending")]).to_pylist(),
    ]

def threads():
    return len(os.listdir("/proc/self/task"))

serial.use_one_thread()
serially, one = use(), threads()
pa.acero.Declaration = serial._THREADED
print(json.dumps({"serially": serially, "one": one, "threaded": use(), "more": threads()}))
"""


def test_the_rows_are_the_same_and_no_thread_starts() -> None:
    found = json.loads(run(PROGRAM))
    assert found["serially"] == found["threaded"]
    assert found["one"] == 1
    assert found["more"] > 1
