"""Room for so many services: nobody too many, and whoever asked first is next."""

from __future__ import annotations

import asyncio

import pytest

from tests.unit.supervisor.puppets import patiently, stage
from waykeep.errors import SupervisorError
from waykeep.formats.frames import LaunchAlgorithm
from waykeep.formats.ids import sha256
from waykeep.supervisor.room import Room


def test_whoever_asked_first_is_next_and_nobody_is_too_many() -> None:
    running, order, most = [0], list[int](), 2

    async def one(number: int, room: Room) -> None:
        await room.take(most, 10)
        order.append(number)
        running[0] += 1
        room.started()
        assert running[0] <= most
        await asyncio.sleep(0)
        running[0] -= 1
        room.ended()

    async def all_of_them() -> None:
        room = Room(lambda: running[0])
        await asyncio.gather(*(one(number, room) for number in range(50)))

    asyncio.run(all_of_them())
    assert order == list(range(50))


def test_who_waits_too_long_is_told_so_and_the_next_one_is_served() -> None:
    async def work() -> None:
        running = [1]
        room = Room(lambda: running[0])
        with pytest.raises(TimeoutError):
            await room.take(1, 0.01)
        waiting = asyncio.create_task(room.take(1, 10))
        await asyncio.sleep(0.01)
        running[0] = 0
        room.ended()
        await waiting

    asyncio.run(work())


def test_too_many_services_are_refused_by_name() -> None:
    async def work() -> None:
        async with stage() as found:
            await found.algorithm()
            bundle = b"another"
            with pytest.raises(SupervisorError) as caught:
                await found.node.algorithm(LaunchAlgorithm(sha256(bundle), bundle, 1, 0.05))
            assert caught.value.rule == "algorithms-busy"

    patiently(work())
