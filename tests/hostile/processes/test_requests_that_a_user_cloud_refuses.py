"""Requests to a user cloud by somebody who is not its owner's device, or by one whose bytes were caught or made up."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec
import pytest

from tests.support import algorithms
from tests.support.fixtures import Owners
from tests.support.people import SOME_DAY_MS, Person, points, refused, unchanged
from tests.support.stages import ROOT, Watched, kill
from tests.support.wire import Wire
from waykeep.authority import requests
from waykeep.authority.keys import SigningKey
from waykeep.channel.client import ATTESTATION_PATH
from waykeep.formats.ids import b64, sha256
from waykeep.formats.messages import (
    Accept,
    Head,
    Run,
    Status,
)
from waykeep.formats.wire import MIB, decode_json, encode_json

ROWS = f"/v1/rows?stream=location&from_ms=0&to_ms={SOME_DAY_MS * 2}"
RUN = encode_json(Run("A" * 22, sha256(b""), {}, 0, 1, SOME_DAY_MS))
ACCEPT = encode_json(Accept(("0" * 32 + ".age",)))
ENDPOINTS = [
    pytest.param("GET", "/v1/status", b"", id="status"),
    pytest.param("GET", ROWS, b"", id="rows"),
    pytest.param("POST", "/v1/segments", ACCEPT, id="segments"),
    pytest.param("POST", "/v1/runs", RUN, id="runs"),
]
BODIES = [
    pytest.param("/v1/unlock", id="unlock"),
    pytest.param("/v1/segments", id="segments"),
    pytest.param("/v1/runs", id="runs"),
]


@pytest.fixture(scope="module")
def victim(stage: Watched) -> Person:
    """An owner with some data, whose user cloud is unlocked."""
    owner = Person(stage, "victim")
    with owner.account() as device:
        device.queue({"location": points(SOME_DAY_MS, 9)}, "imported")
        device.upload()
    return owner


@pytest.fixture
def wire(victim: Person) -> Iterator[Wire]:
    """A connection to the victim's user cloud; whatever is tried on it changes nothing, and the cloud serves on."""
    with victim.account() as device:
        found = Wire(device.host.cloud())
        before = device.status()
        with unchanged(victim):
            yield found
        assert device.status() == before


def device_key(person: Person) -> SigningKey:
    return person.secrets.device_key


def test_the_hand_made_request_is_right_before_anything_is_wrong_with_it(wire: Wire, victim: Person) -> None:
    """Else every refusal below could have another cause."""
    answer = wire.ask(wire.signed(device_key(victim), "GET", "/v1/status"))
    assert decode_json(answer.result(), Status).owner == victim.owner
    assert wire.ask(wire.signed(device_key(victim), "GET", ROWS)).result()[:4] == b"PAR1"
    accepted = json.loads(wire.ask(wire.signed(device_key(victim), "POST", "/v1/segments", ACCEPT)).result())
    assert list(accepted["outcome"].values()) == ["object-missing"]


# -- signatures --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "path", "body"), ENDPOINTS)
def test_an_unsigned_request(method: str, path: str, body: bytes, wire: Wire) -> None:
    answer = wire.ask(wire.request(method, path, body))
    assert (answer.status, answer.refusal.rule) == (401, "request-unsigned")


def test_an_unsigned_unlock(wire: Wire, victim: Person) -> None:
    answer = wire.ask(wire.request("POST", "/v1/unlock", encode_json(victim.unlock())))
    assert (answer.status, answer.refusal.rule) == (401, "request-unsigned")


@pytest.mark.parametrize(("method", "path", "body"), ENDPOINTS)
def test_a_request_sent_twice(method: str, path: str, body: bytes, wire: Wire, victim: Person) -> None:
    """The exact bytes of a request, caught on the channel."""
    caught = wire.signed(device_key(victim), method, path, body)
    wire.ask(caught)
    answer = wire.ask(caught)
    assert (answer.status, answer.refusal.rule) == (401, "request-replayed")


def test_an_unlock_sent_twice(wire: Wire, victim: Person) -> None:
    caught = wire.signed(device_key(victim), "POST", "/v1/unlock", encode_json(victim.unlock()))
    wire.ask(caught).result()
    answer = wire.ask(caught)
    assert (answer.status, answer.refusal.rule) == (401, "request-replayed")


