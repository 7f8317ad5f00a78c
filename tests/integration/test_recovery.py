"""Taking an owner id back with the two secrets on paper, on machines that are empty, or cut off at any point."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.between import LOSE, PASS, Between, between, cut_after
from tests.support.fixtures import Owners
from tests.support.identities import Device, choose, upload
from tests.support.people import Person, refused
from tests.support.stages import Watched
from tests.support.witness import Witness, running_witness
from waykeep.authority.statements import AuthorityRotated, DeviceAdded, NodeApproved
from waykeep.channel.witness import WitnessClient
from waykeep.device import recovery, witnesses
from waykeep.device.making import now_ms
from waykeep.device.owner import Paper
from waykeep.errors import HostError, WaykeepError
from waykeep.formats import agefile
from waykeep.formats.ids import numbered

ALWAYS = (0, 4_000_000_000_000)


@pytest.fixture(scope="module")
def witness(stage: Watched) -> Iterator[Witness]:
    with running_witness(stage.devices, tokens=20) as found:
        yield found


@pytest.fixture
def host(stage: Watched) -> Iterator[Between]:
    with between(stage.host_url) as found:
        yield found


def rotations(person: Device) -> list[int]:
    with person.account() as device:
        return [e.number for _, e, _ in device.log().entries if isinstance(e.body, AuthorityRotated)]


def works(new: Device, rows: int) -> None:
    """All that the owner had is there, and they can go on."""
    with new.account() as device:
        upload(device, rows)
        assert device.rows("location", *ALWAYS).num_rows == rows + 10
        assert device.status().epochs_missing == ()


def test_everything_comes_back_on_an_empty_machine(owner: Person, witness: Witness) -> None:
    with owner.account() as device:
        choose(device, witness)
        upload(device, 0)
        journal = device.status().journal
    new = Device(owner, f"{owner.owner[:8]}-new")
    paper = new.recovered(owner.paper)
    assert paper != owner.paper
    assert not new.folder.recovering.exists()
    with new.account() as device:
        log = device.log()
        assert [body.name for body in log.devices.values()] == [new.name]
        held = device.witness.connected(log).read().held
        assert (held.owner, held.state_keys) == (log.head, ())
        upload(device, 1)
        assert device.rows("location", *ALWAYS).num_rows == 20
        held = device.witness.connected(log).read().held
        assert device.connect().state_key in held.state_keys
        assert journal is not None and device.folder.heads().journal is not None
    with owner.account() as device, refused("device-revoked", "device"):
        device.log()


def test_the_new_paper_recovers_again_and_the_old_one_never(owner: Person) -> None:
    with owner.account() as device:
        upload(device, 0)
    first = Device(owner, f"{owner.owner[:8]}-1")
    paper = first.recovered(owner.paper)
    works(first, 10)
    with refused("paper-used", "device"):
        Device(owner, f"{owner.owner[:8]}-void").recovered(owner.paper)
    works(first, 20)  # and that attempt cost nobody anything
    second = Device(owner, f"{owner.owner[:8]}-2")
    newest = second.recovered(paper)
    works(second, 30)
    assert newest not in (paper, owner.paper)
    with refused("paper-used", "device"):
        Device(owner, f"{owner.owner[:8]}-void2").recovered(owner.paper)
    works(second, 40)


@pytest.mark.parametrize("kind", ["drop", "lose"])
def test_a_recovery_cut_off_at_any_request_goes_on_in_the_same_folder(owners: Owners, host: Between, kind: str) -> None:
    """One more request gets through each time, until it is done: no paper is asked for again, no entry doubled."""
    person = owners()
    with person.account() as device:
        upload(device, 0)
    new = Device(person, f"{person.owner[:8]}-new", host.url)
    paper, attempts = Paper("", ""), 0
    while True:
        host.asked.clear()
        host.rule = cut_after(attempts, kind)
        begun = new.folder.recovering.exists()
        try:
            shown = new.recovered(Paper("", "") if begun else person.paper)
            paper = paper if begun else shown
            break
        except WaykeepError as error:
            assert error.rule in ("host-unreachable", "entry-pending"), error
        attempts += 1
    host.rule = lambda count, method, path: PASS
    assert attempts > 15
    assert len(rotations(new)) == 1
    with new.account() as device:
        assert sum(isinstance(e.body, DeviceAdded) for _, e, _ in device.log().entries) == 2
    works(new, 10)


def test_a_recovery_whose_machine_is_lost_at_any_request_is_begun_anew(owners: Owners, host: Between) -> None:
    """On another machine each time: with the old paper until the log has the rotation, and with the new one then."""
    for passed in range(1, 200, 15):
        person = owners()
        with person.account() as device:
            upload(device, 0)
        lost = Device(person, f"{person.owner[:8]}-lost", host.url)
        shown: list[Paper] = []
        host.asked.clear()
        host.rule = cut_after(passed, LOSE)
        try:
            shown.append(lost.recovered(person.paper))
        except WaykeepError as error:
            assert error.rule in ("host-unreachable", "entry-pending"), error
        done = bool(shown)
        host.rule = lambda count, method, path: PASS
        new = Device(person, f"{person.owner[:8]}-new")
        try:
            new.recovered(person.paper)
        except WaykeepError as error:
            assert error.rule == "paper-used", error
        else:
            assert not done
            works(new, 10)
            continue
        if done:
            newest = Device(person, f"{person.owner[:8]}-newest")
            newest.recovered(shown[0])
            works(newest, 10)
            return
        # It was cut off after the log had the rotation: the same folder goes on, as the paper that it showed does.
        lost.recovered(Paper("", ""))
        works(lost, 10)
    pytest.fail("no recovery got through")


def test_paper_unconfirmed_until_the_paper_before_was_tried(owner: Person, host: Between) -> None:
    """Cut off after the host was told, before the log: the host must not be told of a further rotation."""
    with owner.account() as device:
        upload(device, 0)
    lost = Device(owner, f"{owner.owner[:8]}-lost", host.url)
    host.rule = lambda count, method, path: PASS if host.puts("access") == 0 or "access" in path else LOSE
    shown: list[Paper] = []
    with pytest.raises(WaykeepError, match="host-unreachable"):
        recovery.recover(
            lost.folder, lost.profile, lost.lock, lambda: owner.paper, "lost", show=shown.append, clock=now_ms
        )
    host.rule = lambda count, method, path: PASS
    with refused("paper-unconfirmed", "device"):
        Device(owner, f"{owner.owner[:8]}-newest").recovered(shown[0])
    new = Device(owner, f"{owner.owner[:8]}-new")
    new.recovered(owner.paper)
    works(new, 10)


def test_a_witness_that_is_down_is_told_by_a_later_command(owner: Person, stage: Watched) -> None:
    with running_witness(stage.devices, tokens=1, name=f"w-{owner.owner[:8]}") as witness:
        with owner.account() as device:
            choose(device, witness)
            upload(device, 0)
        witness.stop()
        new = Device(owner, f"{owner.owner[:8]}-new")
        new.recovered(owner.paper)
        witness.start()
        with new.account() as device:
            upload(device, 1)
            held = device.witness.connected(device.log()).read().held
            assert held.owner == device.log().head
            assert held.state_keys == (device.connect().state_key,)


def test_a_witness_that_missed_a_recovery_whose_machine_is_lost_is_told_with_the_next_paper_alone(
    owner: Person, stage: Watched
) -> None:
    """That paper does not give the control key that the witness committed to; the owner log leads on from there."""
    with running_witness(stage.devices, tokens=1, name=f"w-{owner.owner[:8]}") as witness:
        with owner.account() as device:
            choose(device, witness)
            upload(device, 0)
        witness.stop()
        paper = owner.paper
        for turn in range(3):
            if turn == 2:
                witness.start()
            machine = Device(owner, f"{owner.owner[:8]}-{turn}")
            paper = machine.recovered(paper)
        with machine.account() as device:
            device.connect()
            held = device.witness.connected(device.log()).read().held
            assert held.owner == device.log().head and device.witness.untold is None
            assert len(device.log().rotations) == 3
            assert device.rows("location", *ALWAYS).num_rows == 10


def test_a_witness_that_is_made_void_is_told_as_well(owner: Person, witness: Witness, stage: Watched) -> None:
    """A user cloud that the host shows the log of before would have it go on with what was granted then."""
    with running_witness(stage.devices, tokens=1, name=f"w-{owner.owner[:8]}") as other:
        with owner.account() as device:
            choose(device, witness)
            upload(device, 0)
            pseudonym = device.log().pseudonym()
            number = witnesses.move(device, other.url, other.key, other.tokens.pop())
        new = Device(owner, f"{owner.owner[:8]}-new")
        new.recovered(owner.paper, void_from=number)
        with new.account() as device, WitnessClient(other.url, other.key, pseudonym) as client:
            log = device.log()
            assert log.witness is not None and log.witness.key == witness.key
            held = client.read().held
            assert log.holds(held.owner) and held.owner.number >= log.rotated and held.state_keys == ()
            assert witnesses.rotate_void(device, log) == (), "told once, it counts as told where this is repeated"
            other.stop()
            assert witnesses.rotate_void(device, log) == (other.url,)
            other.start()


def test_a_void_witness_that_is_down_is_named(owner: Person, witness: Witness, stage: Watched) -> None:
    with running_witness(stage.devices, tokens=1, name=f"w-{owner.owner[:8]}") as other:
        with owner.account() as device:
            choose(device, witness)
            number = witnesses.move(device, other.url, other.key, other.tokens.pop())
        other.stop()
        new = Device(owner, f"{owner.owner[:8]}-new")
        assert new.recovering(owner.paper, void_from=number).void == (other.url,)
        other.start()


def test_entries_since_a_number_are_void(owner: Person) -> None:
    with owner.account() as device:
        upload(device, 0)
        before = device.log().head.number
        device.owner_log.append(NodeApproved(agefile.generate()[1], "the thief's"))
    new = Device(owner, f"{owner.owner[:8]}-new")
    new.recovered(owner.paper, void_from=before + 1)
    with new.account() as device:
        assert [body.name for body in device.log().nodes.values()] == ["the first node"]
    works(new, 10)


# -- wrong papers ------------------------------------------------------------------------------------------------------


def test_a_paper_of_another_owner(owners: Owners) -> None:
    owner, other = owners(), owners()
    with refused("paper-mismatch", "device"):
        Device(owner, f"{owner.owner[:8]}-new").recovered(other.paper)
    with refused("rotating-secret-malformed", "authority"):
        Device(owner, f"{owner.owner[:8]}-new2").recovered(Paper(owner.paper.opening, "WAYKEEP-ROTATE-1-X"))
    with owner.account() as device:
        upload(device)


def test_an_opening_secret_of_another_owner(owners: Owners) -> None:
    owner, other = owners(), owners()
    with owner.account() as device:
        upload(device)
    wrong, new = Paper(other.paper.opening, owner.paper.rotating), Device(owner, f"{owner.owner[:8]}-new")
    with refused("opening-secret-mismatch", "device"):
        new.recovered(wrong)
    again = Device(owner, f"{owner.owner[:8]}-again")
    again.recovered(owner.paper)
    works(again, 10)


def test_a_host_that_hides_the_key_lists(owner: Person, host: Between) -> None:
    def rule(count: int, method: str, path: str) -> WaykeepError | str:
        hidden = path.endswith(f"/access/{numbered(0)}")
        return HostError("object-missing", "found no object", status=404) if hidden else PASS

    host.rule = rule
    with refused("key-list-withheld", "device"):
        Device(owner, f"{owner.owner[:8]}-new", host.url).recovered(owner.paper)
