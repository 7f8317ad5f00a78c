from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from tests.unit.host.rig import Host, Person, refused, running
from waykeep.authority import dsse, keys
from waykeep.authority.statements import INCEPTION_TYPE
from waykeep.formats.ids import numbered
from waykeep.formats.messages import Stored
from waykeep.host.ports import HostLimits, Registered


def test_registers_an_owner_once(host: Host) -> None:
    person = Person()
    first = host.ask("POST", "/v1/owners", person.inception)
    assert first.status_code == 201
    assert msgspec.json.decode(first.content, type=Registered) == Registered(person.owner, True)
    again = host.ask("POST", "/v1/owners", person.inception)
    assert again.status_code == 200
    assert msgspec.json.decode(again.content, type=Registered) == Registered(person.owner, False)
    assert host.files()[f"owners/{person.owner}/access/0000000000"] == person.inception


def test_refuses_an_inception_of_another_signer(host: Host) -> None:
    person, stranger = Person(), Person()
    payload = base64.b64decode(json.loads(person.inception)["payload"])
    before = host.files()
    refused(host.ask("POST", "/v1/owners", dsse.sign(INCEPTION_TYPE, payload, stranger.device)), 403, "log-inception")
    assert host.files() == before


@pytest.mark.parametrize(
    ("body", "status", "rule"),
    [
        (b"not json", 400, "malformed"),
        (b"[]", 400, "malformed"),
        (b"{}", 400, "malformed"),
        (b'{"payload":"***","payloadType":"x","signatures":[]}', 400, "malformed"),
        (b'{"payload":"e30=","payloadType":"x","signatures":[]}', 400, "statement-type"),
        (b"[" * 100_000, 400, "malformed"),
    ],
)
def test_refuses_what_is_no_inception(host: Host, body: bytes, status: int, rule: str) -> None:
    before = host.files()
    refused(host.ask("POST", "/v1/owners", body), status, rule)
    assert host.files() == before


def test_refuses_an_inception_with_an_unknown_field(host: Host) -> None:
    person = Person()
    envelope = json.loads(person.inception) | {"note": "x"}
    refused(host.ask("POST", "/v1/owners", json.dumps(envelope).encode()), 400, "malformed")


def test_refuses_more_owners_than_it_keeps(tmp_path: Path) -> None:
    with running(tmp_path, HostLimits(owners=1)) as host:
        person = Person()
        host.register(person)
        refused(host.ask("POST", "/v1/owners", Person().inception), 507, "host-full")
        assert host.ask("POST", "/v1/owners", person.inception).status_code == 200
        assert len(list((host.root / "owners").iterdir())) == 1


def test_key_lists_follow_each_other(host: Host, person: Person) -> None:
    second = person.key_list(2, devices=(), writers=(person.device.public,))
    answer = host.put_list(person, 2, second)
    assert answer.status_code == 201
    assert msgspec.json.decode(answer.content, type=Stored).new
    assert host.put_list(person, 2, second).status_code == 200
    assert host.put_list(person, 1, person.key_list(1)).status_code == 200
    newest = host.ask("GET", f"/v1/owners/{person.owner}/access/{numbered(2)}")
    assert newest.content == second


def test_of_two_next_key_lists_one_is_kept(host: Host, person: Person) -> None:
    bodies = [person.key_list(2, writers=(Person().writer.public,)) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda body: host.put_list(person, 2, body), bodies))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 5
    kept = next(body for body, answer in zip(bodies, answers, strict=True) if answer.status_code == 201)
    assert host.files()[f"owners/{person.owner}/access/0000000002"] == kept


def test_refuses_a_key_list_that_skips_a_number(host: Host, person: Person) -> None:
    refused(host.put_list(person, 3, person.key_list(3)), 409, "key-list-skips")


def test_refuses_another_key_list_under_an_old_number(host: Host, person: Person) -> None:
    refused(host.put_list(person, 1, person.key_list(1, writers=())), 409, "name-taken")
    refused(host.put_list(person, 0, person.key_list(0)), 409, "name-taken")


def test_refuses_a_key_list_whose_number_is_not_in_the_path(host: Host, person: Person) -> None:
    refused(host.put_list(person, 2, person.key_list(1)), 409, "key-list-mismatch")


def test_refuses_a_key_list_of_a_foreign_authority(host: Host, person: Person) -> None:
    stranger = Person()
    refused(host.put_list(person, 2, person.key_list(2, signer=stranger.authority)), 403, "signer-unknown")
    refused(host.put_list(person, 2, person.key_list(2, signer=person.device)), 403, "signer-unknown")
    refused(host.put_list(person, 2, person.key_list(2, owner=stranger.owner)), 409, "key-list-mismatch")


def test_refuses_a_key_list_in_another_statement(host: Host, person: Person) -> None:
    refused(host.put_list(person, 2, person.inception), 400, "statement-type")


@pytest.mark.parametrize("number", ["2", "00000000002", "0000000002.age", "-000000002", "x"])
def test_refuses_a_key_list_under_another_spelling(host: Host, person: Person, number: str) -> None:
    answer = host.ask("PUT", f"/v1/owners/{person.owner}/access/{number}", person.key_list(2))
    refused(answer, 404, "object-name-malformed")


def test_knows_no_owner_that_did_not_register(host: Host) -> None:
    person = Person()
    refused(host.put_list(person, 1, person.key_list()), 404, "owner-unknown")
    path = f"/v1/owners/{person.owner}"
    body = person.sealed()
    refused(host.ask("PUT", f"{path}/segments/a.age", body, key=person.device), 404, "owner-unknown")
    refused(host.ask("GET", f"{path}/segments/a.age", key=person.device), 404, "owner-unknown")
    refused(host.ask("GET", f"{path}/access/{numbered(0)}"), 404, "owner-unknown")
    refused(host.ask("POST", f"{path}/cloud", key=person.device), 404, "owner-unknown")


def test_a_revoked_key_writes_no_more(host: Host, person: Person) -> None:
    path = f"/v1/owners/{person.owner}/segments/"
    assert host.ask("PUT", path + "a.age", person.sealed(), key=person.writer).status_code == 201
    assert host.put_list(person, 2, person.key_list(2, writers=())).status_code == 201
    refused(host.ask("PUT", path + "b.age", person.sealed(), key=person.writer), 401, "request-signature")
    assert host.ask("PUT", path + "b.age", person.sealed(), key=person.device).status_code == 201


def test_nobody_writes_before_the_first_key_list(host: Host) -> None:
    person = Person()
    assert host.ask("POST", "/v1/owners", person.inception).status_code == 201
    answer = host.ask("PUT", f"/v1/owners/{person.owner}/segments/a.age", person.sealed(), key=person.authority)
    refused(answer, 403, "key-list-missing")


def test_the_newest_of_many_key_lists_counts(tmp_path: Path) -> None:
    """More lists than one listing of the store holds."""
    with running(tmp_path) as host:
        person, late = Person(), keys.SigningKey(bytes(32))
        host.register(person)
        folder = host.root / "owners" / person.owner / "access"
        for number in range(2, 1101):
            (folder / numbered(number)).write_bytes(person.key_list(number))
        assert host.put_list(person, 1101, person.key_list(1101, devices=(late.public,))).status_code == 201
        path = f"/v1/owners/{person.owner}/keys/0000000001.age"
        refused(host.ask("PUT", path, person.sealed(), key=person.device), 401, "request-signature")
        assert host.ask("PUT", path, person.sealed(), key=late).status_code == 201
