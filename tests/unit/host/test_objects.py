from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from httpx import Response

from tests.unit.host.rig import Host, Person, refused, running
from waykeep.authority import keys, requests
from waykeep.formats import entries
from waykeep.formats.agefile import open_
from waykeep.formats.ids import ROOMS, numbered, sha256
from waykeep.formats.messages import Listing, Stored
from waykeep.host.ports import HostLimits


def at(person: Person, rest: str) -> str:
    return f"/v1/owners/{person.owner}/{rest}"


def bytes_for(person: Person, room: str) -> bytes:
    return b'{"an":"epoch"}' if room == "epochs" else person.sealed()


@pytest.mark.parametrize("room", ["segments", "owner-log", "epochs", "keys"])
def test_a_device_puts_and_reads_back(host: Host, person: Person, room: str) -> None:
    body = bytes_for(person, room)
    answer = host.ask("PUT", at(person, f"{room}/0000000000"), body, key=person.device)
    assert answer.status_code == 201
    assert msgspec.json.decode(answer.content, type=Stored) == Stored(sha256(body), True)
    found = host.ask("GET", at(person, f"{room}/0000000000"), key=person.writer)
    assert (found.status_code, found.content) == (200, body)
    assert found.headers["x-content-type-options"] == "nosniff"


def test_a_writer_puts_segments(host: Host, person: Person) -> None:
    body = person.sealed(b"rows")
    assert host.ask("PUT", at(person, "segments/x1.age"), body, key=person.writer).status_code == 201
    found = host.ask("GET", at(person, "segments/x1.age"), key=person.device).content
    assert open_(found, [person.secret], limit=1 << 20, what="a segment") == b"rows"


@pytest.mark.parametrize("room", ["owner-log", "epochs", "keys"])
def test_a_writer_puts_nothing_else(host: Host, person: Person, room: str) -> None:
    before = host.files()
    answer = host.ask("PUT", at(person, f"{room}/0000000001"), bytes_for(person, room), key=person.writer)
    refused(answer, 403, "not-yours")
    assert host.files() == before


@pytest.mark.parametrize("room", ["journal", "snapshots", "sealed"])
def test_nobody_puts_to_the_user_clouds_rooms(host: Host, person: Person, room: str) -> None:
    before = host.files()
    for key in (person.device, person.writer, person.authority):
        refused(host.ask("PUT", at(person, f"{room}/0000000001"), person.sealed(), key=key), 403, "not-yours")
    assert host.files() == before


def test_every_room_is_decided(host: Host, person: Person) -> None:
    """A room added to the format must be given its writers here."""
    decided = {"access", "segments", "owner-log", "epochs", "keys", "journal", "snapshots", "sealed"}
    assert set(ROOMS) == decided


def test_an_unsigned_put_is_refused(host: Host, person: Person) -> None:
    before = host.files()
    refused(host.ask("PUT", at(person, "segments/u.age"), person.sealed()), 401, "request-unsigned")
    assert host.files() == before


def test_a_put_signed_by_an_unknown_key_is_refused(host: Host, person: Person) -> None:
    stranger, other = keys.SigningKey(bytes(range(32))), Person()
    host.register(other)
    before = host.files()
    for key in (stranger, other.device, person.authority):
        refused(host.ask("PUT", at(person, "segments/u.age"), person.sealed(), key=key), 401, "request-signature")
    assert host.files() == before


def test_a_signature_of_another_body_path_or_method_is_refused(host: Host, person: Person) -> None:
    body = person.sealed()

    def headers(method: str, path: str, signed: bytes) -> dict[str, str]:
        return requests.sign(requests.Request(method, host.url + at(person, path), {}, signed), person.device)

    before = host.files()
    for method, path, signed in (
        ("PUT", "segments/t.age", person.sealed(b"other")),
        ("PUT", "segments/other.age", body),
        ("POST", "segments/t.age", body),
    ):
        sent = headers(method, path, signed)
        answer = host.client.put(at(person, "segments/t.age"), content=body, headers=sent)
        refused(answer, 401, "request-signature")
    elsewhere = requests.sign(
        requests.Request("PUT", "http://elsewhere:80" + at(person, "segments/t.age"), {}, body), person.device
    )
    refused(host.client.put(at(person, "segments/t.age"), content=body, headers=elsewhere), 401, "request-signature")
    assert host.files() == before


