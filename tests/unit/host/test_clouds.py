from __future__ import annotations

import threading
import time
from pathlib import Path

import httpx
import msgspec
import pytest

from tests.unit.builders import key
from tests.unit.host.rig import Host, Person, refused, running
from waykeep.authority.introductions import introduce
from waykeep.formats.frames import (
    Clouds,
    ControlReply,
    ControlRequest,
    LaunchAlgorithm,
    LaunchCloud,
    Launched,
    Refused,
)
from waykeep.formats.ids import ROOMS, sha256
from waykeep.formats.messages import Address
from waykeep.formats.wire import MAX_FRAME, encode_frame, encode_json
from waykeep.host.objects import OPEN_ROOMS
from waykeep.host.ports import HostLimits

BUNDLE = b"a bundle"
SERVICES = f"/v1/algorithms/{sha256(BUNDLE)}/services"


def cloud(host: Host, person: Person) -> httpx.Response:
    return host.ask("POST", f"/v1/owners/{person.owner}/cloud", key=person.device)


def test_a_device_has_the_user_cloud_launched_and_found_again(host: Host, person: Person) -> None:
    first = cloud(host, person)
    assert first.status_code == 201
    address = msgspec.json.decode(first.content, type=Address)
    assert address.started
    assert host.node.asked[-1] == LaunchCloud(person.owner, host.url)
    again = cloud(host, person)
    assert again.status_code == 200
    assert msgspec.json.decode(again.content, type=Address) == Address(address.host, address.port, False)


def test_only_a_device_has_the_user_cloud_launched(host: Host, person: Person) -> None:
    asked = len(host.node.asked)
    path = f"/v1/owners/{person.owner}/cloud"
    refused(host.ask("POST", path), 401, "request-unsigned")
    refused(host.ask("POST", path, key=Person().device), 401, "request-signature")
    refused(host.ask("POST", path, key=person.writer), 403, "not-yours")
    refused(host.ask("POST", path, b"{}", key=person.device), 400, "malformed")
    assert len(host.node.asked) == asked


def test_whom_a_caller_introduces_has_the_user_cloud_launched_and_does_nothing_more(host: Host, person: Person) -> None:
    """A holder passes a grant on: the host knows the new key by introductions, and nothing of what was granted."""
    assert host.put_list(person, 2, person.key_list(2, callers=(person.caller.public,))).status_code == 201
    path, second, third = f"/v1/owners/{person.owner}", key("second holder"), key("third holder")
    first = introduce(person.owner, second.public, person.caller)
    then = introduce(person.owner, third.public, second)
    assert host.ask("POST", path + "/cloud", rung(first), key=second).status_code == 201
    assert host.ask("POST", path + "/cloud", rung(first, then), key=third).status_code == 200
    asked = len(host.node.asked)
    foreign = introduce(Person().owner, second.public, person.caller)
    for shown, signer, status, rule in [
        ((first,), third, 401, "request-signature"),
        ((then,), third, 403, "introduction-unknown"),
        ((then, first), third, 403, "introduction-unknown"),
        ((foreign,), second, 403, "introduction-unknown"),
        ((introduce(person.owner, second.public, second),), second, 403, "introduction-unknown"),
        ((introduce(person.owner, second.public, person.writer),), second, 403, "introduction-unknown"),
        ((first,) * 17, second, 400, "malformed"),
        ((), second, 400, "malformed"),
        ((b"none",), second, 400, "malformed"),
    ]:
        refused(host.ask("POST", path + "/cloud", rung(*shown), key=signer), status, rule)
    refused(host.ask("POST", path + "/cloud", key=second), 401, "request-signature")
    refused(host.ask("GET", f"{path}/journal", key=second), 401, "request-signature")
    assert len(host.node.asked) == asked


def rung(*introductions: bytes) -> bytes:
    return encode_json({"introductions": [said.decode() for said in introductions]})


def test_a_caller_has_the_user_cloud_launched_and_does_nothing_more(host: Host, person: Person) -> None:
    listed = person.key_list(2, callers=(person.caller.public,))
    assert host.put_list(person, 2, listed).status_code == 201
    path = f"/v1/owners/{person.owner}"
    rooms = [room for room in ROOMS if room != "access"]
    for room in rooms:
        (host.root / "owners" / person.owner / room / "0000000002").write_bytes(person.sealed())
    before = host.files()
    assert host.ask("POST", path + "/cloud", key=person.caller).status_code == 201
    assert host.ask("POST", path + "/cloud", key=person.device).status_code == 200
    asked = len(host.node.asked)
    for room in rooms:
        refused(host.ask("PUT", f"{path}/{room}/a", person.sealed(), key=person.caller), 403, "not-yours")
        if room not in OPEN_ROOMS:
            refused(host.ask("GET", f"{path}/{room}/0000000002", key=person.caller), 403, "not-yours")
            refused(host.ask("GET", f"{path}/{room}", key=person.caller), 403, "not-yours")
    refused(host.put_list(person, 3, person.key_list(3, signer=person.caller)), 403, "signer-unknown")
    assert (host.files(), len(host.node.asked)) == (before, asked)


