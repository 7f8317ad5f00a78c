"""An algorithm that was given days on which nothing happened tries to learn of others, through what was kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import algorithms
from tests.support.people import DAY_MS, SOME_DAY_MS, Person
from waykeep.authority.statements import Approved
from waykeep.device.importers import emission
from waykeep.errors import WaykeepError
from waykeep.formats import bundle, streams
from waykeep.formats.bundle import Bundle

RECORDINGS = Path(__file__).parents[2] / "vectors" / "emission"
_MANIFEST = b"""\
name = "reader"
version = "1.0.0"
author = "Tests"
summary = "Counts the trips that were kept."
entry = "reader:run"
[inputs."derived/trips"]
columns = ["start_ms"]
why = "To count them."
[limits]
memory_mib = 256
cpu_s = 10
wall_s = 20
[output]
meaning = "How many rows there were."
max_rows = 1
[output.fields.rows]
type = "integer"
minimum = 0
maximum = 1000000
meaning = "How many."
"""


def reader() -> tuple[Bundle, bytes]:
    files = {
        bundle.MANIFEST: _MANIFEST,
        "reader.py": b"def run(tables, parameters):\n    return [{'rows': tables['derived/trips'].num_rows}]\n",
        bundle.LIBRARIES: bundle.write_libraries(algorithms.installed_libraries()),
    }
    archive = bundle.pack(files)
    return bundle.load(archive), archive


def allowed(found: Bundle, from_ms: int, to_ms: int) -> Approved:
    return Approved(found.digest, "reader 1.0.0", {}, {"derived/trips": ("start_ms",)}, from_ms, to_ms)


def test_a_kept_result_is_given_only_within_a_window_that_holds_all_of_it(owner: Person) -> None:
    days = (SOME_DAY_MS, SOME_DAY_MS + 3 * DAY_MS)
    found, archive = reader()
    with owner.account() as device:
        device.queue(emission.read((RECORDINGS / "shankari_2016-06-20.json").read_bytes()).tables, "imported")
        device.upload()
        trips = algorithms.approve(device, algorithms.shipped("trips"), *days, store="trips")
        kept = device.run(trips.algorithm, {}, *days).rows
        assert kept
        device.host.put_bundle(found.digest, archive)
        for window in ((streams.MIN_TS_MS, streams.MIN_TS_MS + DAY_MS), (days[0], days[1] - 1), (days[0] + 1, days[1])):
            device.approve(allowed(found, *window))
            with pytest.raises(WaykeepError) as caught:
                device.run(found.digest, {}, *window)
            assert caught.value.rule == "stream-empty"
        device.approve(allowed(found, *days))
        assert device.run(found.digest, {}, *days).rows == [{"rows": len(kept)}]
