"""Anybody may ask for evidence and so for a session: that pushes out none that a device uses."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tests.support.people import refused
from waykeep.channel.sessions import MAX_SESSIONS, WINDOW, Sessions
from waykeep.errors import ChannelError


def test_asking_for_sessions_pushes_out_none_that_is_used() -> None:
    found = Sessions()
    used = found.open(b"u" * 16)
    found.take(f"{used}.1")
    for n in range(2 * MAX_SESSIONS):
        found.open(n.to_bytes(16, "big"))
    with refused("request-replayed", "channel"):
        found.take(f"{used}.1")
    found.take(f"{used}.2")


def test_a_session_that_was_pushed_out_does_not_come_back_fresh() -> None:
    found = Sessions()
    first = found.open(b"a" * 16)
    found.take(f"{first}.1")
    for n in range(MAX_SESSIONS):
        found.take(f"{found.open(n.to_bytes(16, 'big'))}.1")
    for counter in (1, 2):
        with refused("session-unknown", "channel"):
            found.take(f"{first}.{counter}")


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(1, 3 * WINDOW)), max_size=80))
def test_sessions_do_not_know_each_other(asked: list[tuple[int, int]]) -> None:
    found, taken = Sessions(), [set[int]() for _ in range(4)]
    names = [found.open(bytes([n]) * 16) for n in range(4)]
    for n, counter in asked:
        new = counter not in taken[n] and counter > max(taken[n], default=0) - WINDOW
        try:
            found.take(f"{names[n]}.{counter}")
        except ChannelError:
            assert not new
        else:
            assert new
            taken[n].add(counter)
