"""Somebody has an owner's device, with all that is on it, and knows how to use it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator

import msgspec
import pytest

from tests.support.fixtures import owner, owners, stage
from tests.support.identities import Device, choose, upload
from tests.support.people import Person, refused
from tests.support.stages import Watched
from tests.support.witness import Witness, running_witness
from waykeep.authority import dsse
from waykeep.authority.statements import EPOCH_TYPE, EpochOpened, EpochStatement, NodeApproved
from waykeep.authority.witnessing import AdvanceJournal, AdvanceOwner, NameStateKey, ReplaceControl, RetireStateKeys
from waykeep.device import identity, journals, writing
from waykeep.device.account import Account
from waykeep.device.keystore import KeyFile
from waykeep.device.profile import Folder
from waykeep.errors import WaykeepError
from waykeep.formats import agefile
from waykeep.formats.ids import sha256
from waykeep.formats.messages import Head
from waykeep.formats.wire import encode_json

__all__ = ["owner", "owners", "stage"]
ALWAYS = (0, 4_000_000_000_000)


@pytest.fixture(scope="module")
def witness(stage: Watched) -> Iterator[Witness]:
    with running_witness(stage.devices, tokens=20) as found:
        yield found


def stolen(person: Person) -> Account:
    """A copy of the owner's device, in a thief's hands."""
    copy = person.stage.devices / f"{person.owner[:8]}-stolen"
    shutil.copytree(person.folder.path, copy)
    return Account(Folder(copy), KeyFile(person.key_file))


def test_the_thief_of_a_device_locks_nobody_out(owner: Person, witness: Witness) -> None:
    """The paper takes the id back: no device, no state key of before counts, at the host and at the witness."""
    with owner.account() as device:
        choose(device, witness)
        upload(device, 0)
    with stolen(owner) as thief:
        # The thief revokes nothing less than everything that they can, and leads the witness on.
        identity.rotate(thief)
        thief.owner_log.append(NodeApproved(agefile.generate()[1], "the thief's"))
        log = thief.log()
        client, control = thief.witness.connected(log), thief.keys.secrets.control_key
        client.ask(AdvanceOwner(log.head, Head(log.head.number + 50, sha256(b"made up"))), control)
        client.ask(RetireStateKeys(client.read().held.state_keys), control)
        with owner.account() as device, refused("owner-log-rewound", "device"):
            device.witness.follow(device.log())  # loud: the witness holds what the host does not show

        new = Device(owner, f"{owner.owner[:8]}-new")
        new.recovered(owner.paper)
        with new.account() as device:
            upload(device, 1)
            assert device.rows("location", *ALWAYS).num_rows == 20
            held = device.witness.connected(device.log()).read().held
            assert held.owner == device.log().head
            assert held.state_keys == (device.connect().state_key,)

        with refused("device-revoked", "device"):
            thief.log()
        with pytest.raises(WaykeepError):
            thief.host.put("owner-log", "0000000099", agefile.seal(b"x", [agefile.generate()[1]]))
        with refused("witness-signer", "witness"):
            client.ask(AdvanceOwner(held.owner, Head(held.owner.number + 1, sha256(b"x"))), control)


def test_what_the_thief_did_is_made_void(owner: Person, witness: Witness) -> None:
    with owner.account() as device:
        choose(device, witness)
        upload(device, 0)
        before = device.log().head.number
    with stolen(owner) as thief:
        identity.rotate(thief)
        thief.owner_log.append(NodeApproved(agefile.generate()[1], "the thief's"))
    new = Device(owner, f"{owner.owner[:8]}-new")
    new.recovered(owner.paper, void_from=before + 1)
    with new.account() as device:
        log = device.log()
        assert [body.name for body in log.nodes.values()] == ["the first node"]
        assert sorted(log.epochs) == [1, 3], (
            "the epoch that the thief began has no effect, and its number is not used again"
        )
        upload(device, 1)
        state, _ = journals.read(device.host, device.keys.secrets, device.log())
        assert {line.epoch for line in state.segments.values()} == {1, 3}


def test_a_stolen_device_cannot_lead_a_writer_to_an_epoch_of_its_own(owner: Person, witness: Witness) -> None:
    """It has no authority, so what it puts among the epochs is nobody's."""
    with owner.account() as device:
        choose(device, witness)
        second = Device(owner, f"{owner.owner[:8]}-b").added(device)
        with second.account() as thief:
            statement = EpochStatement(owner.owner, 2, agefile.generate()[1], 4_000_000_000_000)
            thief.host.put("epochs", "0000000002", dsse.sign(EPOCH_TYPE, encode_json(statement), thief.signer))
            with refused("log-signer", "authority"):
                # Not even in the log: the device signs where only the authority may.
                thief.keys.secrets = msgspec.structs.replace(thief.keys.secrets, authority=thief.keys.secrets.device)
                thief.owner_log.append(EpochOpened(2, sha256(b"x"), statement.recipient))
        assert writing.newest(device.host, owner.owner, None).number == 1
        assert device.epoch().number == 1
        upload(device, 0)


