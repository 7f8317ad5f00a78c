"""`kill -9` in the midst of uploads and runs: what was acknowledged is there, once, and a retry works."""

from __future__ import annotations

import os
import random
import signal
import threading
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

import pytest

from tests.support import algorithms, node
from tests.support.people import SOME_DAY_MS, Person, points
from tests.support.processes import Process
from tests.support.stages import ROOT, Watched, kill
from tests.support.waiting import until
from waykeep.algorithm.front import IDLE_S
from waykeep.authority.records import RunDone
from waykeep.device import audit
from waykeep.device.account import Account
from waykeep.errors import WaykeepError
from waykeep.formats import streams

pytestmark = [pytest.mark.root, pytest.mark.skipif(not ROOT, reason="finds processes by their uids")]

ALWAYS = (streams.MIN_TS_MS, streams.MAX_TS_MS)
KILLS = 10
T = TypeVar("T")


def killed_after(seconds: float, process: Process, work: Callable[[], T]) -> T | None:
    """What ``work`` returns while a timer kills ``process``; None when it was refused for that."""
    timer = threading.Timer(seconds, os.kill, (process.pid, signal.SIGKILL))
    timer.start()
    try:
        return work()
    except WaykeepError as error:
        assert error.rule in ("unreachable", "host-unreachable"), error
        return None
    finally:
        timer.join()
        until(lambda: not process.alive, "the killed process is gone")


def times(device: Account) -> list[int]:
    found: list[int] = device.rows("location", *ALWAYS).column("ts_ms").to_pylist()
    return found


def test_a_user_cloud_killed_during_uploads_loses_and_doubles_nothing(stage: Watched, owner: Person) -> None:
    rng, acknowledged, sent = random.Random(1), set[int](), set[int]()
    outcomes = Counter[str]()
    with owner.account() as device:
        for turn in range(KILLS):
            device.status()
            first = SOME_DAY_MS + turn * 1_000_000
            for part in range(3):
                device.queue({"location": points(first + part * 100_000, 20)}, "imported")
                sent |= {first + part * 100_000 + 1000 * n for n in range(20)}
            before = set(device.outbox.names())
            answer = killed_after(rng.uniform(0, 0.15), stage.cloud(owner.owner), device.upload)
            stage.forgets(owner.owner)
            device.disconnect()
            outcomes["answered" if answer else "cut"] += 1
            if answer is not None:
                assert set(answer.outcome) == before
                acknowledged = set(sent)
                assert device.outbox.names() == []
            # What was acknowledged is there before anything is tried again.
            assert acknowledged <= set(times(device))
            device.upload()
            assert device.outbox.names() == []
            assert sorted(times(device)) == sorted(sent)
            acknowledged = set(sent)
        assert device.status().streams[0].rows == len(sent)
        lines = audit.read(device)
    # Every segment in the store is one that the journal names, and the other way round.
    assert {path.name for path in owner.path("segments", "").iterdir()} == set(owner.journal().segments)
    assert sum("new rows were accepted" in line.words for line in lines) >= KILLS
    assert outcomes["cut"] > 0, outcomes


def test_a_user_cloud_killed_during_runs_loses_and_doubles_nothing(stage: Watched, owner: Person) -> None:
    rng, acknowledged, outcomes = random.Random(2), set[bytes](), Counter[str]()
    counting, window = algorithms.slow(), (SOME_DAY_MS, SOME_DAY_MS + 100_000)
    with owner.account() as device:
        device.queue({"location": points(SOME_DAY_MS, 30)}, "imported")
        device.upload()
        algorithms.approve(device, counting, *window, store="counts")
        for _ in range(KILLS):
            device.status()
            run = lambda: device.run(counting[0].digest, {}, *window)  # noqa: E731 - tried twice
            result = killed_after(rng.uniform(0, 0.3), stage.cloud(owner.owner), run)
            stage.forgets(owner.owner)
            device.disconnect()
            outcomes["answered" if result else "cut"] += 1
            again = run()
            assert again.rows == [{"rows": 30}]
            acknowledged |= {found.receipt for found in (result, again) if found is not None}
        assert device.rows("derived/counts", *ALWAYS).to_pylist() == [{"rows": 30}]
        audit.read(device)
        # A restarted user cloud sweeps away what one before it put and never recorded.
        kill(stage.cloud(owner.owner))
        stage.forgets(owner.owner)
        device.disconnect()
        device.status()
    receipts = [detail.receipt.encode() for detail in owner.details() if isinstance(detail, RunDone)]
    assert acknowledged <= set(receipts) and len(receipts) == len(set(receipts))
    assert {path.name for path in owner.path("segments", "").iterdir()} == set(owner.journal().segments)
    assert outcomes["cut"] > 0, outcomes


