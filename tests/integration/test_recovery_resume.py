"""Records that are lost, and the owner's word that it goes on without them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.fixtures import Owners
from tests.support.identities import Device, choose, upload
from tests.support.people import Person, refused
from tests.support.stages import Watched
from tests.support.witness import Witness, running_witness
from waykeep.authority.statements import Resumed
from waykeep.device import resuming, verifying
from waykeep.device.account import Account
from waykeep.errors import WaykeepError

ALWAYS = (0, 4_000_000_000_000)


@pytest.fixture(scope="module")
def witness(stage: Watched) -> Iterator[Witness]:
    with running_witness(stage.devices, tokens=20) as found:
        yield found


def lose(person: Person, count: int) -> list[tuple[Path, bytes]]:
    """Take the newest records, all snapshots and the sealed state away, as a host that goes back to an old copy."""
    gone = sorted(person.path("journal", "").iterdir())[-count:]
    gone += [*person.path("snapshots", "").iterdir(), *person.path("sealed", "").iterdir()]
    kept = [(path, path.read_bytes()) for path in gone]
    for path in gone:
        path.unlink()
    return kept


def four_records(person: Person, device: Account) -> None:
    for step in range(4):
        upload(device, step)
    device.suspend(forget=True)
    person.stage.forgets(person.owner)


@pytest.mark.parametrize("witnessed", [True, False])
def test_a_resume_says_what_is_missing_and_goes_on(owner: Person, witness: Witness, witnessed: bool) -> None:
    with owner.account() as device:
        if witnessed:
            choose(device, witness)
        four_records(owner, device)
        lose(owner, 2)
        with refused("journal-rewound", "device"):
            device.connect()
        gap = resuming.look(device)
        assert gap.missing == (2, 3) and not gap.forked
        number = resuming.resume(device, gap)
        assert device.folder.heads().journal == gap.left
        upload(device, 9)
        assert device.rows("location", *ALWAYS).num_rows == 30
        body = device.log().entries[number - 1][1].body
        assert body == Resumed(gap.seen, gap.left)
        with refused("resume-not-needed", "device"):
            resuming.resume(device, resuming.look(device))
        if witnessed:
            held = device.witness.connected(device.log()).read().held
            assert (held.resumes, held.owner) == (1, device.log().head)
        assert verifying.verify(device).findings == ()


def test_another_device_lets_its_journal_go_back_as_well(owner: Person) -> None:
    with owner.account() as device:
        second = Device(owner, f"{owner.owner[:8]}-b").added(device)
        four_records(owner, device)
        with second.account() as other:
            assert other.status().journal == device.folder.heads().journal
            other.suspend(forget=True)
            owner.stage.forgets(owner.owner)
        lose(owner, 2)
        with second.account() as other, refused("journal-rewound", "device"):
            other.connect()
        resuming.resume(device, resuming.look(device))
        with second.account() as other:
            assert other.rows("location", *ALWAYS).num_rows == 20


def test_a_resume_that_was_cut_off_before_the_witness_is_told_by_the_next_command(
    owner: Person, stage: Watched
) -> None:
    with running_witness(stage.devices, tokens=1, name=f"w-{owner.owner[:8]}") as witness, owner.account() as device:
        choose(device, witness)
        four_records(owner, device)
        lose(owner, 1)
        gap = resuming.look(device)
        witness.stop()
        with refused("witness-unreachable", "channel"):
            resuming.resume(device, gap)
        assert len(device.log().resumed) == 1
        witness.start()
        with owner.account() as again:
            assert resuming.look(again).half_done
            resuming.resume(again, resuming.look(again))
            held = again.witness.connected(again.log()).read().held
            assert (held.resumes, held.owner) == (1, again.log().head)
            assert len(again.log().resumed) == 1
            upload(again, 9)


def test_a_host_that_went_on_from_an_old_copy_is_a_fork(owner: Person) -> None:
    with owner.account() as device:
        four_records(owner, device)
        lost = lose(owner, 2)
        resuming.resume(device, resuming.look(device))
        upload(device, 7)
        upload(device, 8)
        device.suspend(forget=True)
        owner.stage.forgets(owner.owner)
        seen = device.folder.heads().journal
        for path, data in lost:
            path.write_bytes(data)
        with refused("journal-rewound", "device"):
            device.connect()
        gap = resuming.look(device)
        assert gap.forked and gap.seen == seen
        found = {finding.rule for finding in verifying.verify(device).findings}
        assert found == {"audit-fork", "audit-segment"} or found == {"audit-fork"}


def test_the_alarm_says_what_was_seen_and_what_to_do(owners: Owners) -> None:
    owner = owners()
    with owner.account() as device:
        four_records(owner, device)
        lose(owner, 1)
        with pytest.raises(WaykeepError) as caught:
            device.connect()
    assert "ends with record 2" in caught.value.message and "has seen record 3" in caught.value.message
    assert "restored an old copy" in caught.value.message
    assert "waykeep resume" in caught.value.hint
