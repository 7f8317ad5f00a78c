"""The host gives other code than was approved, or another process than was asked for: no row leaves the user cloud."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.support import algorithms, node
from tests.support.fixtures import Owners
from tests.support.peers import OwnNode, recorder, relay
from tests.support.people import DAY_MS, SOME_DAY_MS, Person, points, refused, unchanged
from tests.support.rogue import RogueHost, rogue_host
from tests.support.stages import Watched
from waykeep.attestation import claims as claims_buffer
from waykeep.attestation.claims import Claims
from waykeep.demo.stage import free_port
from waykeep.device.account import Account
from waykeep.formats.messages import Address

WINDOW = (SOME_DAY_MS, SOME_DAY_MS + DAY_MS)
CODE, ARCHIVE = algorithms.slow("approved")
OTHER, OTHER_ARCHIVE = algorithms.slow("unapproved")


@pytest.fixture
def rogue(stage: Watched) -> Iterator[RogueHost]:
    with rogue_host(stage.host_url) as found:
        yield found


@pytest.fixture
def led(owner: Person, rogue: RogueHost) -> Iterator[Account]:
    """A device whose user cloud asks the rogue host for bundles and services; with data and an approval."""
    node.launch_cloud(owner.stage.socket, owner.owner, rogue.url)
    with owner.account() as device:
        device.queue({"location": points(SOME_DAY_MS, 30)}, "imported")
        device.upload()
        algorithms.approve(device, (CODE, ARCHIVE), *WINDOW, store="counts")
        rogue.asked.clear()
        yield device
        rogue.lie = lambda method, path: None
        assert device.run(CODE.digest, {}, *WINDOW).rows == [{"rows": 30}]


def run(device: Account, owner: Person, rule: str, family: str = "") -> None:
    """The run is refused by this rule, and of the owner nothing changed."""
    with unchanged(owner), refused(rule, family):
        device.run(CODE.digest, {}, *WINDOW)


def bundle_is(rogue: RogueHost, data: bytes, status: int = 200) -> None:
    rogue.lie = lambda method, path: (status, {}, data) if path.startswith("/v1/bundles/") else None


# -- code --------------------------------------------------------------------------------------------------------------


def test_an_algorithm_that_nobody_approved_is_not_even_asked_for(led: Account, owner: Person, rogue: RogueHost) -> None:
    with unchanged(owner), refused("algorithm-not-approved", "authority"):
        led.run(OTHER.digest, {}, *WINDOW)
    assert rogue.asked == []


def test_another_bundle_under_the_approved_digest(led: Account, owner: Person, rogue: RogueHost) -> None:
    bundle_is(rogue, OTHER_ARCHIVE)
    run(led, owner, "bundle-changed", "user-cloud")
    assert not any(path.endswith("/services") for _, path in rogue.asked)


def test_the_approved_bundle_with_one_byte_changed(led: Account, owner: Person, rogue: RogueHost) -> None:
    at = ARCHIVE.index(b"range(")
    bundle_is(rogue, ARCHIVE[:at] + b"Range(" + ARCHIVE[at + 6 :])
    run(led, owner, "bundle-changed", "user-cloud")


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (b"", "bundle-malformed"),
        (b"no archive", "bundle-malformed"),
        (ARCHIVE[:1000], "bundle-malformed"),
        (ARCHIVE + bytes(512), "bundle-malformed"),
        (b"x" * (3 << 20), "host-answer-too-large"),
    ],
)
def test_a_bundle_that_is_none(data: bytes, rule: str, led: Account, owner: Person, rogue: RogueHost) -> None:
    bundle_is(rogue, data)
    run(led, owner, rule)


def test_a_bundle_that_the_host_says_it_lost(led: Account, owner: Person, rogue: RogueHost) -> None:
    bundle_is(rogue, b"<html>gone", 404)
    run(led, owner, "malformed", "format")


def test_bytes_swapped_on_the_host_s_disk(led: Account, owner: Person, stage: Watched) -> None:
    kept = stage.store / "bundles" / CODE.digest.removeprefix("sha256:")
    kept.write_bytes(OTHER_ARCHIVE)
    try:
        run(led, owner, "bundle-changed", "user-cloud")
    finally:
        kept.write_bytes(ARCHIVE)


def test_a_supervisor_starts_no_bundle_under_another_digest(stage: Watched) -> None:
    before = stage.services()
    with refused("digest-mismatch", "supervisor"):
        node.launch_algorithm(stage.socket, CODE.digest, OTHER_ARCHIVE)
    assert stage.services() == before


# -- processes ---------------------------------------------------------------------------------------------------------


def test_a_service_of_another_algorithm(led: Account, owner: Person, rogue: RogueHost, stage: Watched) -> None:
    rogue.wrong_service(node.launch_algorithm(stage.socket, OTHER.digest, OTHER_ARCHIVE))
    run(led, owner, "binding-mismatch", "attestation")


def test_a_user_cloud_in_place_of_a_service(led: Account, owner: Person, rogue: RogueHost, owners: Owners) -> None:
    with owners().account() as theirs:
        theirs.status()
        rogue.wrong_service(theirs.host.cloud())
        run(led, owner, "workload-mismatch", "attestation")


def own_service(stage: Watched, owner: Person, sandboxed: bool, binding: str = "") -> OwnNode:
    root = (stage.state / "insecure-root").read_bytes()
    made = OwnNode(root, owner.trust.references, binding or CODE.digest, "algorithm")
    if sandboxed:
        made.sandbox = owner.trust.policy.sandbox["algorithm"]
    return made


@pytest.mark.parametrize(
    ("sandboxed", "binding", "rule"),
    [(True, OTHER.digest, "binding-mismatch"), (False, "", "sandbox-missing")],
)
def test_a_service_that_is_not_right_gets_no_byte(
    sandboxed: bool, binding: str, rule: str, led: Account, owner: Person, rogue: RogueHost, stage: Watched
) -> None:
    service = own_service(stage, owner, sandboxed, binding)

    def evidence_of(channel: bytes) -> tuple[bytes, bytes]:
        claims = claims_buffer.encode(Claims(channel))
        return service.evidence(claims), claims

    with recorder(evidence_of) as peer:
        rogue.wrong_service(peer.address)
        run(led, owner, rule, "attestation")
        assert (peer.handshakes, peer.received) == (1, b"")


def test_the_recorder_would_notice_rows_on_their_way(
    led: Account, owner: Person, rogue: RogueHost, stage: Watched
) -> None:
    """With evidence that is right it is asked for fresh evidence, so the refusals above are for what was wrong."""
    service = own_service(stage, owner, True)

    def evidence_of(channel: bytes) -> tuple[bytes, bytes]:
        claims = claims_buffer.encode(Claims(channel))
        return service.evidence(claims), claims

    with recorder(evidence_of) as peer:
        rogue.wrong_service(peer.address)
        run(led, owner, "unreachable", "channel")
        assert peer.received.startswith(b"GET /.well-known/attestation")


@pytest.mark.parametrize(
    ("rows", "rule"),
    [
        ([{"rows": -1}], "result-range"),
        ([{"rows": 10**7}], "result-range"),
        ([{"rows": True}], "result-type"),
        ([{"rows": "many"}], "result-type"),
        ([{"rows": 1, "where": 473_700_000}], "result-fields"),
        ([{}], "result-fields"),
        ([{"rows": 1}] * 2, "result-rows"),
        ([{"rows": 1.5}], "malformed"),
        ([[1]], "malformed"),
        ("rows", "malformed"),
    ],
)
def test_a_service_that_answers_what_the_schema_forbids(
    rows: object, rule: str, led: Account, owner: Person, rogue: RogueHost, stage: Watched
) -> None:
    """Its front is trusted no more than its child: what it says is checked again, and kept only if it is right."""
    with relay(own_service(stage, owner, True)) as peer:
        rogue.wrong_service(peer.address)
        peer.answers["/v1/compute"] = msgspec.msgpack.encode({"rows": rows})
        run(led, owner, rule)
        assert "/v1/compute" in peer.asked


def test_a_service_whose_answer_does_not_end(led: Account, owner: Person, rogue: RogueHost, stage: Watched) -> None:
    with relay(own_service(stage, owner, True)) as peer:
        rogue.wrong_service(peer.address)
        peer.answers["/v1/compute"] = b"x" * (4 << 20)
        run(led, owner, "answer-too-large", "channel")


@pytest.mark.parametrize("host", ["", "not a host", "[::1", "a/b", "x" * 256])
def test_a_service_at_an_address_that_is_none(host: str, led: Account, owner: Person, rogue: RogueHost) -> None:
    rogue.wrong_service(Address(host, 9))
    run(led, owner, "address-malformed", "channel")


def test_a_service_that_is_not_there(led: Account, owner: Person, rogue: RogueHost) -> None:
    rogue.wrong_service(Address("127.0.0.1", free_port()))
    run(led, owner, "unreachable", "channel")


@pytest.mark.parametrize("body", [b"", b"[]", b'{"host": "127.0.0.1", "port": 70000}'])
def test_a_host_that_answers_nonsense_for_a_service(body: bytes, led: Account, owner: Person, rogue: RogueHost) -> None:
    rogue.lie = lambda method, path: (200, {}, body) if path.endswith("/services") else None
    run(led, owner, "malformed", "format")


def test_a_host_that_is_gone(owner: Person, stage: Watched, tmp_path: Path) -> None:
    node.launch_cloud(stage.socket, owner.owner, f"http://127.0.0.1:{free_port()}")
    with owner.account() as device:
        device.queue({"location": points(SOME_DAY_MS, 30)}, "imported")
        device.upload()
        algorithms.approve(device, (CODE, ARCHIVE), *WINDOW)
        run(device, owner, "host-unreachable", "user-cloud")


@pytest.mark.parametrize("url", ["", "nonsense", "ftp://127.0.0.1/", "http://[::1", "http://a b/", "http://exämple/"])
def test_a_supervisor_told_a_host_that_is_none(url: str, owner: Person, stage: Watched) -> None:
    """The user cloud starts and serves; what it asks of the host fails typed."""
    node.launch_cloud(stage.socket, owner.owner, url)
    with owner.account() as device:
        algorithms.approve(device, (CODE, ARCHIVE), *WINDOW)
        device.status()
        run(device, owner, "host-unreachable", "user-cloud")