@pytest.mark.parametrize(
    "headers",
    [
        {"signature": "", "signature-input": ""},
        {"signature": "x", "signature-input": "x=("},
        {"signature": "a=:AAAA:", "signature-input": 'a=("@method");keyid="\\"";tag="waykeep"'},
        {"signature": "a=:AAAA:", "signature-input": 'a=();keyid="a";tag="waykeep"'},
        {"signature": "a=1", "signature-input": "a=1"},
        {"signature": "a=:AAAA:", "signature-input": "a=" + "(" * 5000},
        {"signature": "a=:AAAA:", "signature-input": 'a=("@target-uri" "@target-uri");tag="waykeep"'},
    ],
)
def test_a_malformed_signature_is_refused(host: Host, person: Person, headers: dict[str, str]) -> None:
    refused(host.client.get(at(person, "segments"), headers=headers), 401, "request-signature")


def test_a_repeated_put_changes_nothing(host: Host, person: Person) -> None:
    body = person.sealed()
    path = at(person, "segments/r.age")
    headers = requests.sign(requests.Request("PUT", host.url + path, {}, body), person.writer)
    assert host.client.put(path, content=body, headers=headers).status_code == 201
    before = host.files()
    stat = (host.root / "owners" / person.owner / "segments" / "r.age").stat()
    replay = host.client.put(path, content=body, headers=headers)
    assert replay.status_code == 200
    assert msgspec.json.decode(replay.content, type=Stored) == Stored(sha256(body), False)
    after = (host.root / "owners" / person.owner / "segments" / "r.age").stat()
    assert (after.st_ino, after.st_mtime_ns) == (stat.st_ino, stat.st_mtime_ns)
    assert host.files() == before


def test_one_of_many_equal_puts_is_new(host: Host, person: Person) -> None:
    body = person.sealed()
    with ThreadPoolExecutor(6) as pool:
        puts = pool.map(lambda _: host.ask("PUT", at(person, "segments/c.age"), body, key=person.writer), range(6))
        assert sorted(put.status_code for put in puts) == [200] * 5 + [201]


def test_other_bytes_under_a_taken_name_are_refused(host: Host, person: Person) -> None:
    path = at(person, "owner-log/0000000000")
    assert host.ask("PUT", path, person.sealed(), key=person.device).status_code == 201
    before = host.files()
    refused(host.ask("PUT", path, person.sealed(), key=person.device), 409, "name-taken")
    assert host.files() == before


def test_an_entry_that_is_not_the_next_one_nor_beside_one_under_the_newest_key_list(host: Host, person: Person) -> None:
    def put(name: str) -> Response:
        return host.ask("PUT", at(person, f"owner-log/{name}"), person.sealed(), key=person.device)

    newest = len(host.ask("GET", at(person, "access")).json()["names"]) - 1
    for name in (numbered(1), entries.beside(0, 0, newest)):
        refused(put(name), 409, "entry-skips")
    for number in range(3):
        assert put(numbered(number)).status_code == 201
    for number in range(3):
        assert put(entries.beside(number, 0, newest)).status_code == 201
        refused(put(entries.beside(number, 0, newest)), 409, "name-taken")
    before = host.files()
    for name in (
        numbered(4),
        entries.beside(3, 0, newest),
        entries.beside(1, 0, newest + 1),
        entries.beside(1, 0, newest - 1),
        entries.beside(1, 1, newest),
        f"{numbered(1)}-0000000000000000",
        f"{numbered(3)}.age",
        "x",
    ):
        refused(put(name), 409, "entry-skips")
    assert host.files() == before
    assert put(numbered(3)).status_code == 201, "names beside the one before are no entries"


