"""Key lists after the authority was replaced: the host follows public rotations, and never back."""

from __future__ import annotations

import base64
import json

import pytest

from tests.unit.host.rig import Host, Person, refused
from waykeep.authority import access, dsse, keys
from waykeep.authority.keys import SigningKey
from waykeep.authority.statements import KEY_LIST_TYPE, ROTATION_TYPE, Rotation
from waykeep.formats.wire import encode_json


def rotated(person: Person, number: int, count: int = 1) -> bytes:
    """The key list after ``count`` rotations, by the authority that they lead to."""
    return person.key_list(number, rotations=person.rotations(count), signer=person.later[count - 1])


def test_lists_of_one_authority_after_another_are_taken(host: Host, person: Person) -> None:
    assert host.put_list(person, 2, rotated(person, 2)).status_code == 201
    assert host.put_list(person, 3, rotated(person, 3)).status_code == 201
    assert host.put_list(person, 4, rotated(person, 4, access.MAX_ROTATIONS)).status_code == 201
    found = host.ask("PUT", f"/v1/owners/{person.owner}/segments/a.age", person.sealed(), key=person.writer)
    assert found.status_code == 201


def test_the_first_list_of_a_host_may_be_rotated_already(host: Host) -> None:
    """An owner whose authority was replaced registers at another host."""
    person = Person()
    assert host.ask("POST", "/v1/owners", person.inception).status_code == 201
    assert host.put_list(person, 1, rotated(person, 1, 2)).status_code == 201


def test_a_list_of_the_authority_that_was_replaced_is_refused(host: Host, person: Person) -> None:
    thiefs = person.key_list(3, devices=(Person().device.public,))
    assert host.put_list(person, 2, rotated(person, 2)).status_code == 201
    before = host.files()
    refused(host.put_list(person, 3, thiefs), 403, "key-list-rotation")
    named = person.key_list(3, rotations=person.rotations(1))
    refused(host.put_list(person, 3, named), 403, "signer-unknown")
    assert host.files() == before


def test_a_list_that_forgets_a_rotation_is_refused(host: Host, person: Person) -> None:
    assert host.put_list(person, 2, rotated(person, 2, 2)).status_code == 201
    before = host.files()
    refused(host.put_list(person, 3, rotated(person, 3, 1)), 403, "key-list-rotation")
    forgets = person.key_list(3, rotations=person.rotations(2)[:1], signer=person.later[1])
    refused(host.put_list(person, 3, forgets), 403, "signer-unknown")
    assert host.files() == before


def test_a_list_by_a_next_authority_that_did_not_rotate_is_refused(host: Host, person: Person) -> None:
    refused(host.put_list(person, 2, person.key_list(2, signer=person.later[0])), 403, "signer-unknown")


def by(person: Person, signer: SigningKey, number: int = 1, authority: SigningKey | None = None) -> str:
    rotation = Rotation(person.owner, number, (authority or signer).public, keys.key_digest(person.later[1].public))
    return dsse.sign(ROTATION_TYPE, encode_json(rotation), signer).decode()


def test_rotations_that_the_owners_paper_did_not_make_are_refused(host: Host, person: Person) -> None:
    thief, first, second = person.device, *person.rotations(2)
    before = host.files()
    for rotations, signer in (
        ((by(person, thief),), thief),
        ((by(person, thief, authority=person.later[0]),), thief),
        ((by(person, person.later[0], number=2),), person.later[0]),
        (person.rotations(1, owner=Person().owner), person.later[0]),
        ((second,), person.later[1]),
        ((second, first), person.later[1]),
        ((first, first), person.later[0]),
    ):
        refused(host.put_list(person, 2, person.key_list(2, rotations=rotations, signer=signer)), 403, "log-rotation")
    assert host.files() == before


@pytest.mark.parametrize("text", ["", "no envelope", "{}", "\u00e4" * 9000])
def test_a_rotation_that_is_none_is_refused(host: Host, person: Person, text: str) -> None:
    answer = host.put_list(person, 2, person.key_list(2, rotations=(text,)))
    refused(answer, 413 if len(text) > 8192 else 400, "too-large" if len(text) > 8192 else "malformed")


def test_a_rotation_with_a_broken_signature_is_refused(host: Host, person: Person) -> None:
    envelope = json.loads(person.rotations(1)[0])
    envelope["signatures"][0]["sig"] = base64.b64encode(bytes(64)).decode()
    broken = encode_json(envelope).decode()
    answer = host.put_list(person, 2, person.key_list(2, rotations=(broken,), signer=person.later[0]))
    refused(answer, 400, "signature-invalid")


def test_more_rotations_than_a_log_may_hold_are_refused(host: Host, person: Person) -> None:
    refused(host.put_list(person, 2, rotated(person, 2, access.MAX_ROTATIONS + 1)), 409, "key-list-mismatch")


def test_more_callers_than_a_list_may_hold_are_refused(host: Host, person: Person) -> None:
    callers = tuple(keys.SigningKey(n.to_bytes(32)).public for n in range(access.MAX_CALLERS + 1))
    assert host.put_list(person, 2, person.key_list(2, callers=callers[1:])).status_code == 201
    refused(host.put_list(person, 3, person.key_list(3, callers=callers)), 409, "key-list-mismatch")


def test_a_list_without_the_newer_fields_is_one_of_no_callers(host: Host, person: Person) -> None:
    """As devices signed them before there were callers and rotations."""
    listed = {"owner": person.owner, "number": 2, "devices": [person.device.public], "writers": []}
    envelope = dsse.sign(KEY_LIST_TYPE, encode_json(listed), person.authority)
    assert host.put_list(person, 2, envelope).status_code == 201