def test_a_nonce_far_behind_the_newest(wire: Wire, victim: Person) -> None:
    """Out of the window in which it is known what was taken: a request that was held back counts as one replayed."""
    key = device_key(victim)
    newest = wire.signature(key, "GET", "/v1/status", nonce=f"{wire.session}.1000")
    wire.ask(wire.request("GET", "/v1/status", headers=newest)).result()
    for counter, rule in ((936, "request-replayed"), (937, "")):
        held = wire.signature(key, "GET", "/v1/status", nonce=f"{wire.session}.{counter}")
        answer = wire.ask(wire.request("GET", "/v1/status", headers=held))
        assert (answer.refusal.rule if answer.status != 200 else "") == rule


@pytest.mark.parametrize("nonce", ["1", "A.1", "A" * 22 + ".0", "A" * 22 + ".-1", "A" * 22 + ".1.1"])
def test_a_nonce_that_is_none(nonce: str, wire: Wire, victim: Person) -> None:
    headers = wire.signature(device_key(victim), "GET", "/v1/status", nonce=nonce)
    assert wire.ask(wire.request("GET", "/v1/status", headers=headers)).refusal.rule == "nonce-malformed"


def test_a_session_that_this_process_never_opened(wire: Wire, victim: Person) -> None:
    headers = wire.signature(device_key(victim), "GET", "/v1/status", nonce="A" * 22 + ".1")
    assert wire.ask(wire.request("GET", "/v1/status", headers=headers)).refusal.rule == "session-unknown"


def test_another_owner_s_device(wire: Wire, owners: Owners) -> None:
    other = owners()
    answer = wire.ask(wire.signed(device_key(other), "GET", "/v1/status"))
    assert (answer.status, answer.refusal.rule) == (403, "foreign-request")
    answer = wire.ask(wire.signed(device_key(other), "POST", "/v1/unlock", encode_json(other.unlock())))
    assert answer.refusal.rule == "owner-log-forked"


@pytest.mark.parametrize(("method", "path", "body"), ENDPOINTS)
def test_the_owner_s_own_writer_may_write_and_ask_nothing(
    method: str, path: str, body: bytes, wire: Wire, victim: Person
) -> None:
    """A stolen phone that only records can read nothing."""
    answer = wire.ask(wire.signed(victim.secrets.writer_key, method, path, body))
    assert (answer.status, answer.refusal.rule) == (403, "foreign-request")


def test_a_stranger_who_names_the_owner_s_key(wire: Wire, victim: Person) -> None:
    stranger = SigningKey(bytes(32))
    headers = wire.signature(stranger, "GET", "/v1/status")
    named = device_key(victim).public
    headers["signature-input"] = headers["Signature-Input"].replace(stranger.public, named)
    del headers["Signature-Input"]
    answer = wire.ask(wire.request("GET", "/v1/status", headers=headers))
    assert (answer.status, answer.refusal.rule) == (401, "request-signature")


def test_a_request_signed_for_the_channel_of_a_former_process(victim: Person) -> None:
    """A replay to another process, or after a restart or rollback, fails without a clock."""
    if not ROOT:
        pytest.skip("finds a user cloud by its uid")
    key = device_key(victim)
    with victim.account() as device:
        former = Wire(device.host.cloud())
        caught = former.signature(key, "GET", "/v1/status")
        kill(victim.stage.cloud(victim.owner))
        victim.stage.forgets(victim.owner)
        with pytest.raises(ConnectionError):
            former.ask(b"")
        device.status()
        now = Wire(device.host.cloud())
        with unchanged(victim):
            answer = now.ask(now.request("GET", "/v1/status", headers=caught))
            assert (answer.status, answer.refusal.rule) == (401, "request-channel")
            # The channel said to be this one's: then the signature is not over it.
            caught[requests.CHANNEL_HEADER] = b64(now.channel)
            answer = now.ask(now.request("GET", "/v1/status", headers=caught))
            assert (answer.status, answer.refusal.rule) == (401, "request-signature")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [("GET", ROWS, b""), ("HEAD", "/v1/status", b""), ("GET", "/v1/status?x=1", b""), ("POST", "/v1/runs", RUN)],
)
def test_a_signature_moved_to_another_request(method: str, path: str, body: bytes, wire: Wire, victim: Person) -> None:
    headers = wire.signature(device_key(victim), "GET", "/v1/status")
    answer = wire.ask(wire.request(method, path, body, headers))
    assert answer.status == 401
    assert method == "HEAD" or answer.refusal.rule == "request-signature"


