"""An algorithm service serves one computation, to whoever comes first, and then there is none."""

from __future__ import annotations

import threading
import time

import msgspec
import pytest

from tests.support import algorithms, node, processes
from tests.support.people import SOME_DAY_MS, points, refused
from tests.support.stages import Watched
from tests.support.waiting import until
from tests.support.wire import Wire
from waykeep.channel.client import AttestedClient
from waykeep.errors import WaykeepError
from waykeep.formats import table
from waykeep.formats.messages import Address, Compute, Computed

CODE, ARCHIVE = algorithms.slow("once")


def compute(rounds: int = 0) -> bytes:
    rows = table.to_ipc(points(SOME_DAY_MS, 7).select(["ts_ms"]))
    return msgspec.msgpack.encode(Compute({"rounds": rounds}, {"location": rows}))


@pytest.fixture
def service(stage: Watched) -> Address:
    return node.launch_algorithm(stage.socket, CODE.digest, ARCHIVE)


def client(stage: Watched, service: Address) -> AttestedClient:
    return AttestedClient(
        service,
        workload="algorithm",
        binding=CODE.digest,
        trust=stage.trust(),
        clock=lambda: time.time_ns() // 1_000_000,
    )


def ends(stage: Watched, service: Address) -> None:
    """Its two processes are gone, and nobody listens."""
    until(lambda: service.port not in ports(stage), "the service ended")


def ports(stage: Watched) -> set[int]:
    listening = processes.listening()
    held = [processes.sockets(process.descriptors()) for process in stage.services() if process.alive]
    return {listening[inode] for inodes in held for inode in inodes if inode in listening}


def test_a_second_computation_after_the_first(stage: Watched, service: Address) -> None:
    with client(stage, service) as peer:
        answer = msgspec.msgpack.decode(peer.request("POST", "/v1/compute", compute()), type=Computed)
        assert answer.rows == [{"rows": 7}]
        # The process is about to end: either it still says no, or nobody answers.
        with pytest.raises(WaykeepError) as caught:
            peer.request("POST", "/v1/compute", compute())
        assert caught.value.rule in ("already-taken", "unreachable")
    ends(stage, service)
    with refused("unreachable"):
        client(stage, service)


def test_a_second_computation_during_the_first(stage: Watched, service: Address) -> None:
    """Whoever comes second gets nothing, also not of what the first one sent."""
    results: list[bytes] = []
    with client(stage, service) as first, client(stage, service) as second:
        at_work = threading.Thread(
            target=lambda: results.append(first.request("POST", "/v1/compute", compute(algorithms.A_WHILE)))
        )
        at_work.start()
        try:
            until(lambda: any(p.is_child and p.busy for p in stage.services()), "the first is under way")
            with refused("already-taken", "algorithm"):
                second.request("POST", "/v1/compute", compute())
        finally:
            at_work.join()
    assert msgspec.msgpack.decode(results[0], type=Computed).rows == [{"rows": 7}]
    ends(stage, service)


@pytest.mark.parametrize(
    ("body", "rule"),
    [
        (b"\xc1", "malformed"),
        (b"", "malformed"),
        (msgspec.msgpack.encode({"parameters": {}, "tables": {}, "more": 1}), "malformed"),
        (msgspec.msgpack.encode(Compute({"other": 1}, {})), "parameter-unknown"),
        (msgspec.msgpack.encode(Compute({"rounds": -1}, {})), "parameter-range"),
        (msgspec.msgpack.encode(Compute({}, {"battery": b""})), "run-tables-mismatch"),
        (msgspec.msgpack.encode(Compute({}, {"location": b"no arrow"})), "run-died"),
    ],
)
def test_a_computation_that_is_none(body: bytes, rule: str, stage: Watched, service: Address) -> None:
    """It is refused, and the service ends as after any other."""
    with client(stage, service) as peer, refused(rule):
        peer.request("POST", "/v1/compute", body)
    ends(stage, service)


def test_a_body_that_ends_before_its_length(stage: Watched, service: Address) -> None:
    wire = Wire(service)
    wire.abandon(wire.request("POST", "/v1/compute", b"x", {"content-length": "100"}))
    ends(stage, service)


def test_a_service_has_no_other_door(stage: Watched, service: Address) -> None:
    wire = Wire(service)
    for method, path in (("POST", "/v1/unlock"), ("GET", "/v1/rows"), ("GET", "/v1/compute"), ("GET", "/")):
        assert wire.ask(wire.request(method, path)).refusal.rule == "no-such-resource"
    with client(stage, service) as peer:
        peer.request("POST", "/v1/compute", compute())
    ends(stage, service)
