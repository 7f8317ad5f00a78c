"""An algorithm that was given days on which nothing happened tries to learn of others, through what was kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support import algorithms
from tests.support.people import DAY_MS, SOME_DAY_MS, Person
from waykeep.authority.permissions import Approved
from waykeep.authority.scopes import Scope
from waykeep.device.importers import emission
from waykeep.errors import WaykeepError
from waykeep.formats import streams
from waykeep.formats.bundle import Bundle

RECORDINGS = Path(__file__).parents[2] / "vectors" / "emission"


def allowed(found: Bundle, from_ms: int, to_ms: int) -> Approved:
    scope = Scope(streams={"derived/trips": ("start_ms",)}, parameters={}, from_ms=from_ms, to_ms=to_ms)
    return Approved(found.digest, "reader 1.0.0", scope)


def test_a_kept_result_is_given_only_within_a_window_that_holds_all_of_it(owner: Person) -> None:
    days = (SOME_DAY_MS, SOME_DAY_MS + 3 * DAY_MS)
    found, archive = algorithms.reader("derived/trips", "start_ms")
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