def test_a_host_killed_during_uploads_loses_and_doubles_nothing(stage: Watched, owner: Person) -> None:
    rng, sent = random.Random(3), set[int]()
    with owner.account() as device:
        for turn in range(4):
            device.status()
            first = SOME_DAY_MS + turn * 1_000_000
            for part in range(6):
                device.queue({"location": points(first + part * 100_000, 5)}, "imported")
                sent |= {first + part * 100_000 + 1000 * n for n in range(5)}
            port = int(stage.host_url.rpartition(":")[2])
            timer = threading.Timer(rng.uniform(0, 0.1), stage.kill_host)
            timer.start()
            try:
                device.upload()
            except WaykeepError as error:
                assert error.rule == "host-unreachable", error
            timer.join()
            stage.start_host(port)
            device.upload()
            assert device.outbox.names() == []
            assert sorted(times(device)) == sorted(sent)
    assert {path.name for path in owner.path("segments", "").iterdir()} == set(owner.journal().segments)


@pytest.mark.parametrize(("victim", "rule"), [("front", "unreachable"), ("child", "run-died")])
def test_an_algorithm_process_killed_during_a_run(victim: str, rule: str, stage: Watched, owner: Person) -> None:
    counting, window = algorithms.slow(), (SOME_DAY_MS, SOME_DAY_MS + 100_000)
    with owner.account() as device:
        device.queue({"location": points(SOME_DAY_MS, 30)}, "imported")
        device.upload()
        algorithms.approve(device, counting, *window, store="counts")
        before, head, others = owner.listing(), owner.heads(), stage.services()
        refusals: list[WaykeepError] = []

        def run() -> None:
            try:
                device.run(counting[0].digest, {"rounds": algorithms.FOR_EVER}, *window)
            except WaykeepError as error:
                refusals.append(error)

        running = threading.Thread(target=run)
        running.start()
        child = until(
            lambda: [p for p in stage.services() - others if p.is_child and p.busy], "the run is under way"
        ).pop()
        (front,) = stage.services() - others - {child}
        assert front.is_front and child.is_child
        kill(front if victim == "front" else child)
        running.join(20)
        assert [error.rule for error in refusals] == [rule]
        until(lambda: not stage.services() - others, "the other of the two is gone as well", 5)
        assert (owner.listing(), owner.heads()) == (before, head)
        assert device.run(counting[0].digest, {}, *window).rows == [{"rows": 30}]


def test_a_supervisor_killed_during_a_run_takes_the_author_s_code_along(stage: Watched, owner: Person) -> None:
    counting, window = algorithms.slow(), (SOME_DAY_MS, SOME_DAY_MS + 100_000)
    with owner.account() as device:
        device.queue({"location": points(SOME_DAY_MS, 30)}, "imported")
        device.upload()
        algorithms.approve(device, counting, *window)

        def run() -> None:
            with pytest.raises(WaykeepError, match="unreachable"):
                device.run(counting[0].digest, {"rounds": algorithms.FOR_EVER}, *window)

        running = threading.Thread(target=run)
        running.start()
        until(lambda: any(p.is_child and p.busy for p in stage.services()), "the run is under way")
        stage.kill_supervisor()
        until(lambda: not stage.supervised(), "all that it forked is gone", 2)
        running.join(20)
        assert not running.is_alive()
        stage.start_supervisor()
        device.disconnect()
        assert device.status().runs == 0
        assert device.run(counting[0].digest, {}, *window).rows == [{"rows": 30}]


@pytest.mark.soak
def test_a_service_whose_user_cloud_never_comes_ends_by_itself(stage: Watched) -> None:
    """As one does whose user cloud was killed between having it started and connecting to it."""
    found, archive = algorithms.slow()
    node.launch_algorithm(stage.socket, found.digest, archive)
    assert len(stage.services()) == 2
    until(lambda: not stage.services(), "both of its processes are gone", IDLE_S + 10)