def test_another_body_under_a_signature(wire: Wire, victim: Person) -> None:
    headers = wire.signature(device_key(victim), "POST", "/v1/runs", RUN)
    other = RUN.replace(b"A" * 22, b"B" * 22)
    assert wire.ask(wire.request("POST", "/v1/runs", other, headers)).refusal.rule == "request-signature"
    # Signed without a body, sent with one.
    headers = wire.signature(device_key(victim), "POST", "/v1/runs")
    assert wire.ask(wire.request("POST", "/v1/runs", RUN, headers)).refusal.rule == "request-signature"


def test_a_signature_that_covers_less_than_it_must(wire: Wire, victim: Person) -> None:
    """Signed as for the host: neither this channel nor a nonce is in it."""
    key, url = device_key(victim), f"https://{wire.address.host}:{wire.address.port}/v1/status"
    headers = requests.sign(requests.Request("GET", url, {}), key)
    assert wire.ask(wire.request("GET", "/v1/status", headers=headers)).refusal.rule == "request-channel"
    headers[requests.CHANNEL_HEADER] = b64(wire.channel)
    assert wire.ask(wire.request("GET", "/v1/status", headers=headers)).refusal.rule == "request-signature"


# -- bodies ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", BODIES)
@pytest.mark.parametrize(
    "body",
    [
        pytest.param(b"{", id="cut"),
        pytest.param(b"[]", id="list"),
        pytest.param(b"null", id="null"),
        pytest.param(b"\xff\xfe", id="no-utf-8"),
        pytest.param(b"[" * 100_000, id="deep"),
        pytest.param(b'{"names": NaN}', id="nan"),
        pytest.param(b'{"names": ["a"], "run_id": 1e999}', id="infinite"),
    ],
)
def test_a_malformed_body(path: str, body: bytes, wire: Wire, victim: Person) -> None:
    answer = wire.ask(wire.signed(device_key(victim), "POST", path, body))
    assert (answer.status, answer.refusal.rule) == (400, "malformed")


@pytest.mark.parametrize("path", BODIES)
def test_an_unknown_field(path: str, wire: Wire, victim: Person) -> None:
    known = {"/v1/unlock": encode_json(victim.unlock()), "/v1/segments": ACCEPT, "/v1/runs": RUN}[path]
    more = encode_json({**json.loads(known), "admin": True})
    answer = wire.ask(wire.signed(device_key(victim), "POST", path, more))
    assert (answer.status, answer.refusal.rule) == (400, "malformed")
    assert "admin" not in answer.refusal.message


@pytest.mark.parametrize(
    "change",
    [
        {"run_id": "short"},
        {"digest": 5},
        {"from_ms": -1},
        {"to_ms": 2**63},
        {"time_ms": 1.5},
        {"parameters": {str(n): n for n in range(65)}},
        {"parameters": {"x": None}},
        {"parameters": {"x": [1]}},
    ],
)
def test_a_run_out_of_its_bounds(change: dict[str, object], wire: Wire, victim: Person) -> None:
    body = encode_json({**json.loads(RUN), **change})
    assert wire.ask(wire.signed(device_key(victim), "POST", "/v1/runs", body)).refusal.rule == "malformed"


@pytest.mark.parametrize(
    ("names", "rule"),
    [
        ([], "malformed"),
        (["x"] * 257, "malformed"),
        (["x" * 257], "malformed"),
        (["../../journal/0000000000.age"], ""),
        (["/etc/passwd"], ""),
        (["..", ".", ""], ""),
    ],
)
def test_names_of_segments_that_are_none(names: list[str], rule: str, wire: Wire, victim: Person) -> None:
    """A list out of bounds is refused whole; a name that could leave its folder is refused as that one's outcome."""
    answer = wire.ask(wire.signed(device_key(victim), "POST", "/v1/segments", encode_json({"names": names})))
    if rule:
        assert answer.refusal.rule == rule
    else:
        assert set(json.loads(answer.result())["outcome"].values()) == {"object-name-malformed"}


@pytest.mark.parametrize("path", BODIES)
def test_a_body_over_the_bound(path: str, wire: Wire, victim: Person) -> None:
    for announced in (True, False):
        body = b" " * (MIB + 1)
        headers = wire.signature(device_key(victim), "POST", path, body)
        if not announced:
            headers["transfer-encoding"], body = "chunked", b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        answer = wire.ask(wire.request("POST", path, body, headers))
        assert (answer.status, answer.refusal.rule) == (413, "too-large")


