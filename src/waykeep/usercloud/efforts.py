"""Work in a thread of its own that can be stopped: at its deadline, or when what allowed it is taken back."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
WATCH_S = 0.5
"""How often it is asked whether the work may go on."""


class Effort(Generic[T]):
    """One piece of work.

    Args:
        work: Gets this effort, so that it can say what stops it; it returns or raises.
    """

    def __init__(self, work: Callable[[Effort[T]], T]) -> None:
        self._work, self._ended, self._lock = work, threading.Event(), threading.Lock()
        self._stops: list[Callable[[], None]] = []
        self._stopped = self._cut = False
        self._found: T | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="effort", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._found = self._work(self)
        except BaseException as error:  # noqa: BLE001 - it is raised in the thread that asks for the result
            self._error = error
        self._ended.set()

    def stopped_by(self, stop: Callable[[], None]) -> None:
        """What ends the work from another thread; called at once where it was stopped before."""
        with self._lock:
            self._stops.append(stop)
            stopped = self._stopped
        if stopped:
            stop()

    def stop(self) -> None:
        with self._lock:
            self._cut = self._cut or not self._ended.is_set()
            self._stopped, stops = True, list(self._stops)
        for stop in stops:
            stop()

    def watch(self, may_go_on: Callable[[], None], *, until: float | None = None) -> None:
        """Wait until the work ended, or until a time of the monotonic clock, also if it ends before. Then stop it.

        Args:
            may_go_on: Raises where the work may not go on; that is raised here, and the work stopped.
        """
        try:
            while (left := self._left(until)) > 0:
                self._wait(min(left, WATCH_S))
                if self._left(until) > 0:
                    may_go_on()
        finally:
            self.stop()

    def wait(self, until: float) -> None:
        """Wait until the work ended, or until a time of the monotonic clock; then stop it."""
        try:
            self._ended.wait(max(0.0, until - time.monotonic()))
        finally:
            self.stop()

    def _left(self, until: float | None) -> float:
        if until is not None:
            return until - time.monotonic()
        return 0.0 if self._ended.is_set() else WATCH_S

    def _wait(self, seconds: float) -> None:
        if self._ended.is_set():
            time.sleep(seconds)
        else:
            self._ended.wait(seconds)

    def result(self) -> T | None:
        """What the work returned; None if it did not end before it was stopped. Raises what it raised."""
        if self._cut or not self._ended.is_set():
            return None
        self._thread.join()
        if self._error is not None:
            raise self._error
        return self._found
