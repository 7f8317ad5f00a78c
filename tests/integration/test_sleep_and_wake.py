"""A user cloud sleeps without its owner noticing, and wakes without its owner being there."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support import node, stages
from tests.support.people import SOME_DAY_MS, Person, points, refused
from tests.support.stages import Watched
from tests.support.waiting import until
from waykeep.channel.client import AttestedClient
from waykeep.device.account import Account, now_ms
from waykeep.device.reaching import reach
from waykeep.formats.messages import Status, Suspended
from waykeep.formats.wire import decode_json

ALWAYS = (0, 4_000_000_000_000)


@pytest.fixture(scope="module")
def stage() -> Iterator[Watched]:
    with stages.running() as found:
        yield found


def awake(device: Account) -> AttestedClient:
    """A connection to whatever the host starts or finds, to which nothing is handed over."""
    return reach(device.host, device.owner, device.profile.trust, now_ms, device.signer)


def status(client: AttestedClient) -> Status:
    return decode_json(client.request("GET", "/v1/status"), Status, what="a status")


def uploaded(person: Person, device: Account, first_ms: int = SOME_DAY_MS, count: int = 10) -> None:
    device.queue({"location": points(first_ms, count)}, "imported")
    assert set(device.upload().outcome.values()) == {"accepted"}


def test_a_suspended_user_cloud_ends_and_the_next_request_wakes_it_without_the_owner(stage: Watched) -> None:
    person = Person(stage, "sleeper")
    with person.account() as device:
        uploaded(person, device)
        before, key = device.status(), device.connect().state_key
        done = device.suspend()
        assert done == Suspended(before.journal, wakes=True)
        stage.forgets(person.owner)
        with awake(device) as client:
            assert status(client) == before
            assert client.request("GET", "/v1/rows?stream=location&from_ms=0&to_ms=4000000000000")
        uploaded(person, device, SOME_DAY_MS + 100_000)
        assert device.connect().state_key == key
        assert device.rows("location", *ALWAYS).num_rows == 20
    assert len(person.log().state_keys) == 1


def test_a_killed_user_cloud_wakes_as_a_sleeping_one_does(stage: Watched) -> None:
    person = Person(stage, "killed")
    with person.account() as device:
        uploaded(person, device)
        before = device.status()
        stages.kill(stage.cloud(person.owner))
        stage.forgets(person.owner)
        with awake(device) as client:
            assert status(client) == before


def test_a_user_cloud_that_was_forgotten_stays_locked_until_its_owner_comes(stage: Watched) -> None:
    person = Person(stage, "forgotten")
    with person.account() as device:
        uploaded(person, device)
        kept = {path.name: path.read_bytes() for path in person.path("sealed", "").iterdir()}
        assert not device.suspend(forget=True).wakes
        stage.forgets(person.owner)
        assert list(person.path("sealed", "").iterdir()) == []
        with awake(device) as client, refused("locked"):
            status(client)
        # The host kept a copy, and brings it back.
        for name, data in kept.items():
            person.plant("sealed", name, data)
        stages.kill(stage.cloud(person.owner))
        stage.forgets(person.owner)
        with awake(device) as client, refused("sealed-retired"):
            status(client)
        assert device.rows("location", *ALWAYS).num_rows == 10


def test_an_idle_user_cloud_sleeps_by_itself() -> None:
    with stages.running(idle_s=0.5) as stage:
        person = Person(stage, "idle")
        with person.account() as device:
            uploaded(person, device)
            until(lambda: not node.running(stage.socket).owners, "an idle user cloud sleeps", 20)
            device.disconnect()
            assert device.rows("location", *ALWAYS).num_rows == 10