@pytest.mark.parametrize("path", BODIES)
def test_a_body_that_ends_before_its_length(path: str, wire: Wire, victim: Person) -> None:
    headers = wire.signature(device_key(victim), "POST", path, ACCEPT) | {"content-length": str(len(ACCEPT) + 1)}
    wire.abandon(wire.request("POST", path, ACCEPT, headers))


@pytest.mark.parametrize("path", BODIES)
def test_a_body_whose_chunks_are_none(path: str, wire: Wire, victim: Person) -> None:
    headers = wire.signature(device_key(victim), "POST", path, ACCEPT) | {"transfer-encoding": "chunked"}
    answer = wire.ask(wire.request("POST", path, b"zz\r\n", headers))
    assert (answer.status, answer.refusal.rule) == (400, "http-malformed")


@pytest.mark.parametrize("data", [b"\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n", b"nonsense\r\n\r\n"])
def test_bytes_that_are_no_http(data: bytes, wire: Wire) -> None:
    assert (wire.ask(data).status, wire.ask(data).refusal.rule) == (400, "http-malformed")


@pytest.mark.parametrize(
    ("query", "rule"),
    [
        ("", "stream-unknown"),
        ("?stream=location", "window-malformed"),
        ("?stream=../journal&from_ms=0&to_ms=1", "stream-unknown"),
        ("?stream=location&from_ms=-1&to_ms=1", "window-malformed"),
        ("?stream=location&from_ms=0&to_ms=99999999999999", "window-malformed"),
        ("?stream=location&from_ms=0&to_ms=%D9%A1", "window-malformed"),
        ("?stream=derived/none&from_ms=0&to_ms=1", "stream-empty"),
    ],
)
def test_rows_of_no_stream_or_window(query: str, rule: str, wire: Wire, victim: Person) -> None:
    assert wire.ask(wire.signed(device_key(victim), "GET", f"/v1/rows{query}")).refusal.rule == rule


@pytest.mark.parametrize("nonce", ["", "A", "A" * 44, "!" * 43])
def test_an_asker_for_evidence_without_a_nonce(nonce: str, wire: Wire) -> None:
    assert wire.ask(wire.request("GET", f"{ATTESTATION_PATH}?nonce={nonce}")).refusal.rule == "base64-malformed"


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("DELETE", "/v1/status"), ("POST", "/v1/rows"), ("GET", "/v1/compute")]
)
def test_what_is_not_there(method: str, path: str, wire: Wire) -> None:
    assert wire.ask(wire.request(method, path)).refusal.rule == "no-such-resource"


# -- before and while it is unlocked -----------------------------------------------------------------------------------


def test_before_it_is_unlocked_a_user_cloud_does_nothing(owners: Owners) -> None:
    owner = owners()
    with owner.account() as device:
        wire = Wire(device.host.cloud())
    for method, path, body in (parameter.values for parameter in ENDPOINTS):
        with unchanged(owner):
            answer = wire.ask(wire.signed(device_key(owner), str(method), str(path), bytes(body)))
            assert (answer.status, answer.refusal.rule) == (409, "locked")


