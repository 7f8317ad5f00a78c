"""Work that ends at its deadline, or when what allowed it is taken back."""

from __future__ import annotations

import threading
import time

import pytest

from waykeep.errors import AuthorityError
from waykeep.usercloud import efforts
from waykeep.usercloud.efforts import Effort


@pytest.fixture(autouse=True)
def _often(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(efforts, "WATCH_S", 0.01)


def test_what_the_work_returns_or_raises_is_told() -> None:
    done = Effort[int](lambda effort: 7)
    done.watch(lambda: None)
    assert done.result() == 7

    def fails(effort: Effort[int]) -> int:
        raise AuthorityError("no", "no")

    failed = Effort[int](fails)
    failed.watch(lambda: None)
    with pytest.raises(AuthorityError, match="no"):
        failed.result()


def test_it_is_waited_for_until_the_deadline_even_if_it_ends_before() -> None:
    started = time.monotonic()
    done = Effort[int](lambda effort: 7)
    done.watch(lambda: None, until=started + 0.2)
    assert time.monotonic() - started >= 0.2 and done.result() == 7


ENDED = threading.Event()


def _blocked(effort: Effort[str]) -> str:
    ENDED.clear()
    stopped = threading.Event()
    effort.stopped_by(stopped.set)
    assert stopped.wait(10)
    ENDED.set()
    return "stopped"


def test_it_is_stopped_at_its_deadline() -> None:
    started = time.monotonic()
    late = Effort[str](_blocked)
    late.watch(lambda: None, until=started + 0.1)
    assert ENDED.wait(10) and late.result() is None, "whatever it says then"


def test_it_is_stopped_when_what_allowed_it_is_taken_back() -> None:
    asked: list[int] = []

    def may_go_on() -> None:
        asked.append(1)
        if len(asked) == 3:
            raise AuthorityError("grant-withdrawn", "taken back")

    running = Effort[str](_blocked)
    with pytest.raises(AuthorityError, match="taken back"):
        running.watch(may_go_on, until=time.monotonic() + 60)
    assert ENDED.wait(10)


def test_what_stops_it_is_called_at_once_where_it_was_stopped_before() -> None:
    running = Effort[None](lambda effort: None)
    running.stop()
    called: list[int] = []
    running.stopped_by(lambda: called.append(1))
    assert called == [1]
