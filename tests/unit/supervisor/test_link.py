"""A forked process's way to its supervisor, over a real socket pair."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.unit.builders import refused
from waykeep.authority.sealing import MAX_SEALED, Sealed
from waykeep.errors import AuthorityError, SupervisorError, WaykeepError
from waykeep.formats.frames import (
    AssignCloud,
    Event,
    EvidenceReply,
    EvidenceRequest,
    FromChild,
    OpenSealed,
    Ready,
    Refused,
    Sleeping,
    Unsealed,
)
from waykeep.formats.ids import OwnerId
from waykeep.formats.wire import MAX_FRAME, decode_frame, encode_frame
from waykeep.supervisor.link import Link

ASSIGNED = AssignCloud(OwnerId("a" * 52), "/store", "http://127.0.0.1:1", "127.0.0.1", "age1...", 600.0, 5.0)


@pytest.fixture
def ends() -> Iterator[tuple[Link, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.settimeout(5)
    link = Link(theirs.detach())
    yield link, ours
    ours.close()
    link._socket.close()


def exactly(end: socket.socket, count: int) -> bytes:
    found = b""
    while len(found) < count:
        part = end.recv(count - len(found))
        assert part, "the other end closed"
        found += part
    return found


def heard(end: socket.socket) -> object:
    length = int.from_bytes(exactly(end, 4), "big")
    return decode_frame(exactly(end, length), FromChild)


def test_an_assignment_comes_first(ends: tuple[Link, socket.socket]) -> None:
    link, supervisor = ends
    supervisor.sendall(encode_frame(ASSIGNED))
    assert link.assignment(AssignCloud) == ASSIGNED


def test_an_assignment_in_pieces(ends: tuple[Link, socket.socket]) -> None:
    link, supervisor = ends

    def slowly() -> None:
        for byte in encode_frame(ASSIGNED):
            supervisor.sendall(bytes([byte]))

    thread = threading.Thread(target=slowly)
    thread.start()
    assert link.assignment(AssignCloud) == ASSIGNED
    thread.join()


def test_port_and_events_are_told(ends: tuple[Link, socket.socket]) -> None:
    link, supervisor = ends
    link.ready(1234)
    link.event("journal-taken")
    assert [heard(supervisor), heard(supervisor)] == [Ready(1234), Event("journal-taken")]


def test_each_asker_gets_the_evidence_for_its_own_claims(ends: tuple[Link, socket.socket]) -> None:
    link, supervisor = ends
    got: dict[bytes, bytes] = {}

    def ask(claims: bytes) -> None:
        got[claims] = link.evidence(claims, ("seccomp",))

    threads = [threading.Thread(target=ask, args=(b"%d" % n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for _ in threads:
        asked = heard(supervisor)
        assert isinstance(asked, EvidenceRequest)
        assert asked.sandbox == ("seccomp",)
        supervisor.sendall(encode_frame(EvidenceReply(b"evidence " + asked.claims)))
    for thread in threads:
        thread.join()
    assert got == {b"%d" % n: b"evidence %d" % n for n in range(8)}


def test_a_sealed_state_is_asked_for_and_given(ends: tuple[Link, socket.socket]) -> None:
    link, supervisor = ends
    supervisor.sendall(encode_frame(Unsealed(b"header", b"payload")))
    assert link.unseal(b"data") == Sealed(b"header", b"payload")
    assert heard(supervisor) == OpenSealed(b"data")
    link.sleeping()
    assert heard(supervisor) == Sleeping()


def test_the_supervisors_refusal_of_a_sealed_state_is_passed_on(ends: tuple[Link, socket.socket]) -> None:
    link, supervisor = ends
    supervisor.sendall(encode_frame(Refused("authority", "sealed-node", "found it", "do this", 409)))
    with pytest.raises(AuthorityError) as caught:
        link.unseal(b"data")
    error = caught.value
    assert (error.rule, error.message, error.hint, error.status) == ("sealed-node", "found it", "do this", 409)


def test_a_sealed_state_over_its_bound_is_not_even_asked_for(ends: tuple[Link, socket.socket]) -> None:
    link, supervisor = ends
    with refused("sealed-malformed", AuthorityError):
        link.unseal(bytes(MAX_SEALED + 1))
    supervisor.setblocking(False)
    with pytest.raises(BlockingIOError):
        supervisor.recv(1)


def test_a_frame_of_many_writes_is_not_cut_by_another(ends: tuple[Link, socket.socket]) -> None:
    link, supervisor = ends
    asking = threading.Thread(target=lambda: link.unseal(bytes(MAX_SEALED)))
    asking.start()
    first = exactly(supervisor, 1)  # from here the large frame is under way, and waits for room
    telling = [threading.Thread(target=link.sleeping) for _ in range(8)]
    for thread in telling:
        thread.start()
    telling[0].join(0.05)  # without a lock these would write as soon as there is room
    body = exactly(supervisor, int.from_bytes(first + exactly(supervisor, 3), "big"))
    assert decode_frame(body, OpenSealed) == OpenSealed(bytes(MAX_SEALED))
    assert [heard(supervisor) for _ in telling] == [Sleeping()] * 8
    supervisor.sendall(encode_frame(Unsealed(b"", b"")))
    for thread in (asking, *telling):
        thread.join()


def test_a_supervisor_that_is_gone(ends: tuple[Link, socket.socket]) -> None:
    link, supervisor = ends
    supervisor.close()
    for tried in (
        lambda: link.assignment(AssignCloud),
        lambda: link.evidence(b"", ()),
        lambda: link.unseal(b""),
        link.sleeping,
        lambda: link.ready(1),
        lambda: link.event("a"),
    ):
        with pytest.raises(SupervisorError) as caught:
            tried()
        assert (caught.value.rule, caught.value.status) == ("supervisor-gone", 503)


@pytest.mark.parametrize("cut", [0, 3, 4, 10])
def test_a_supervisor_that_goes_amid_a_frame(ends: tuple[Link, socket.socket], cut: int) -> None:
    link, supervisor = ends
    supervisor.sendall(encode_frame(ASSIGNED)[:cut])
    supervisor.close()
    with refused("supervisor-gone", SupervisorError):
        link.assignment(AssignCloud)


@pytest.mark.parametrize(
    ("frame", "rule"),
    [
        ((MAX_FRAME + 1).to_bytes(4, "big"), "too-large"),
        (b"\xff\xff\xff\xff", "too-large"),
        (encode_frame({"type": "assign-cloud"}), "malformed"),
        (encode_frame(Ready(1)), "malformed"),
        (b"\0\0\0\x01\xc1", "malformed"),
    ],
    ids=["a byte over", "4 GiB", "fields missing", "another message", "no MessagePack"],
)
def test_a_frame_that_is_none(ends: tuple[Link, socket.socket], frame: bytes, rule: str) -> None:
    link, supervisor = ends
    supervisor.sendall(frame)
    with pytest.raises(WaykeepError) as caught:
        link.assignment(AssignCloud)
    assert caught.value.rule == rule