def test_a_caller_of_one_owner_cannot_ring_at_another(host: Host, person: Person) -> None:
    other = Person()
    host.register(other)
    assert host.put_list(other, 2, other.key_list(2, callers=(other.caller.public,))).status_code == 201
    refused(host.ask("POST", f"/v1/owners/{person.owner}/cloud", key=other.caller), 401, "request-signature")


def test_a_caller_that_a_newer_list_leaves_out_rings_no_more(host: Host, person: Person) -> None:
    assert host.put_list(person, 2, person.key_list(2, callers=(person.caller.public,))).status_code == 201
    assert host.put_list(person, 3, person.key_list(3)).status_code == 201
    refused(host.ask("POST", f"/v1/owners/{person.owner}/cloud", key=person.caller), 401, "request-signature")


def test_an_algorithm_service_is_launched_with_the_bundles_bytes(tmp_path: Path) -> None:
    with running(tmp_path, HostLimits(algorithms=3, queue_s=7.0)) as host:
        host.ask("PUT", f"/v1/bundles/{sha256(BUNDLE)}", BUNDLE)
        answer = host.ask("POST", SERVICES)
        assert answer.status_code == 201
        assert msgspec.json.decode(answer.content, type=Address) == Address("127.0.0.1", 30001, True)
        assert host.node.asked == [LaunchAlgorithm(sha256(BUNDLE), BUNDLE, most=3, wait_s=7.0)]


def test_no_service_is_launched_without_the_bundle(host: Host) -> None:
    asked = len(host.node.asked)
    refused(host.ask("POST", f"/v1/algorithms/{sha256(b'unpublished')}/services"), 404, "bundle-unknown")
    assert len(host.node.asked) == asked


def test_a_supervisor_that_is_down_is_said_so(tmp_path: Path) -> None:
    with running(tmp_path) as host:
        person = Person()
        host.register(person)
        host.ask("PUT", f"/v1/bundles/{sha256(BUNDLE)}", BUNDLE)
        assert host.ask("GET", "/readyz").status_code == 200
        host.node.close()
        for answer in (cloud(host, person), host.ask("POST", SERVICES), host.ask("GET", "/readyz")):
            refused(answer, 503, "supervisor-unreachable")
            assert answer.headers["retry-after"] == "1"
        assert host.ask("GET", "/healthz").status_code == 200
        path = f"/v1/owners/{person.owner}/segments/a.age"
        assert host.ask("PUT", path, person.sealed(), key=person.device).status_code == 201


@pytest.mark.parametrize(
    ("reply", "status", "rule"),
    [
        (Refused("supervisor", "no-room", "the node is full", "wait", 503), 503, "no-room"),
        (Refused("algorithm", "bundle-malformed", "found no bundle"), 400, "bundle-malformed"),
        (Refused("nobody", "odd", "a family that does not exist"), 400, "odd"),
        (Refused("supervisor", "No Rule!", "a rule that is none"), 502, "supervisor-malformed"),
        (Clouds((), 0), 502, "supervisor-malformed"),
        (
            encode_frame({"type": "launched", "host": "h", "port": 1, "started": True, "more": 1}),
            502,
            "supervisor-malformed",
        ),
        (encode_frame({"type": "launched", "host": "h", "port": 0, "started": True}), 502, "supervisor-malformed"),
        (b"\0\0\0\x05\xc1\xc1\xc1\xc1\xc1", 502, "supervisor-malformed"),
        ((MAX_FRAME + 1).to_bytes(4, "big"), 502, "supervisor-malformed"),
        (b"\0\0\0\x05ab", 503, "supervisor-unreachable"),
        (b"\0\0", 503, "supervisor-unreachable"),
        (b"", 503, "supervisor-unreachable"),
    ],
)
def test_what_a_supervisor_answers_is_checked(
    host: Host, person: Person, reply: ControlReply | bytes, status: int, rule: str
) -> None:
    host.node.answer = lambda _: reply
    try:
        refused(cloud(host, person), status, rule)
    finally:
        host.node.answer = host.node.launch
    assert cloud(host, person).status_code in (200, 201)


def test_a_supervisor_that_does_not_answer_is_not_waited_for(tmp_path: Path) -> None:
    with running(tmp_path, supervisor_timeout_s=0.1) as host:
        person = Person()
        host.register(person)
        leave = threading.Event()

        def never(request: ControlRequest) -> ControlReply:
            leave.wait(20)
            return Launched("127.0.0.1", 1, False)

        host.node.answer = never
        start = time.monotonic()
        refused(cloud(host, person), 504, "supervisor-timeout")
        assert time.monotonic() - start < 10
        leave.set()