def test_a_device_that_is_stolen_and_revoked_reads_nothing_new(owner: Person, witness: Witness) -> None:
    with owner.account() as device:
        choose(device, witness)
        second = Device(owner, f"{owner.owner[:8]}-b").added(device)
        upload(device, 0)
        with second.account() as thief:
            thief.log()
            identity.revoke(device, identity.find(device.log(), second.name))
            upload(device, 1)
            # With the host's help: every object of the owner's store is theirs.
            secrets = [*thief.keys.secrets.logs, *thief.keys.secrets.epochs.values()]
            newest = [path for room in ("owner-log", "journal", "segments") for path in owner.path(room, "").iterdir()]
            opened = 0
            for path in newest:
                try:
                    agefile.open_(path.read_bytes(), secrets, limit=1 << 25, what="it")
                    opened += 1
                except WaykeepError as error:
                    assert error.rule == "age-not-ours"
            # The entries since the new log key, a record and a segment; what it could open before, it can.
            log = device.log()
            (named,) = (e.number for _, e, _ in log.entries if e.body == log.recipients[-1])
            assert len(newest) - opened == log.head.number - named + 2


def test_a_revoked_device_gets_nothing_from_the_witness_with_the_control_key_it_knows(
    owner: Person, witness: Witness
) -> None:
    with owner.account() as device:
        choose(device, witness)
        second = Device(owner, f"{owner.owner[:8]}-b").added(device)
        third = Device(owner, f"{owner.owner[:8]}-c").added(device)
        upload(device, 0)
        with second.account() as thief:
            log = thief.log()
            client, control = thief.witness.connected(log), thief.keys.secrets.control_key
            # A state key of the thief's own, with which it could set the journal back later.
            client.ask(NameStateKey(thief.signer.public), control)
            identity.revoke(device, identity.find(device.log(), second.name))
            held = client.read().held
            assert (held.owner, held.state_keys) == (device.log().head, (device.connect().state_key,))
            for action in (
                AdvanceOwner(held.owner, Head(held.owner.number + 1, sha256(b"without the revocation"))),
                NameStateKey(thief.keys.secrets.writer_key.public),
                ReplaceControl(thief.keys.secrets.writer_key.public),
            ):
                with refused("witness-signer", "witness"):
                    client.ask(action, control)
            with refused("witness-state-key", "witness"):
                client.ask(AdvanceJournal(held.journal, Head(99, sha256(b"back")), held.owner), thief.signer)
        # The devices that are left, and one that is added now, go on.
        with third.account() as other:
            assert other.witness.follow(other.log()).owner == device.log().head
            other.owner_log.append(NodeApproved(agefile.generate()[1], "another"))
            assert other.witness.untold is None
        fourth = Device(owner, f"{owner.owner[:8]}-d").added(device)
        with fourth.account() as other:
            other.owner_log.append(NodeApproved(agefile.generate()[1], "one more"))
            assert other.witness.follow(other.log()).owner == other.log().head
