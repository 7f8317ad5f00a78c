"""A second node with the same store runs a user cloud of the same owner: only one of the two writes the journal."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import algorithms
from tests.support.people import DAY_MS, SOME_DAY_MS, Person, points, refused, unchanged
from tests.support.stages import ROOT, Watched, running
from waykeep.device import audit
from waykeep.device.account import Account
from waykeep.device.profile import Folder

pytestmark = [pytest.mark.root, pytest.mark.skipif(not ROOT, reason="finds user clouds by their uids")]

ALWAYS = (0, SOME_DAY_MS * 2)


class Second(Watched):
    """A node and a host on another's store, with a copy of its state: its software root, and its uids."""

    def __init__(self, folder: Path, first: Watched) -> None:
        super().__init__(folder)
        self.store = first.store
        shutil.copytree(first.state, self.state)


@pytest.fixture
def both() -> Iterator[tuple[Person, Watched, Account, Account]]:
    """An owner with two devices of the same secrets; each was led to another node, and unlocked the cloud there."""
    with running() as first, tempfile.TemporaryDirectory(prefix="waykeep-second-") as name:
        owner = Person(first, "one")
        with owner.account() as device:
            device.queue({"location": points(SOME_DAY_MS, 10)}, "imported")
            device.upload()
            algorithms.approve(device, algorithms.slow(), SOME_DAY_MS, SOME_DAY_MS + 9 * DAY_MS, store="counts")
            Path(name).chmod(0o711)
            with Second(Path(name), first) as second:
                shutil.copytree(owner.folder.path, first.devices / "two")
                elsewhere = Folder(first.devices / "two")
                moved = elsewhere.profile()
                elsewhere.save_profile(type(moved)(moved.owner, second.host_url, moved.trust))
                with Account(elsewhere, owner.lock) as other:
                    assert device.status().journal == other.status().journal
                    yield owner, second, device, other


def test_one_of_two_finds_its_number_taken_and_stops(both: tuple[Person, Watched, Account, Account]) -> None:
    owner, second, device, other = both
    ours, theirs = owner.stage.cloud(owner.owner), second.cloud(owner.owner)
    assert ours.pid != theirs.pid and ours.uid == theirs.uid
    device.queue({"location": points(SOME_DAY_MS + DAY_MS, 10)}, "imported")
    assert device.upload().rows_new == 10
    other.queue({"location": points(SOME_DAY_MS + 2 * DAY_MS, 10)}, "imported")
    head = owner.heads()[1]
    with refused("journal-taken", "vault"):
        other.upload()
    assert owner.heads()[1] == head
    second.forgets(owner.owner)
    assert not theirs.alive
    assert ours.alive

    # It was not acknowledged, so it is in the outbox still; an instance that starts reads the journal first.
    assert len(other.outbox.names()) == 1
    other.disconnect()
    assert other.upload().rows_new == 10
    assert other.rows("location", *ALWAYS).num_rows == 30
    # Now the first is behind, and it is its turn to stop.
    device.queue({"location": points(SOME_DAY_MS + 3 * DAY_MS, 10)}, "imported")
    with refused("journal-taken", "vault"):
        device.upload()
    owner.stage.forgets(owner.owner)
    assert not ours.alive
    device.disconnect()
    assert device.upload().rows_new == 10
    assert device.rows("location", *ALWAYS).num_rows == 40
    audit.read(device)
    names = {path.name for path in owner.path("segments", "").iterdir()}
    assert names == set(owner.journal().segments)


def test_a_run_on_the_one_that_is_too_late_leaves_nothing(both: tuple[Person, Watched, Account, Account]) -> None:
    owner, second, device, other = both
    window = (SOME_DAY_MS, SOME_DAY_MS + DAY_MS)
    assert device.run(algorithms.slow()[0].digest, {}, *window).rows == [{"rows": 10}]
    theirs = second.cloud(owner.owner)
    with unchanged(owner), refused("journal-taken", "vault"):
        other.run(algorithms.slow()[0].digest, {}, *window)
    second.forgets(owner.owner)
    assert not theirs.alive
    other.disconnect()
    assert other.rows("derived/counts", *ALWAYS).to_pylist() == [{"rows": 10}]
    assert other.status().runs == 1
