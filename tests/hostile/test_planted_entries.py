"""A thief with a listed device puts what is no entry wherever the next ones may lie; nobody is locked out."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import msgspec
import pytest

from tests.support.fixtures import owner, owners, stage
from tests.support.identities import Device, upload
from tests.support.people import Person, refused
from waykeep.authority import access, dsse
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.permissions import Withdrawn
from waykeep.authority.statements import KEY_LIST_TYPE, NodeApproved
from waykeep.device import identity, verifying, writing
from waykeep.device.account import Account
from waykeep.device.keystore import KeyFile
from waykeep.device.owner import Paper, entry_after
from waykeep.device.profile import Folder
from waykeep.errors import WaykeepError
from waykeep.formats import agefile, entries
from waykeep.formats.ids import numbered
from waykeep.formats.wire import encode_json

__all__ = ["owner", "owners", "stage"]
ALWAYS = (0, 4_000_000_000_000)
Make = Callable[[Account, OwnerState], bytes]


def noise(thief: Account, log: OwnerState) -> bytes:
    """What nobody opens."""
    return agefile.seal(b"noise", [agefile.generate()[1]])


def no_envelope(thief: Account, log: OwnerState) -> bytes:
    return agefile.seal(b"it opens", log.log_recipients())


def refused_entry(thief: Account, log: OwnerState) -> bytes:
    """By a device in force, in its place, and it takes back what is not there."""
    entry = entry_after(log.owner, log.head, 0, Withdrawn(999), thief.signer)
    return agefile.seal(entry, log.log_recipients())


def entry_out_of_place(thief: Account, log: OwnerState) -> bytes:
    """Good but for its number."""
    ahead = msgspec.structs.replace(log.head, number=log.head.number + 99)
    entry = entry_after(log.owner, ahead, 0, NodeApproved(agefile.generate()[1], "a node"), thief.signer)
    return agefile.seal(entry, log.log_recipients())


KINDS: list[Make] = [noise, no_envelope, refused_entry, entry_out_of_place]


def newest_list(device: Account) -> tuple[int, int]:
    """How many rotations the newest key list holds, and its number."""
    found = writing.newest_list(device.host, device.owner, device.host.get("access", numbered(0)) or b"")
    assert found is not None
    return len(found.rotations), found.number


def plant(thief: Account, log: OwnerState, make: Make, count: int) -> None:
    """Put it under the next ``count`` numbers and beside each, as far as the host lets a thief."""
    for number in range(log.head.number + 1, log.head.number + 1 + count):
        thief.host.put("owner-log", numbered(number), make(thief, log))
        thief.host.put("owner-log", entries.beside(number, *newest_list(thief)), make(thief, log))


def goes_on(device: Account, other: Device, step: int) -> None:
    """The device writes and reads, and another one and the user cloud follow."""
    device.owner_log.append(NodeApproved(agefile.generate()[1], f"node {step}"))
    upload(device, step)
    head = device.log().head
    assert device.status().owner_head == head
    with other.account() as second:
        assert second.log().head == head
        second.owner_log.append(NodeApproved(agefile.generate()[1], f"node of the second, {step}"))
    assert device.log().head.number == head.number + 1
    assert device.rows("location", *ALWAYS).num_rows == 10 * (step + 1)


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_what_a_thief_plants_is_no_entry_and_the_thief_is_revoked(owner: Person, make: Make) -> None:
    with owner.account() as device:
        other = Device(owner, f"{owner.owner[:8]}-b").added(device)
        lost = Device(owner, f"{owner.owner[:8]}-lost").added(device)
        upload(device, 0)
        before = device.log().head
        with lost.account() as thief:
            log = thief.log()
            plant(thief, log, make, 12)
            # The log is what it was, for everybody who has the newest log secret.
            assert device.log().head == before == device.status().owner_head
            assert device.owner_log.chain.blocked == before.number + 1
            # A device without the authority cannot make place, and is told so; what it decided is kept.
            with other.account() as second:
                assert second.log().head == before
                with refused("owner-log-contended", "device"):
                    second.owner_log.append(NodeApproved(agefile.generate()[1], "a node"))
            number = identity.revoke(device, identity.find(device.log(), lost.name))
            assert number == before.number + 1
            assert thief.signer.public not in device.log().devices
            with pytest.raises(WaykeepError) as caught:
                thief.host.put("owner-log", numbered(device.log().head.number + 1), make(thief, log))
            assert caught.value.status == 401
        with other.account() as second:
            names = [body.name for body in second.log().nodes.values()]
            assert names == ["the first node", "a node"], "what waited there was taken"
        goes_on(device, other, 1)
        goes_on(device, other, 2)
        assert len(list(owner.folder.log.iterdir())) == device.log().head.number + 1, "one copy of each entry"
        found = verifying.verify(device)
        assert {finding.rule for finding in found.findings} == {"audit-foreign"}
        assert found.entries == device.log().head.number + 1
    restart(owner)
    with owner.account() as device:
        assert device.rows("location", *ALWAYS).num_rows == 30
    new = Device(owner, f"{owner.owner[:8]}-new")
    new.recovered(owner.paper)
    with new.account() as device:
        assert device.log().rotated > before.number
        upload(device, 3)


def restart(person: Person) -> None:
    """The device's copies are gone, and the user cloud starts anew: all is read from the store."""
    with person.account() as device:
        device.suspend()
    for copy in person.folder.log.iterdir():
        copy.unlink()


