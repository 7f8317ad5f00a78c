"""A device is led to somebody else: it appraises before a byte of HTTP is sent, so none of them ever gets a secret.

The attacker is the host, which chooses the address, or whoever sits on the way to it. Where it helps them they hold the
software root of the installation, as the operator of platform ``insecure`` does.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec
import pytest

from tests.support.fixtures import Owners
from tests.support.peers import OwnNode, Recorder, recorder, relay
from tests.support.people import SOME_DAY_MS, Person, points, refused, unchanged
from tests.support.rogue import RogueHost, rogue_host
from tests.support.stages import Watched, running
from tests.support.wire import Wire
from waykeep.attestation import claims as claims_buffer
from waykeep.attestation.claims import Claims
from waykeep.channel.client import ATTESTATION_PATH
from waykeep.channel.trust import Trust
from waykeep.demo.stage import free_port
from waykeep.device.account import Account
from waykeep.formats.ids import b64
from waykeep.formats.messages import Address

DAY_MS = 86_400_000


@pytest.fixture
def rogue(stage: Watched) -> Iterator[RogueHost]:
    with rogue_host(stage.host_url) as found:
        yield found


@pytest.fixture
def led(owner: Person, rogue: RogueHost) -> Iterator[Account]:
    """A device of an owner who uses the rogue host, with something to upload."""
    with owner.account(rogue.url) as device:
        device.queue({"location": points(SOME_DAY_MS, 4)}, "imported")
        yield device
        # Nothing was lost: with an honest answer it goes on.
        rogue.lie = lambda method, path: None
        device.disconnect()
        assert device.upload().rows_new == 4


def own_node(
    stage: Watched, owner: Person, *, binding: str = "", workload: str = "", time_ms: int | None = None
) -> OwnNode:
    """A node by somebody who holds the installation's software root; right in all that is not said."""
    root = (stage.state / "insecure-root").read_bytes()
    references = owner.trust.references
    return OwnNode(root, references, binding or owner.owner, workload or "user-cloud", time_ms=time_ms)


def attacked(device: Account, owner: Person, rule: str) -> None:
    """The device refuses by this rule, and of the owner nothing changed."""
    with unchanged(owner), refused(rule, "attestation"):
        device.status()
    with unchanged(owner, heads=False), refused(rule, "attestation"):
        # Ciphertext may go to the host; nothing is accepted.
        device.cloud()


def test_the_recorder_would_notice_an_answer_that_is_trusted(
    led: Account, owner: Person, rogue: RogueHost, stage: Watched
) -> None:
    """Else an empty record below would say nothing."""
    node = own_node(stage, owner)
    with recorder(lambda channel: honest(node, channel)) as peer:
        rogue.wrong_cloud(peer.address)
        with refused("unreachable"):
            led.status()
        assert peer.received.startswith(f"GET {ATTESTATION_PATH}".encode())


def honest(node: OwnNode, channel: bytes) -> tuple[bytes, bytes]:
    """Evidence and claims that are bound to this very key."""
    claims = claims_buffer.encode(Claims(channel))
    return node.evidence(claims), claims


def nothing_sent(peer: Recorder) -> None:
    assert peer.handshakes >= 1
    assert peer.received == b""


def test_a_host_that_gives_the_address_of_another_owner_s_cloud(
    led: Account, owner: Person, rogue: RogueHost, owners: Owners
) -> None:
    other = owners()
    with other.account() as theirs:
        theirs.status()
        address = theirs.host.cloud()
        rogue.wrong_cloud(address)
        with unchanged(other):
            attacked(led, owner, "binding-mismatch")
        # The other owner's cloud is as it was: it was handed nothing and serves its own.
        assert theirs.status().owner == other.owner


