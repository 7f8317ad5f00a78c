"""A user cloud's process takes the assignment of a user cloud and no other."""

from __future__ import annotations

import socket

import pytest

from tests.unit.supervisor.forked import forked
from waykeep.errors import WaykeepError
from waykeep.formats.frames import AssignAlgorithm, Event
from waykeep.formats.ids import sha256
from waykeep.formats.wire import decode_frame, encode_frame
from waykeep.usercloud import process


@pytest.mark.parametrize(
    ("sent", "rule"),
    [
        (encode_frame(AssignAlgorithm(sha256(b""), b"", "127.0.0.1")), "assignment-mismatch"),
        (encode_frame(Event("ready")), "malformed"),
        (b"\xff\xff\xff\xff", "too-large"),
    ],
    ids=["an algorithm's", "no assignment", "a frame of 4 GiB"],
)
def test_a_process_that_is_told_something_else_ends(sent: bytes, rule: str) -> None:
    ours, theirs = socket.socketpair()

    def work(_: int) -> str:
        try:
            process.main(theirs.fileno())
        except WaykeepError as error:
            return error.rule
        return "served"

    with ours, theirs:
        ours.sendall(sent)
        assert forked(work) == rule
        # The rule alone reaches the supervisor's log.
        assert decode_frame(ours.recv(1000)[4:], Event) == Event(rule)