def test_a_user_cloud_whose_key_the_owner_did_not_name_writes_nothing(owners: Owners) -> None:
    """It was handed keys, and reads; what it wrote would be believed by nobody."""
    owner, code = owners(), algorithms.slow()
    key, window = device_key(owner), (SOME_DAY_MS, SOME_DAY_MS + 100_000)
    with owner.account() as device:
        device.queue({"location": points(SOME_DAY_MS, 5)}, "imported")
        names = tuple(device.send())
        algorithms.approve(device, code, *window, store="counts")
        wire = Wire(device.host.cloud())
        wire.ask(wire.signed(key, "POST", "/v1/unlock", encode_json(owner.unlock()))).result()
        run = encode_json(Run("A" * 22, code[0].digest, {}, *window, time.time_ns() // 1_000_000))
        for path, body in (("/v1/segments", encode_json(Accept(names))), ("/v1/runs", run)):
            with unchanged(owner):
                answer = wire.ask(wire.signed(key, "POST", path, body))
                assert (answer.status, answer.refusal.rule) == (409, "state-key-unnamed")
        assert device.upload().rows_new == 5


def test_a_run_asked_for_twice_is_run_once(owners: Owners) -> None:
    """Under one id, signed twice: at once, and when it is done."""
    owner, code = owners(), algorithms.slow()
    key, window = device_key(owner), (SOME_DAY_MS, SOME_DAY_MS + 100_000)
    with owner.account() as device:
        device.queue({"location": points(SOME_DAY_MS, 5)}, "imported")
        device.upload()
        algorithms.approve(device, code, *window, store="counts")
        wire = Wire(device.host.cloud())
        body = encode_json(Run("A" * 22, code[0].digest, {}, *window, time.time_ns() // 1_000_000))
        asked = [wire.signed(key, "POST", "/v1/runs", body) for _ in range(4)]
        with ThreadPoolExecutor(3) as pool:
            answers = list(pool.map(wire.ask, asked[:3]))
        assert sorted(answer.status for answer in answers) == [200, 409, 409]
        assert {answer.refusal.rule for answer in answers if answer.status != 200} == {"run-repeated"}
        with unchanged(owner):
            assert wire.ask(asked[3]).refusal.rule == "run-repeated"
    assert {path.name for path in owner.path("segments", "").iterdir()} == set(owner.journal().segments)
    assert len(owner.journal().runs) == 1


def other_log_secret(owner: Person, other: Person) -> dict[str, object]:
    return {"log_secrets": other.secrets.logs}


def other_epoch_secret(owner: Person, other: Person) -> dict[str, object]:
    return {"epochs": other.secrets.epochs}


def log_secret_as_epoch_secret(owner: Person, other: Person) -> dict[str, object]:
    return {"epochs": {"1": owner.secrets.logs[-1]}}


def unnamed_epoch(owner: Person, other: Person) -> dict[str, object]:
    return {"epochs": {"2": owner.secrets.epochs["1"]}}


def no_number(owner: Person, other: Person) -> dict[str, object]:
    return {"epochs": {"-1": owner.secrets.epochs["1"]}}


def no_secret(owner: Person, other: Person) -> dict[str, object]:
    return {"epochs": {"1": "AGE-SECRET-KEY-1"}}


def no_log_secret(owner: Person, other: Person) -> dict[str, object]:
    return {"log_secrets": ("",)}


def head_beyond(owner: Person, other: Person) -> dict[str, object]:
    return {"owner_head": Head(owner.heads()[0].number + 1, sha256(b""))}


def other_head(owner: Person, other: Person) -> dict[str, object]:
    return {"owner_head": Head(owner.heads()[0].number, sha256(b""))}


def no_policy(owner: Person, other: Person) -> dict[str, object]:
    return {"appraisal": msgspec.structs.replace(owner.trust.to_message(), policy=b"{}")}


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        (other_log_secret, "log-secret-missing"),
        (other_epoch_secret, "epoch-secret-mismatch"),
        (log_secret_as_epoch_secret, "epoch-secret-mismatch"),
        (unnamed_epoch, "epoch-unknown"),
        (no_number, "epoch-unknown"),
        (no_secret, "identity-malformed"),
        (no_log_secret, "identity-malformed"),
        (head_beyond, "owner-log-behind"),
        (other_head, "owner-log-forked"),
        (no_policy, "policy-malformed"),
    ],
)
def test_an_unlock_with_what_does_not_fit(change: object, rule: str, owners: Owners) -> None:
    assert callable(change)
    owner, other = owners(), owners()
    key = device_key(owner)
    with owner.account() as device:
        wire = Wire(device.host.cloud())
        with unchanged(owner, other):
            asked = encode_json(owner.unlock(**change(owner, other)))
            with refused(rule):
                wire.ask(wire.signed(key, "POST", "/v1/unlock", asked)).result()
            # It holds nothing for it.
            assert wire.ask(wire.signed(key, "GET", "/v1/status")).refusal.rule == "locked"
        # The right keys open it still.
        assert device.status().owner == owner.owner


def test_an_unlocked_cloud_keeps_its_keys_when_others_are_tried(wire: Wire, victim: Person, owners: Owners) -> None:
    other = owners()
    for change in ({"log_secrets": other.secrets.logs}, {"epochs": other.secrets.epochs}):
        asked = encode_json(victim.unlock(**change))
        answer = wire.ask(wire.signed(device_key(victim), "POST", "/v1/unlock", asked))
        assert answer.refusal.rule in ("log-secret-mismatch", "epoch-secret-mismatch")
    assert wire.ask(wire.signed(device_key(victim), "GET", ROWS)).result()
