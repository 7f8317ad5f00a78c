"""Each counter of a session is taken once, in whatever order, within a window."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import refused
from waykeep.channel.sessions import MAX_SESSIONS, SESSION_BYTES, WINDOW, Sessions
from waykeep.errors import ChannelError
from waykeep.formats.ids import b64


def taken(sessions: Sessions, nonce: str) -> bool:
    try:
        sessions.take(nonce)
    except ChannelError as error:
        assert error.rule == "request-replayed"
        return False
    return True


COUNTERS = st.one_of(st.integers(1, 3 * WINDOW), st.integers(1, 10**15 - 1))


@given(st.lists(COUNTERS, max_size=60))
def test_the_window_equals_a_set_of_all_that_was_taken(counters: list[int]) -> None:
    sessions, model = Sessions(), set[int]()
    session = sessions.open(bytes(SESSION_BYTES))
    for counter in counters:
        fresh = counter not in model and counter > max(model, default=0) - WINDOW
        assert taken(sessions, f"{session}.{counter}") == fresh
        if fresh:
            model.add(counter)


@given(st.permutations(range(1, WINDOW + 1)))
def test_a_window_of_requests_in_any_order_is_taken_once(counters: list[int]) -> None:
    sessions = Sessions()
    session = sessions.open(bytes(SESSION_BYTES))
    assert all(taken(sessions, f"{session}.{counter}") for counter in counters)
    assert not any(taken(sessions, f"{session}.{counter}") for counter in counters)


def test_request_replayed_behind_the_window() -> None:
    sessions = Sessions()
    session = sessions.open(bytes(SESSION_BYTES))
    sessions.take(f"{session}.{WINDOW + 1}")
    with refused("request-replayed", ChannelError):
        sessions.take(f"{session}.1")
    sessions.take(f"{session}.2")


def test_a_refused_request_changes_nothing() -> None:
    sessions = Sessions()
    session = sessions.open(bytes(SESSION_BYTES))
    sessions.take(f"{session}.5")
    for nonce in (f"{session}.5", f"{session}.0", "x", f"{'x' * 22}.9"):
        with pytest.raises(ChannelError):
            sessions.take(nonce)
    assert taken(sessions, f"{session}.4")
    assert taken(sessions, f"{session}.6")


def test_sessions_do_not_share_counters() -> None:
    sessions = Sessions()
    one, other = sessions.open(b"1" * SESSION_BYTES), sessions.open(b"2" * SESSION_BYTES)
    assert taken(sessions, f"{one}.1")
    assert taken(sessions, f"{other}.1")
    assert not taken(sessions, f"{one}.1")


def test_a_session_is_named_by_its_random_bytes() -> None:
    assert Sessions().open(b"s" * SESSION_BYTES) == b64(b"s" * SESSION_BYTES)


def test_session_unknown_once_newer_ones_pushed_it_out() -> None:
    sessions, numbers = Sessions(), itertools.count()
    first = sessions.open(next(numbers).to_bytes(SESSION_BYTES))
    for _ in range(MAX_SESSIONS):
        sessions.open(next(numbers).to_bytes(SESSION_BYTES))
    with refused("session-unknown", ChannelError):
        sessions.take(f"{first}.1")


def test_session_unknown_once_newer_ones_in_use_pushed_it_out() -> None:
    sessions = Sessions()
    opened = [sessions.open(n.to_bytes(SESSION_BYTES)) for n in range(2)]
    for session in opened:
        sessions.take(f"{session}.1")
    sessions.take(f"{opened[0]}.2")  # used last, so the other goes first
    for n in range(2, MAX_SESSIONS + 1):
        sessions.take(f"{sessions.open(n.to_bytes(SESSION_BYTES))}.1")
    with refused("session-unknown", ChannelError):
        sessions.take(f"{opened[1]}.2")
    sessions.take(f"{opened[0]}.3")


def test_memory_is_bounded() -> None:
    sessions = Sessions()
    for n in range(3 * MAX_SESSIONS):
        session = sessions.open(n.to_bytes(SESSION_BYTES))
        if n % 2:
            sessions.take(f"{session}.{10**15 - 1}")
    assert len(sessions._seen) <= MAX_SESSIONS
    assert len(sessions._fresh) <= MAX_SESSIONS


@given(st.text(max_size=60))
def test_nonce_malformed_for_any_other_text(nonce: str) -> None:
    with pytest.raises(ChannelError) as caught:
        Sessions().take(nonce)
    assert caught.value.rule in ("nonce-malformed", "session-unknown")
    assert caught.value.status == 401


@pytest.mark.parametrize("counter", ["0", "01", "-1", "1.0", "1e3", "", " 1", "1\n", "1" * 16, "\u0661"])
def test_nonce_malformed_in_its_counter(counter: str) -> None:
    sessions = Sessions()
    session = sessions.open(bytes(SESSION_BYTES))
    with refused("nonce-malformed", ChannelError):
        sessions.take(f"{session}.{counter}")
