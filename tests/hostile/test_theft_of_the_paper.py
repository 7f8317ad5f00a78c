"""Somebody has seen one of the two secrets on an owner's paper."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.fixtures import owner, owners, stage
from tests.support.identities import Device, choose, upload
from tests.support.people import Person, refused
from tests.support.stages import Watched
from tests.support.witness import Witness, running_witness
from waykeep.authority import controls, keys
from waykeep.authority.keys import SigningKey
from waykeep.authority.witnessing import Rotate
from waykeep.device import witnesses
from waykeep.device.account import Account
from waykeep.device.owner import Paper
from waykeep.errors import WaykeepError
from waykeep.formats import agefile
from waykeep.formats.ids import sha256
from waykeep.formats.messages import Head

__all__ = ["owner", "owners", "stage"]
ALWAYS = (0, 4_000_000_000_000)


@pytest.fixture(scope="module")
def witness(stage: Watched) -> Iterator[Witness]:
    with running_witness(stage.devices, tokens=20) as found:
        yield found


def opened_with(person: Person, secrets: list[str], rooms: tuple[str, ...]) -> set[str]:
    """What of the store these secrets open, with the host's help, over all that they lead to."""
    found: set[str] = set()
    known = list(secrets)
    while True:
        before = len(found)
        for room in rooms:
            for path in person.path(room, "").iterdir():
                if f"{room}/{path.name}" in found:
                    continue
                try:
                    plain = agefile.open_(path.read_bytes(), known, limit=1 << 25, what="it")
                except WaykeepError:
                    continue
                found.add(f"{room}/{path.name}")
                if room == "keys":
                    known += [
                        text for text in plain.decode().replace('"', " ").split() if text.startswith("AGE-SECRET")
                    ]
        if len(found) == before:
            return found


def test_a_stolen_opening_secret_reads_and_signs_nothing_and_is_replaced(owner: Person, witness: Witness) -> None:
    rooms = ("owner-log", "keys", "journal", "segments")
    with owner.account() as device:
        choose(device, witness)
        upload(device, 0)
    before = {path.name for path in owner.path("segments", "").iterdir()}
    thief = opened_with(owner, [owner.paper.opening], rooms)
    assert {f"segments/{name}" for name in before} <= thief, "it opens everything: that is what it is for"
    with refused("rotating-secret-malformed", "authority"):
        Device(owner, f"{owner.owner[:8]}-thief").recovered(Paper(owner.paper.opening, owner.paper.opening))
    new = Device(owner, f"{owner.owner[:8]}-new")
    paper = new.recovered(owner.paper)
    with new.account() as device:
        upload(device, 1)
    after = {path.name for path in owner.path("segments", "").iterdir()} - before
    assert len(after) == 1
    assert not {f"segments/{name}" for name in after} & opened_with(owner, [owner.paper.opening], rooms)
    assert {f"segments/{name}" for name in after} <= opened_with(owner, [paper.opening], rooms)


def test_a_stolen_rotating_secret_reads_nothing_and_the_owner_takes_the_id_back(
    owner: Person, witness: Witness
) -> None:
    """The thief can annoy: the host takes their key list. They read nothing, and spend nothing."""
    with owner.account() as device:
        choose(device, witness)
        upload(device, 0)
        pseudonym_log = device.log()
        client = device.witness.connected(pseudonym_log)
        held = client.read().held

        rotating = keys.rotating_secret(owner.paper.rotating)
        thief = Device(owner, f"{owner.owner[:8]}-thief")
        with refused("opening-secret-mismatch", "device"):
            thief.recovered(Paper(agefile.generate()[0], owner.paper.rotating))
        # At the witness: only the next control key rotates, which the secret gives, and it retires what could spend.
        control = SigningKey(keys.derive(rotating, "next-control"))
        salt = keys.derive(rotating, "next-control-salt")[:16]
        made_up = Head(held.owner.number + 1, sha256(b"made up"))
        client.ask(Rotate((controls.rotation(control, salt, sha256(b"the thief's next")),), made_up), control)
        assert client.read().held.state_keys == ()

        # The owner takes the id back twice: the thief knows the keys of the first time as well.
        first = Device(owner, f"{owner.owner[:8]}-1")
        paper = first.recovered(owner.paper)
        second = Device(owner, f"{owner.owner[:8]}-2")
        second.recovered(paper)
    with second.account() as device:
        device.log()
        # The witness is the thief's now, and that is loud; the owner goes on with another.
        with refused("owner-log-rewound", "device"):
            device.connect()
        with running_witness(owner.stage.devices, tokens=1, name=f"w-{owner.owner[:8]}") as other:
            witnesses.replace_dead(device, other.url, other.key, other.tokens.pop())
            goes_on(device, rotating)
    with refused("paper-used", "device"):
        Device(owner, f"{owner.owner[:8]}-thief2").recovered(owner.paper)


def goes_on(device: Account, rotating: bytes) -> None:
    log = device.log()
    assert log.authority != SigningKey(keys.derive(rotating, "next-authority")).public
    upload(device, 1)
    assert device.rows("location", *ALWAYS).num_rows == 20
    assert list(log.devices) == [device.signer.public]