@pytest.mark.parametrize("room", ["segments", "owner-log", "keys"])
def test_what_is_no_age_file_is_refused(host: Host, person: Person, room: str) -> None:
    before = host.files()
    refused(host.ask("PUT", at(person, f"{room}/b"), b"plaintext", key=person.device), 400, "age-malformed")
    stanzas = b"age-encryption.org/v1\n" + b"-> X25519 A\nAAAA\n" * 17 + b"--- mac\n"
    refused(host.ask("PUT", at(person, f"{room}/b"), stanzas, key=person.device), 400, "age-header-too-large")
    long = b"age-encryption.org/v1\n-> X " + b"A" * 4096 + b"\n--- mac\n"
    refused(host.ask("PUT", at(person, f"{room}/b"), long, key=person.device), 400, "age-header-too-large")
    assert host.files() == before


@pytest.mark.parametrize("name", ["A.age", "a.txt", "a..age", ".age", "-a", "a_b", "x" * 65, "a.age.age"])
def test_a_name_that_is_no_objects_is_refused(host: Host, person: Person, name: str) -> None:
    answer = host.ask("PUT", at(person, f"segments/{name}"), person.sealed(), key=person.device)
    refused(answer, 404, "object-name-malformed")


def test_an_unknown_room_is_refused(host: Host, person: Person) -> None:
    refused(host.ask("PUT", at(person, "inbox/a"), person.sealed(), key=person.device), 404, "room-unknown")
    refused(host.ask("GET", at(person, "inbox"), key=person.device), 404, "room-unknown")
    refused(host.ask("GET", "/v1/owners/x/segments", key=person.device), 400, "owner-id-malformed")


def test_an_absent_object_is_missing(host: Host, person: Person) -> None:
    refused(host.ask("GET", at(person, "segments/none.age"), key=person.device), 404, "object-missing")
    refused(host.ask("GET", at(person, "epochs/0000000009")), 404, "object-missing")


def test_only_access_and_epochs_are_read_without_a_signature(host: Host, person: Person) -> None:
    for room in ROOMS:
        name = numbered(1)
        body = bytes_for(person, room)
        if room != "access":
            (host.root / "owners" / person.owner / room / name).write_bytes(body)
        for path in (at(person, room), at(person, f"{room}/{name}")):
            answer = host.ask("GET", path)
            if room in ("access", "epochs"):
                assert answer.status_code == 200
            else:
                refused(answer, 401, "request-unsigned")
                assert host.ask("GET", path, key=person.writer).status_code == 200
                refused(host.ask("GET", path, key=Person().device), 401, "request-signature")


def test_listings_come_in_pages(tmp_path: Path) -> None:
    with running(tmp_path, HostLimits(page=2)) as host:
        person = Person()
        host.register(person)
        for number in range(5):
            path = at(person, f"epochs/{numbered(number)}")
            assert host.ask("PUT", path, b"{}", key=person.device).status_code == 201
        found: list[str] = []
        more, pages = True, 0
        while more:
            after = f"?after={found[-1]}" if found else ""
            page = msgspec.json.decode(host.ask("GET", at(person, f"epochs{after}")).content, type=Listing)
            found += page.names
            more, pages = page.more, pages + 1
        assert (found, pages) == ([numbered(number) for number in range(5)], 3)


def test_a_signed_query_is_part_of_the_target(host: Host, person: Person) -> None:
    path = at(person, "segments?after=a.age")
    assert host.ask("GET", path, key=person.device).status_code == 200
    headers = requests.sign(requests.Request("GET", host.url + path, {}), person.device)
    refused(host.client.get(at(person, "segments?after=b.age"), headers=headers), 401, "request-signature")


@pytest.mark.parametrize("query", ["before=a", "after=a&after=b", "after=a&x=1", "after", "%ff", "=", "after=%ff"])
def test_a_query_that_does_not_fit_is_refused(host: Host, person: Person, query: str) -> None:
    refused(host.ask("GET", at(person, f"epochs?{query}")), 400, "query-malformed")


def test_a_listing_after_what_is_no_name_is_refused(host: Host, person: Person) -> None:
    refused(host.ask("GET", at(person, "epochs?after=../x")), 404, "object-name-malformed")
