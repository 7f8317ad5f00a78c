"""Rings: passed on to the one process of an owner, and answered by it."""

from __future__ import annotations

import asyncio

from tests.unit.builders import refused
from tests.unit.supervisor.puppets import ANNA, patiently, stage
from waykeep.errors import SupervisorError
from waykeep.formats.ids import sha256
from waykeep.formats.messages import Address, Ring

RING = Ring(sha256(b"study"), 0, Address("127.0.0.1", 1))


def test_a_user_cloud_that_ends_before_it_answers_loses_the_ring() -> None:
    async def work() -> None:
        async with stage() as found:
            _, puppet = await found.launch()
            rung = asyncio.create_task(found.node.ring(ANNA, found.path, RING))
            await asyncio.sleep(0.05)
            with refused("ring-under-way", SupervisorError):
                await found.node.ring(ANNA, found.path, RING)
            await puppet.tell("end")
            with refused("ring-lost", SupervisorError):
                await rung
            # The next one starts another.
            again = asyncio.create_task(found.node.ring(ANNA, found.path, RING))
            other = await found.arrived.get()
            await other.tell("ready")
            await other.tell("end")
            with refused("ring-lost", SupervisorError):
                await again

    patiently(work())
