"""What members send waits its turn, and no more than there is room for."""

from __future__ import annotations

import asyncio
import threading

import pytest

from tests.unit.builders import refused
from waykeep.aggregator.turns import Turns
from waykeep.errors import AggregatorError


def test_work_returns_what_it_returns_and_raises_what_it_raises() -> None:
    async def main() -> None:
        turns = Turns(1, 1)
        assert await turns.take(lambda: 7) == 7
        with pytest.raises(ZeroDivisionError):
            await turns.take(lambda: 1 // 0)
        # Neither holds a place afterwards.
        assert await turns.take(lambda: 8) == 8

    asyncio.run(main())


def test_so_much_is_worked_on_at_a_time_and_what_there_is_no_room_for_is_sent_away() -> None:
    at_once = most = 0
    lock, begun, go_on = threading.Lock(), threading.Semaphore(0), threading.Event()

    def work() -> bool:
        nonlocal at_once, most
        with lock:
            at_once += 1
            most = max(most, at_once)
        begun.release()
        went_on = go_on.wait(30)
        with lock:
            at_once -= 1
        return went_on

    async def main() -> None:
        turns = Turns(2, 5)
        tasks = [asyncio.create_task(turns.take(work)) for _ in range(5)]
        await asyncio.sleep(0)
        with refused("query-busy", AggregatorError):
            await turns.take(work)
        for _ in range(2):
            assert await asyncio.to_thread(begun.acquire, timeout=30)
        go_on.set()
        assert await asyncio.gather(*tasks) == [True] * 5
        assert await turns.take(work)

    asyncio.run(main())
    assert most == 2