@pytest.mark.parametrize("make", KINDS, ids=lambda make: make.__name__)
def test_the_paper_takes_the_id_back_from_a_thief_with_the_authority(owner: Person, make: Make) -> None:
    """40 key lists of the thief's own, and so 40 names beside each of the next entries: all are filled."""
    with owner.account() as device:
        upload(device, 0)
        before = device.log().head
    copy = owner.stage.devices / f"{owner.owner[:8]}-stolen"
    shutil.copytree(owner.folder.path, copy)
    with Account(Folder(copy), KeyFile(owner.key_file)) as thief:
        log = thief.log()
        plant(thief, log, make, 2)
        for _ in range(40):
            rotations, number = newest_list(thief)
            listed = access.key_list(
                owner.owner, thief.host.get("access", numbered(0)) or b"",
                thief.host.get("access", numbered(number)) or b"", number,
            )  # fmt: skip
            again = msgspec.structs.replace(listed, number=number + 1)
            signed = dsse.sign(KEY_LIST_TYPE, encode_json(again), thief.keys.secrets.authority_key)
            thief.host.put_key_list(number + 1, signed)
            for n in (1, 2):
                name = entries.beside(log.head.number + n, rotations, number + 1)
                thief.host.put("owner-log", name, make(thief, log))
        new = Device(owner, f"{owner.owner[:8]}-new")
        new.recovered(owner.paper)
        with pytest.raises(WaykeepError) as caught:
            thief.host.put("owner-log", entries.beside(log.head.number + 1, *newest_list(thief)), make(thief, log))
        assert caught.value.status == 401
    with new.account() as device:
        assert device.log().rotated == before.number + 1
        assert list(device.log().devices) == [device.signer.public]
        other = Device(owner, f"{owner.owner[:8]}-b").added(device)
        upload(device, 1)
        goes_on(device, other, 2)


def test_an_entry_that_only_the_paper_opens_leads_nobody_astray(owner: Person) -> None:
    """Every signature is right. To devices and user cloud it is no entry, and so it is none to the paper."""
    with owner.account() as device:
        lost = Device(owner, f"{owner.owner[:8]}-lost").added(device)
        upload(device, 0)
        with lost.account() as thief:
            log = thief.log()
            entry = entry_after(log.owner, log.head, 0, NodeApproved(agefile.generate()[1], "theirs"), thief.signer)
            thief.host.put(
                "owner-log", numbered(log.head.number + 1), agefile.seal(entry, [log.recipients[-1].recovery])
            )
        device.owner_log.append(NodeApproved(agefile.generate()[1], "ours"))
        assert owner.path("owner-log", entries.beside(log.head.number + 1, *newest_list(device))).exists()
        identity.revoke(device, identity.find(device.log(), lost.name))
        upload(device, 1)
        after = device.log()
        assert sorted(after.epochs) == [1, 2]
    new = Device(owner, f"{owner.owner[:8]}-new")
    new.recovered(owner.paper)
    with new.account() as device:
        assert {"1", "2"} <= set(device.keys.secrets.epochs)
        assert device.rows("location", *ALWAYS).num_rows == 20
        found = device.log()
        assert found.digest_at(after.head.number) == after.head.digest
        assert "theirs" not in [body.name for body in found.nodes.values()]


def test_a_thief_fills_no_number_in_advance_and_no_name_of_another_key_list(owner: Person) -> None:
    with owner.account() as device:
        lost = Device(owner, f"{owner.owner[:8]}-lost").added(device)
        with lost.account() as thief:
            log, before = thief.log(), owner.listing()
            following, (rotations, listed) = log.head.number + 1, newest_list(thief)
            for name in (
                numbered(following + 1),
                numbered(following + 1000),
                entries.beside(following, rotations, listed),
                entries.beside(following - 1, rotations, listed + 1),
                entries.beside(following - 1, rotations, listed - 1),
                entries.beside(following - 1, rotations + 1, listed),
                f"{numbered(following)}-0000000000000000",
                f"{numbered(following)}.age",
                "x",
            ):
                with refused("entry-skips", "host"):
                    thief.host.put("owner-log", name, noise(thief, log))
            assert owner.listing() == before


def test_the_wrong_opening_secret_is_told_from_what_a_thief_planted(owner: Person) -> None:
    """Of the paper before: it opens the beginning of the log, and not what follows the next paper's recipients."""
    first = Device(owner, f"{owner.owner[:8]}-1")
    paper = first.recovered(owner.paper)
    with first.account() as device:
        thief = Device(owner, f"{owner.owner[:8]}-lost").added(device)
        with thief.account() as lost:
            plant(lost, lost.log(), noise, 2)
    again = Device(owner, f"{owner.owner[:8]}-2")
    with refused("opening-secret-mismatch", "device"):
        again.recovered(Paper(owner.paper.opening, paper.rotating))
    again.recovered(paper)
    with again.account() as device:
        assert len(device.log().rotations) == 2
