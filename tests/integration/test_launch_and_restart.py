"""One user cloud for an owner: launched once, found again, whatever is killed and started anew."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.fixtures import Owners
from tests.support.people import SOME_DAY_MS, Person, points
from tests.support.stages import ROOT, Watched, kill, running
from tests.support.waiting import until
from waykeep.demo.stage import answers
from waykeep.device import audit
from waykeep.device.account import Account
from waykeep.errors import ChannelError
from waykeep.formats import agefile
from waykeep.formats.messages import Address

pytestmark = [pytest.mark.root, pytest.mark.skipif(not ROOT, reason="finds user clouds by their uids")]


def launch(owner: Person) -> Address:
    with owner.account() as device:
        return device.host.cloud()


def test_a_repeated_launch_finds_the_same_process(stage: Watched, owner: Person) -> None:
    first = launch(owner)
    process = stage.cloud(owner.owner)
    second = launch(owner)
    assert (first.started, second.started) == (True, False)
    assert (first.host, first.port) == (second.host, second.port)
    assert stage.cloud(owner.owner) == process


def test_launches_at_once_give_one_process(stage: Watched, owner: Person) -> None:
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(launch, [owner] * 6))
    assert len({address.port for address in found}) == 1
    assert sum(address.started for address in found) == 1
    uid = stage.cloud(owner.owner).uid
    assert sum(process.uid == uid for process in stage.forked()) == 1


def test_two_owners_launched_at_once_get_a_process_each(stage: Watched, owners: Owners) -> None:
    people = [owners(), owners()]
    with ThreadPoolExecutor(2) as pool:
        found = list(pool.map(launch, people))
    assert len({address.port for address in found}) == 2
    assert len({stage.cloud(person.owner).uid for person in people}) == 2


def test_a_launch_after_the_cloud_was_killed_starts_one_with_the_same_uid(stage: Watched, owner: Person) -> None:
    launch(owner)
    before = stage.cloud(owner.owner)
    kill(before)
    stage.forgets(owner.owner)
    assert launch(owner).started
    after = stage.cloud(owner.owner)
    assert after.pid != before.pid and after.uid == before.uid


def test_a_host_killed_and_restarted_on_its_port_finds_every_owner_and_doubles_no_cloud(
    stage: Watched, owners: Owners
) -> None:
    people = [owners() for _ in range(3)]
    devices = [person.account() for person in people]
    for device in devices[:2]:
        device.queue({"location": points(SOME_DAY_MS, 3)}, "imported")
        device.upload()
    status = [device.status() for device in devices]
    clouds = {process.pid for process in stage.forked()}
    listings = [person.listing() for person in people]

    port = stage.kill_host()
    # The user clouds stay, and answer whom they know already.
    assert [device.status() for device in devices] == status
    stage.start_host(port)
    for device in devices:
        device.disconnect()
    assert [device.status() for device in devices] == status
    assert {process.pid for process in stage.forked()} == clouds
    assert [person.listing() for person in people] == listings
    for device in devices:
        device.queue({"location": points(SOME_DAY_MS + 10_000, 2)}, "imported")
        assert device.upload().rows_new == 2
        device.close()


def status_of(device: Account) -> tuple[object, ...]:
    """What must be the same before and after: all but the head of the owner log, which names each new state key."""
    found = device.status()
    return (found.streams, found.runs, found.approvals, found.journal, found.epochs)


def test_with_a_killed_supervisor_all_it_forked_is_gone_and_a_restarted_node_serves_as_before() -> None:
    with running() as stage:
        people = [Person(stage, "one"), Person(stage, "other")]
        before = []
        for person in people:
            with person.account() as device:
                device.queue({"location": points(SOME_DAY_MS, 7)}, "imported")
                device.upload()
                before.append(status_of(device))
        root, uids = stage.root, [stage.cloud(person.owner).uid for person in people]
        assert len(stage.supervised()) == 3

        stage.kill_supervisor()
        until(lambda: not stage.supervised(), "all that it forked is gone", 2)
        assert not answers(f"{stage.host_url}/readyz")

        # The host was not restarted: it remembers nothing of a supervisor.
        stage.start_supervisor()
        assert stage.root == root
        for person, known in zip(people, before, strict=True):
            with person.account() as device:
                assert status_of(device) == known
                assert device.rows("location", 0, SOME_DAY_MS + 10_000).num_rows == 7
                assert audit.read(device)
        assert [stage.cloud(person.owner).uid for person in people] == uids


def test_a_restarted_node_keeps_its_key_and_one_that_lost_it_is_a_new_node() -> None:
    with running() as stage:
        person = Person(stage, "one")

        def node() -> str:
            with person.account() as device:
                device.status()
                return device.appraised.node

        first, root = node(), stage.root
        assert first == agefile.recipient_of((stage.state / "node-key").read_text().strip())
        for lost in (False, True):
            stage.kill_supervisor()
            until(lambda: not stage.supervised(), "all that it forked is gone", 2)
            if lost:
                (stage.state / "node-key").unlink()
            stage.start_supervisor()
            assert (node() == first) != lost
            assert stage.root == root


def test_a_supervisor_whose_parent_process_dies_ends_and_does_not_pretend(owner: Person) -> None:
    """The preloaded parent cannot be replaced, so a node without it stops, and the next one starts clean."""
    with running() as stage:
        person = Person(stage, "one")
        with person.account() as device:
            device.status()
            kill(stage.parent())
            assert stage.supervisor is not None
            stage.supervisor.wait(10)
            until(lambda: not stage.supervised(), "all that it forked is gone", 2)
            stage.start_supervisor()
            with pytest.raises(ChannelError):
                device.status()
            device.disconnect()
            assert device.status().owner == person.owner