def test_a_host_that_gives_the_address_of_another_owner_s_locked_cloud(
    led: Account, owner: Person, rogue: RogueHost, owners: Owners
) -> None:
    """Were it handed keys, it would not be locked any more."""
    other = owners()
    with other.account() as theirs:
        address = theirs.host.cloud()
    rogue.wrong_cloud(address)
    attacked(led, owner, "binding-mismatch")
    wire = Wire(address)
    assert wire.ask(wire.signed(other.secrets.device_key, "GET", "/v1/status")).refusal.rule == "locked"


def test_another_owner_s_cloud_gets_no_byte_of_http(
    led: Account, owner: Person, rogue: RogueHost, owners: Owners, stage: Watched
) -> None:
    node = own_node(stage, owner, binding=owners().owner)
    with recorder(lambda channel: honest(node, channel)) as peer:
        rogue.wrong_cloud(peer.address)
        attacked(led, owner, "binding-mismatch")
        nothing_sent(peer)


def test_a_man_in_the_middle_with_the_real_evidence_in_a_certificate_of_his_own(
    led: Account, owner: Person, rogue: RogueHost
) -> None:
    real = Wire(led.host.cloud())
    with recorder(lambda channel: (real.evidence, real.claims)) as peer:
        rogue.wrong_cloud(peer.address)
        attacked(led, owner, "channel-mismatch")
        nothing_sent(peer)


def test_a_man_in_the_middle_who_names_his_own_key_beside_the_real_evidence(
    led: Account, owner: Person, rogue: RogueHost
) -> None:
    real = Wire(led.host.cloud())
    with recorder(lambda channel: (real.evidence, claims_buffer.encode(Claims(channel)))) as peer:
        rogue.wrong_cloud(peer.address)
        attacked(led, owner, "claims-mismatch")
        nothing_sent(peer)


def test_a_server_whose_certificate_has_garbage_for_evidence(led: Account, owner: Person, rogue: RogueHost) -> None:
    for evidence, claims, rule in (
        (b"{}", b"", "evidence-malformed"),
        (b"\xff" * 70_000, b"", "certificate-malformed"),
    ):
        with recorder(lambda channel, evidence=evidence, claims=claims: (evidence, claims)) as peer:
            rogue.wrong_cloud(peer.address)
            attacked(led, owner, rule)
            nothing_sent(peer)


@pytest.mark.parametrize(("workload", "rule"), [("algorithm", "workload-mismatch")])
def test_an_algorithm_s_front_in_place_of_a_cloud(
    workload: str, rule: str, led: Account, owner: Person, rogue: RogueHost, stage: Watched
) -> None:
    node = own_node(stage, owner, workload=workload)
    with recorder(lambda channel: honest(node, channel)) as peer:
        rogue.wrong_cloud(peer.address)
        attacked(led, owner, rule)
        nothing_sent(peer)


@pytest.mark.parametrize(
    ("days", "rule"), [(-31, "platform-evidence-expired"), (1, "platform-evidence-from-future"), (-40_000, "")]
)
def test_a_quote_of_another_time(
    days: int, rule: str, led: Account, owner: Person, rogue: RogueHost, stage: Watched
) -> None:
    now = time.time_ns() // 1_000_000
    node = own_node(stage, owner, time_ms=max(0, now + days * DAY_MS))
    with recorder(lambda channel: honest(node, channel)) as peer:
        rogue.wrong_cloud(peer.address)
        attacked(led, owner, rule or "platform-evidence-expired")
        nothing_sent(peer)


def test_an_answer_that_was_fresh_for_somebody_else(
    led: Account, owner: Person, rogue: RogueHost, stage: Watched
) -> None:
    """Its certificate is right; the evidence that it gives when asked is the one that it gave before."""
    with relay(own_node(stage, owner)) as peer:
        rogue.wrong_cloud(peer.address)
        # What it would do with an honest answer: it goes on to ask for more. So the refusal below is the answer's.
        with refused("malformed"):
            led.status()
        assert peer.asked == [ATTESTATION_PATH, "/v1/unlock"]
        peer.stale = True
        peer.asked.clear()
        attacked(led, owner, "nonce-mismatch")
        assert set(peer.asked) == {ATTESTATION_PATH}


