"""Somebody has the authority key that an owner replaced, and the host helps them."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import pytest

from tests.support.between import PASS, Between, Said, between, missing
from tests.support.fixtures import owner, owners, stage
from tests.support.identities import Device, choose, upload
from tests.support.people import Person, refused
from tests.support.stages import Watched
from tests.support.witness import Witness, running_witness
from waykeep.authority import dsse, ownerlog
from waykeep.authority.statements import (
    EPOCH_TYPE,
    KEY_LIST_TYPE,
    DeviceAdded,
    EpochStatement,
    KeyList,
)
from waykeep.device import owner as owners_module
from waykeep.device import writing
from waykeep.device.hostclient import HostClient
from waykeep.formats import agefile
from waykeep.formats.ids import numbered
from waykeep.formats.wire import encode_json

__all__ = ["owner", "owners", "stage"]
EVER_MS = 4_000_000_000_000


@pytest.fixture(scope="module")
def witness(stage: Watched) -> Iterator[Witness]:
    with running_witness(stage.devices, tokens=20) as found:
        yield found


@pytest.fixture
def host(stage: Watched) -> Iterator[Between]:
    with between(stage.host_url) as found:
        yield found


@pytest.fixture
def robbed(owner: Person, witness: Witness) -> Device:
    """The owner's new device, after the paper took the id back from whoever has the old keys (`Person.secrets`)."""
    with owner.account() as device:
        choose(device, witness)
        upload(device, 0)
    new = Device(owner, f"{owner.owner[:8]}-new")
    new.recovered(owner.paper)
    return new


def test_an_entry_by_an_old_authority(robbed: Device, owner: Person) -> None:
    thief = owner.secrets
    with robbed.account() as device:
        log = device.log()
        body = DeviceAdded(thief.device_key.public, "back again")
        forged = owners_module.entry_after(owner.owner, log.head, 0, body, thief.authority_key)
        with refused("log-signer", "authority"):
            ownerlog.fold(log, [forged])
        # The host lays it there: to every reader it is no entry, and they go on beside it.
        owner.plant("owner-log", numbered(log.head.number + 1), agefile.seal(forged, log.log_recipients()))
        assert device.log().head == log.head
        upload(device, 1)
        assert device.log().devices == log.devices


def test_a_key_list_by_an_old_authority(robbed: Device, owner: Person) -> None:
    thief = owner.secrets
    number = len(list(owner.path("access", "").iterdir()))
    listed = KeyList(owner.owner, number, (thief.device_key.public,), (), (), ())
    client = HostClient(owner.stage.host_url, owner.owner)
    with refused("key-list-rotation", "authority"):
        client.put_key_list(number, dsse.sign(KEY_LIST_TYPE, encode_json(listed), thief.authority_key))
    client.close()
    with robbed.account() as device:
        upload(device, 1)


def test_an_epoch_by_an_old_authority_of_a_newer_number(robbed: Device, owner: Person) -> None:
    thief = owner.secrets
    statement = EpochStatement(owner.owner, 9, agefile.generate()[1], EVER_MS)
    owner.plant("epochs", numbered(9), dsse.sign(EPOCH_TYPE, encode_json(statement), thief.authority_key))
    with robbed.account() as device:
        assert writing.newest(device.host, owner.owner, None).number == 2
        assert device.epoch().number == 2
        upload(device, 1)


def test_a_writer_that_is_shown_the_time_before_the_rotation(robbed: Device, owner: Person, host: Between) -> None:
    """The host hides the rotation and shows an epoch by the old authority: the witness holds another statement."""
    thief = owner.secrets
    forged = EpochStatement(owner.owner, 2, agefile.generate()[1], EVER_MS)
    envelope = dsse.sign(EPOCH_TYPE, encode_json(forged), thief.authority_key)
    before = sorted(path.name for path in owner.path("access", "").iterdir())[:2]

    def rule(count: int, method: str, path: str) -> Said:
        room, _, name = path.rpartition("/")
        if path.endswith("/access"):
            return encode_json({"names": before, "more": False})
        if room.endswith("/epochs") and name == numbered(2):
            return envelope
        return missing() if room.endswith("/access") and name not in before else PASS

    with robbed.account() as device:
        held = device.witness.connected(device.log()).read().held.epoch
    host.rule = rule
    writer = HostClient(host.url, owner.owner)
    try:
        # Without a witness this is the risk that an owner takes, in words.
        assert writing.newest(writer, owner.owner, None).recipient == forged.recipient
        with refused("epoch-withheld", "device"):
            writing.newest(writer, owner.owner, held)
    finally:
        writer.close()


def test_a_writer_that_is_kept_on_an_old_epoch(robbed: Device, owner: Person, host: Between) -> None:
    def rule(count: int, method: str, path: str) -> Said:
        return encode_json({"names": [numbered(1)], "more": False}) if path.endswith("/epochs") else PASS

    with robbed.account() as device:
        held = device.witness.connected(device.log()).read().held.epoch
    first = owner.path("epochs", numbered(1)).read_bytes()
    writer = HostClient(host.url, owner.owner)
    host.rule = rule
    try:
        # The old epoch is not even signed by the authority of now.
        with refused("epoch-withheld", "device"):
            writing.newest(writer, owner.owner, held)
    finally:
        writer.close()
    assert dsse.peek(first, EPOCH_TYPE).signer == owner.secrets.authority_key.public


def test_a_stolen_folder_is_worth_nothing_after_the_rotation(robbed: Device, owner: Person) -> None:
    copy = owner.stage.devices / f"{owner.owner[:8]}-copy"
    shutil.copytree(owner.folder.path, copy)
    with owner.account() as thief, refused("device-revoked", "device"):
        thief.log()
