"""The main job, end to end, on recordings of real phones: what the owner uploads, runs and reads back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support import algorithms
from tests.support.fixtures import Owners
from tests.support.people import DAY_MS, SOME_DAY_MS, Person, unchanged
from waykeep.authority.records import RunDone, SegmentsAccepted
from waykeep.device import audit
from waykeep.device.importers import Imported, emission
from waykeep.device.receipts import open_receipt
from waykeep.errors import WaykeepError
from waykeep.formats import streams
from waykeep.supervisor.measure import reference_values

RECORDINGS = Path(__file__).parents[1] / "vectors" / "emission"
ALWAYS = (streams.MIN_TS_MS, streams.MAX_TS_MS)
TWO_DAYS = (SOME_DAY_MS, SOME_DAY_MS + 3 * DAY_MS)


def recording(name: str) -> Imported:
    return emission.read((RECORDINGS / f"{name}.json").read_bytes())


def test_the_seven_steps_on_two_days_of_a_phone(owner: Person) -> None:
    days = [recording("shankari_2016-06-20"), recording("shankari_2016-06-21")]
    with owner.account() as device:
        # 1: only ciphertext leaves the device.
        segments = sum(device.queue(day.tables, "imported") for day in days)
        accepted = device.upload()
        assert sorted(accepted.outcome.values()) == ["accepted"] * segments
        assert device.outbox.names() == []
        expected = {
            stream: sum(day.tables[stream].num_rows for day in days if stream in day.tables)
            for stream in {*days[0].tables, *days[1].tables}
        }
        assert {line.stream: line.rows for line in device.status().streams} == expected
        assert accepted.rows_new == sum(expected.values())

        # 2 to 6: an approved algorithm runs on what it was given.
        trips, _ = algorithms.shipped("trips")
        approval = algorithms.approve(device, algorithms.shipped("trips"), *TWO_DAYS, store="trips")
        result = device.run(trips.digest, {}, *TWO_DAYS)
        receipt = open_receipt(result.receipt, list(device.log().state_keys))
        assert receipt.algorithm == approval.algorithm
        assert receipt.rows_in == {"filtered-location": expected["filtered-location"]}
        assert receipt.rows_out == len(result.rows) >= 8
        values = reference_values()
        assert receipt.measurements == {
            "supervisor": values.supervisor[0],
            "user-cloud": values.workloads["user-cloud"][0],
            "algorithm": values.workloads["algorithm"][0],
        }
        assert device.appraised.measurement == receipt.measurements["user-cloud"]

        # 7: the result was stored back, and reads as it came.
        stored = device.rows("derived/trips", *ALWAYS)
        assert stored.to_pylist() == result.rows

        share, _ = algorithms.shipped("mode-share")
        algorithms.approve(device, algorithms.shipped("mode-share"), *TWO_DAYS)
        modes = device.run(share.digest, {}, *TWO_DAYS).rows
        assert {row["mode"]: row["distance_m"] for row in modes}["walking"] > 0

        status = device.status()
        assert (status.runs, status.approvals) == (2, 2)
        assert [line.segments for line in status.streams if line.stream == "derived/trips"] == [1]
        words = " ".join(line.words for line in audit.read(device))
    assert f"{accepted.rows_new} new rows were accepted in {segments} segments" in words
    assert f"trips 1.0.0 read {expected['filtered-location']} rows" in words


def test_rows_come_back_as_they_were_recorded(owner: Person) -> None:
    day = recording("iphone_3_2016-02-22")
    with owner.account() as device:
        device.queue(day.tables, "imported")
        device.upload()
        for stream, table in day.tables.items():
            back = device.rows(stream, *ALWAYS)
            assert back.schema.names == table.schema.names
            assert back.to_pylist() == table.to_pylist()


def test_one_impossible_time_is_listed_and_the_rest_is_kept(owner: Person) -> None:
    day = recording("gabe_2016-06-15")
    assert [refusal.rule for refusal in day.refused].count("time-impossible") == 1
    assert sum(day.kept.values()) + len(day.refused) == day.entries
    with owner.account() as device:
        device.queue(day.tables, "imported")
        assert device.upload().rows_new == sum(day.kept.values())


def test_entries_without_columns_are_kept_whole(owner: Person) -> None:
    day = recording("jack_untracked_time_2023-03-12")
    others = [stream for stream in day.tables if stream.startswith("json/")]
    assert others
    with owner.account() as device:
        device.queue({stream: day.tables[stream] for stream in others}, "imported")
        device.upload()
        for stream in others:
            assert device.rows(stream, *ALWAYS).column("entry").to_pylist() == (
                day.tables[stream].column("entry").to_pylist()
            )


def test_an_upload_of_the_same_recording_again_changes_nothing(owner: Person) -> None:
    day = recording("shankari_2016-06-20")
    with owner.account() as device:
        device.queue(day.tables, "imported")
        device.upload()
        with unchanged(owner):
            device.queue(recording("shankari_2016-06-20").tables, "imported")
            again = device.upload()
            assert set(again.outcome.values()) == {"known"}
            assert again.rows_new == 0
            assert device.outbox.names() == []
            assert set(device.upload().outcome) == set()


def test_a_recording_that_overlaps_another_adds_only_what_is_new(owner: Person) -> None:
    day = recording("shankari_2016-06-20").tables["location"]
    first, second = day.slice(0, 150), day.slice(100)
    with owner.account() as device:
        device.queue({"location": first}, "imported")
        assert device.upload().rows_new == 150
        device.queue({"location": second}, "imported")
        assert device.upload().rows_new == day.num_rows - 150
        assert device.rows("location", *ALWAYS).to_pylist() == day.to_pylist()


def test_a_run_reads_the_window_that_was_approved_and_no_more(owner: Person) -> None:
    day = recording("shankari_2016-06-20").tables
    times = np.sort(day["filtered-location"].column("ts_ms").to_numpy())
    middle = int(times[len(times) // 2])
    trips, _ = algorithms.shipped("trips")
    with owner.account() as device:
        device.queue(day, "imported")
        device.upload()
        algorithms.approve(device, algorithms.shipped("trips"), SOME_DAY_MS, middle)
        result = device.run(trips.digest, {}, SOME_DAY_MS, middle)
        receipt = open_receipt(result.receipt, list(device.log().state_keys))
        assert receipt.rows_in == {"filtered-location": int((times < middle).sum())}
        with unchanged(owner), pytest.raises(WaykeepError, match="time-not-allowed"):
            device.run(trips.digest, {}, SOME_DAY_MS, middle + 1)


def test_the_newest_result_is_the_one_that_is_read(owner: Person) -> None:
    counting = algorithms.slow()
    day = recording("shankari_2016-06-20").tables["location"]
    with owner.account() as device:
        algorithms.approve(device, counting, *TWO_DAYS, store="counts")
        for part in (day.slice(0, 50), day.slice(50, 50)):
            device.queue({"location": part}, "imported")
            device.upload()
            device.run(counting[0].digest, {}, *TWO_DAYS)
        assert device.rows("derived/counts", *ALWAYS).to_pylist() == [{"rows": 100}]
        kinds = [type(line).__name__ for line in _details(owner)]
    assert kinds == [SegmentsAccepted.__name__, RunDone.__name__] * 2


def _details(owner: Person) -> tuple[object, ...]:
    return tuple(owner.details())


def test_an_algorithm_that_fails_tells_its_owner_where_and_nothing_of_the_data(owner: Person) -> None:
    source = (
        b"def run(tables, parameters):\n    ts = tables['location']['ts_ms'][0].as_py()\n    return 1 // (ts - ts)\n"
    )
    failing = algorithms.slow("failing", source)
    with owner.account() as device:
        device.queue(recording("shankari_2016-06-20").tables, "imported")
        device.upload()
        approval = algorithms.approve(device, failing, *TWO_DAYS)
        with pytest.raises(WaykeepError) as caught, unchanged(owner):
            device.run(approval.algorithm, {}, *TWO_DAYS)
        assert caught.value.rule == "run-failed"
        assert "ZeroDivisionError in slow.py, line 3" in caught.value.message


def test_two_owners_hold_their_own_data_and_processes(owners: Owners) -> None:
    one, other = owners(), owners()
    with one.account() as a, other.account() as b:
        a.queue({"location": recording("shankari_2016-06-20").tables["location"]}, "imported")
        b.queue({"location": recording("iphone_3_2016-02-22").tables["location"]}, "imported")
        with unchanged(other):
            a.upload()
        with unchanged(one):
            b.upload()
        assert a.rows("location", *ALWAYS).num_rows != b.rows("location", *ALWAYS).num_rows
        assert a.host.cloud().port != b.host.cloud().port