def test_another_software_root(stage: Watched, owner: Person) -> None:
    """The same code by an installation whose root this owner was not given."""
    with running() as elsewhere, rogue_host(stage.host_url) as rogue:
        stranger = Person(elsewhere, "stranger")
        with stranger.account() as theirs, owner.account(rogue.url) as device:
            theirs.status()
            rogue.wrong_cloud(theirs.host.cloud())
            attacked(device, owner, "quote-signature")


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"roots": {}}, "platform-root-missing"),
        ({"roots": {"insecure": b64(bytes(32))}}, "quote-signature"),
    ],
)
def test_an_owner_who_trusts_no_such_root(change: dict[str, object], rule: str, stage: Watched, owner: Person) -> None:
    attacked_with(msgspec.structs.replace(owner.trust, **change), owner, rule)


def test_an_owner_whose_policy_names_nothing_accepts_nobody(owner: Person) -> None:
    """No list means nothing is right, never that nothing is checked."""
    trust, policy, references = owner.trust, owner.trust.policy, owner.trust.references
    for changed, rule in (
        (msgspec.structs.replace(trust, policy=msgspec.structs.replace(policy, platforms=())), "platform-not-accepted"),
        (msgspec.structs.replace(trust, policy=msgspec.structs.replace(policy, sandbox={})), "sandbox-missing"),
        (
            msgspec.structs.replace(trust, references=msgspec.structs.replace(references, supervisor=())),
            "platform-measurement-unknown",
        ),
        (
            msgspec.structs.replace(trust, references=msgspec.structs.replace(references, workloads={})),
            "workload-measurement-unknown",
        ),
        (
            msgspec.structs.replace(
                trust, policy=msgspec.structs.replace(policy, isolation=(*policy.isolation, "own-machine"))
            ),
            "isolation-missing",
        ),
    ):
        attacked_with(changed, owner, rule)


def attacked_with(trust: Trust, owner: Person, rule: str) -> None:
    owner.folder.save_profile(msgspec.structs.replace(owner.folder.profile(), trust=trust))
    with owner.account() as device:
        attacked(device, owner, rule)


@pytest.mark.parametrize(
    "host",
    [
        "",
        " ",
        "not a host",
        "a/b",
        "user@127.0.0.1",
        "127.0.0.1:1/x?",
        "exämple",
        "a\r\nb",
        "[::1",
        "%00",
        "x" * 256,
        "a..b",
    ],
)
def test_an_address_that_is_none(host: str, led: Account, owner: Person, rogue: RogueHost) -> None:
    rogue.wrong_cloud(Address(host, 9))
    with unchanged(owner), refused("address-malformed", "channel"):
        led.status()


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "no-such-name.invalid"])
def test_an_address_where_nobody_is(host: str, led: Account, owner: Person, rogue: RogueHost) -> None:
    rogue.wrong_cloud(Address(host, free_port()))
    with unchanged(owner), refused("unreachable", "channel"):
        led.status()


@pytest.mark.parametrize(
    ("status", "headers", "body"),
    [
        (200, {}, b""),
        (200, {}, b'{"host": "127.0.0.1", "port": 0}'),
        (200, {}, b'{"host": "127.0.0.1", "port": 1, "trusted": true}'),
        (200, {"content-encoding": "gzip"}, b"no gzip"),
        (302, {"location": "http://127.0.0.1:9/"}, b""),
        (500, {}, b"<html>"),
        (403, {}, b'{"type": "urn:waykeep:error:x:y", "title": "y", "status": 403, "detail": ""}'),
        (403, {}, b'{"type": "urn:waykeep:error:host:X Y", "title": "", "status": 403, "detail": ""}'),
    ],
)
def test_a_host_that_answers_nonsense(
    status: int, headers: dict[str, str], body: bytes, led: Account, owner: Person, rogue: RogueHost
) -> None:
    rogue.lie = lambda method, path: (status, headers, body) if path.endswith("/cloud") else None
    with unchanged(owner), refused("malformed"):
        led.status()
