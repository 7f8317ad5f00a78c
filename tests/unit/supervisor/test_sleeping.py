"""A user cloud that said it sleeps is not named any more, is gone in time, and leaves nothing in the supervisor."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.unit.supervisor.puppets import ANNA, BERT, patiently, stage
from waykeep.errors import SupervisorError
from waykeep.formats.frames import Launched, Ready, Sleeping
from waykeep.formats.wire import encode_frame
from waykeep.supervisor import processes


def descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))


def test_its_assignment_says_node_and_idle_time() -> None:
    async def work() -> None:
        async with stage(idle_s=1.5) as found:
            _, puppet = await found.launch()
            assert (puppet.said["owner"], puppet.said["idle_s"]) == (ANNA, 1.5)
            assert puppet.said["node"] == found.key.recipient == found.answers.node

    patiently(work())


def test_a_request_waits_for_the_sleeping_one_and_starts_another() -> None:
    async def work() -> None:
        async with stage() as found:
            before, puppet = await found.launch()
            await puppet.tell("sleep")
            asked = found.ask()
            await asyncio.wait([asked], timeout=0.05)
            assert not asked.done() and found.arrived.empty()
            await puppet.tell("end")
            successor = await found.arrived.get()
            assert not puppet.alive
            await successor.tell("ready")
            after = await asked
            assert after.started and after.port != before.port
            assert await found.ask() == Launched(after.host, after.port, False)

    patiently(work())


def test_requests_at_once_start_one_successor() -> None:
    async def work() -> None:
        async with stage() as found:
            _, puppet = await found.launch()
            await puppet.tell("sleep")
            asked = [found.ask() for _ in range(8)]
            await puppet.tell("end")
            await (await found.arrived.get()).tell("ready")
            answers = await asyncio.gather(*asked)
            assert len({answer.port for answer in answers}) == 1
            assert sum(answer.started for answer in answers) == 1
            assert found.arrived.empty()

    patiently(work())


def test_sleep_and_requests_racing_give_one_process_at_a_time() -> None:
    """Requests come before, while and after the process says that it sleeps."""

    async def work() -> None:
        async with stage() as found:
            _, puppet = await found.launch()
            for turn in range(25):
                early = [found.ask() for _ in range(turn % 3)]
                telling = asyncio.create_task(puppet.tell("sleep"))
                for _ in range(turn % 5):
                    await asyncio.sleep(0)
                racing = [found.ask() for _ in range(2)]
                await telling
                late = found.ask()
                port = 1024 + puppet.pid % 60_000
                await puppet.tell("end")
                successor = await found.arrived.get()
                assert not puppet.alive
                await successor.tell("ready")
                answers = await asyncio.gather(*early, *racing, late)
                assert {answer.port for answer in answers} <= {port, 1024 + successor.pid % 60_000}
                assert (await late).port != port
                assert sum(answer.started for answer in answers) == 1
                puppet = successor
            assert found.arrived.empty()

    patiently(work())


def test_another_owner_does_not_wait() -> None:
    async def work() -> None:
        async with stage() as found:
            _, puppet = await found.launch()
            await puppet.tell("sleep")
            asked = found.ask()
            launched, _ = await found.launch(BERT)
            assert launched.started and not asked.done()
            await puppet.tell("end")
            await (await found.arrived.get()).tell("ready")
            assert (await asked).started

    patiently(work())


@pytest.mark.parametrize("asking", [False, True])
def test_one_that_does_not_end_is_killed(asking: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "SLEEP_S", 0.05)

    async def work() -> None:
        async with stage() as found:
            _, puppet = await found.launch()
            await puppet.tell("sleep")
            asked = found.ask() if asking else None
            await puppet.gone()
            if asked:
                await (await found.arrived.get()).tell("ready")
                assert (await asked).started
            else:
                await found.settled()

    patiently(work())


def test_one_that_sleeps_before_it_was_named_is_not_named() -> None:
    async def work() -> None:
        async with stage() as found:
            asked = found.ask()
            puppet = await found.arrived.get()
            both = encode_frame(Ready(1)) + encode_frame(Sleeping())
            await puppet.tell("send", data=both.hex())
            with pytest.raises(SupervisorError) as caught:
                await asked
            assert (caught.value.rule, caught.value.status) == ("start-failed", 503)
            await puppet.tell("end")
            launched, _ = await found.launch()
            assert launched.started

    patiently(work())


def test_saying_it_twice_changes_nothing() -> None:
    async def work() -> None:
        async with stage() as found:
            _, puppet = await found.launch()
            tasks = len(found.node._processes._tasks)
            for _ in range(3):
                await puppet.tell("sleep")
            assert len(found.node._processes._tasks) == tasks + 1
            await puppet.tell("end")
            await found.settled()

    patiently(work())


def test_what_sleeps_costs_the_supervisor_nothing() -> None:
    async def work() -> None:
        async with stage() as found:
            before = 0
            for turn in range(20):
                _, puppet = await found.launch((ANNA, BERT)[turn % 2])
                await puppet.tell("sleep")
                await puppet.tell("end")
                await found.settled()
                puppet.close()
                found.puppets.remove(puppet)
                await asyncio.sleep(0)
                before = before or descriptors()
            assert found.node.owners() == ()
            assert descriptors() <= before

    patiently(work())


def test_an_owner_without_a_folder_leaves_no_lock(tmp_path: Path) -> None:
    async def work() -> None:
        async with stage() as found:
            with pytest.raises(SupervisorError) as caught:
                await found.node.cloud("c" * 52, str(tmp_path))
            assert (caught.value.rule, caught.value.status) == ("owner-unknown", 404)
            del caught
            await found.settled()

    patiently(work())
