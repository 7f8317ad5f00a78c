"""Group commit: requests that arrive while a commit is under way are applied together in the next transaction.

Nobody is answered before the commit that has their request is durable, and nobody of a batch whose commit failed gets
an answer but ``witness-store`` (503). Applying is work of the event loop, as it only touches memory; the commit waits
for the disk in a thread of its own, and the loop goes on meanwhile with what arrives. It never waits for the database
either: where another process holds it (an operator's `admit`), the batch begins a little later.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from waykeep.authority.witnessing import Held
from waykeep.errors import WitnessError
from waykeep.witness.register import SqliteRegister, store_failed

AGAIN_S = 0.005
"""After which a batch is tried again that found the database held, in seconds."""
Outcome = Held | WitnessError
Done = Callable[[Outcome], None]


@dataclass(frozen=True, slots=True)
class _Item:
    work: Callable[[], Held]
    done: Done
    writing: bool


class GroupCommit:
    """Requests into a register, in the order of their arrival.

    Args:
        failed: Called with the kind of each failure of the store.
        busy_s: How long another process may hold the database, in seconds.
    """

    def __init__(
        self,
        register: SqliteRegister,
        loop: asyncio.AbstractEventLoop,
        failed: Callable[[str], None],
        *,
        busy_s: float = 5.0,
    ) -> None:
        self._register, self._loop, self._failed, self._busy_s = register, loop, failed, busy_s
        register.never_wait()
        self._waiting: list[_Item] = []
        self._busy, self._idle = False, asyncio.Event()
        self._thread = ThreadPoolExecutor(1, "commit")

    def submit(self, work: Callable[[], Held], done: Done, *, writing: bool = True) -> None:
        """Have ``work`` done with the register, within a transaction; ``done`` is called with what came of it.

        Args:
            work: Raises WitnessError where it refuses, and then has changed nothing.
        """
        self._waiting.append(_Item(work, done, writing))
        if not self._busy:
            self._busy = True
            self._idle.clear()
            self._loop.call_soon(self._next, [])  # so that all that has arrived by now goes together

    async def close(self) -> None:
        """Waits for what was submitted. Nothing may be submitted any more."""
        if self._busy:
            await self._idle.wait()
        self._thread.shutdown()

    def _next(self, held_up: list[_Item], since: float | None = None) -> None:
        """Args: held_up: Items that found the database held ``since`` that time of the loop."""
        items, self._waiting = held_up + self._waiting, []
        if not items:
            self._busy = False
            self._idle.set()
            return
        register = self._register
        try:
            register.begin(writing=any(item.writing for item in items))
            outcomes = [self._apply(item) for item in items]
            changed = register.changed
            if not changed:
                register.commit()
        except Exception as error:  # noqa: BLE001 - whatever it is: the transaction ends, and nobody is told a success
            now = self._loop.time()
            since = now if since is None else since
            if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY and now - since < self._busy_s:
                self._loop.call_later(AGAIN_S, self._next, items, since)
            else:
                self._fail(items, error)
            return
        if changed:
            commit = self._loop.run_in_executor(self._thread, register.commit)
            commit.add_done_callback(lambda ended: self._committed(items, outcomes, ended))
        else:
            self._answer(items, outcomes)

    @staticmethod
    def _apply(item: _Item) -> Outcome:
        try:
            return item.work()
        except WitnessError as refusal:
            return refusal

    def _committed(self, items: list[_Item], outcomes: list[Outcome], ended: asyncio.Future[None]) -> None:
        error = ended.exception()
        if error is None:
            self._answer(items, outcomes)
        else:
            self._fail(items, error)

    def _fail(self, items: list[_Item], error: BaseException) -> None:
        kind = getattr(error, "sqlite_errorname", type(error).__name__)
        try:
            self._register.rollback()
        except sqlite3.Error:
            kind += ", and no way back"  # then `begin` fails as well, and nothing is taken until a restart
        self._failed(kind)
        self._answer(items, [store_failed(kind)] * len(items))

    def _answer(self, items: list[_Item], outcomes: list[Outcome]) -> None:
        self._next([])  # its commit goes on while these are signed
        for item, outcome in zip(items, outcomes, strict=True):
            item.done(outcome)
