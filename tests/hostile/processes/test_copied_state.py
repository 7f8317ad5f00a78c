"""A host that copies and replays state: counted over all copies, never more is done than was granted."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import stages
from tests.support.grants import ROWS, Holder, choose, with_rows
from tests.support.people import SOME_DAY_MS, Person, points, refused
from tests.support.stages import Watched
from tests.support.witness import Witness, running_witness
from waykeep.authority.permissions import Withdrawn
from waykeep.device import revoking, witnesses
from waykeep.device.account import Account
from waykeep.errors import WaykeepError

RUNS = 3


@pytest.fixture(scope="module")
def stage() -> Iterator[Watched]:
    with stages.running() as found:
        yield found


@pytest.fixture(scope="module")
def witness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Witness]:
    with running_witness(tmp_path_factory.mktemp("witness"), tokens=20) as found:
        yield found


class Copier:
    """The host's operator: keeps copies of an owner's part of the store, and shows whichever it likes.

    Args:
        name: Of the owner.
    """

    def __init__(self, stage: Watched, name: str, witness: Witness | None) -> None:
        self.stage, self.person = stage, Person(stage, name)
        self.device: Account = self.person.account()
        with_rows(self.person, self.device)
        if witness is None:
            witnesses.waive(self.device)
        else:
            choose(self.device, witness)
        self.holder = Holder(self.person)
        self.copies: list[Path] = []

    def copy(self) -> Path:
        """The owner's part of the store as it is now."""
        place = self.stage.devices / f"{self.person.folder.path.name}-copy-{len(self.copies)}"
        shutil.copytree(self.person.home, place)
        self.copies.append(place)
        return place

    def show(self, copy: Path, rooms: tuple[str, ...] = ("owner-log", "journal", "snapshots", "sealed")) -> None:
        """End the user cloud, and start the next one on an old copy."""
        for cloud in self.stage.forked():
            if cloud.is_cloud:
                stages.kill(cloud)
        self.stage.forgets(self.person.owner)
        for room in rooms:
            for path in (self.person.home / room).iterdir():
                path.unlink()
            for path in (copy / room).iterdir():
                shutil.copy2(path, self.person.home / room / path.name)

    def spends(self, number: int, at_most: int) -> tuple[int, str]:
        """How many runs are done before one is refused, and by what rule."""
        for done in range(at_most):
            self.holder.forget_request()
            try:
                found = self.holder.use(number)
            except WaykeepError as error:
                return done, error.rule
            assert found.rows == [{"rows": ROWS}]
        return at_most, ""

    def close(self) -> None:
        self.device.close()
        for copy in self.copies:
            shutil.rmtree(copy)
        # What the device remembers no longer fits: this owner is not used again.


@pytest.fixture
def copier(stage: Watched, witness: Witness, request: pytest.FixtureRequest) -> Iterator[Copier]:
    found = Copier(stage, f"c{abs(hash(request.node.name)) % 10**8}", witness)
    yield found
    found.close()


def test_an_old_copy_that_is_replayed_spends_nothing(copier: Copier) -> None:
    number = copier.holder.granted(copier.device, RUNS)
    copier.device.suspend()
    copier.stage.forgets(copier.person.owner)
    old = copier.copy()
    total, _ = copier.spends(number, 1)
    for _ in range(3):
        copier.show(old)
        done, rule = copier.spends(number, RUNS)
        total += done
        assert (done, rule) == (0, "journal-behind")
    assert total == 1 <= RUNS


def test_a_copy_that_first_grows_past_the_witnessed_number_with_harmless_records(copier: Copier) -> None:
    number = copier.holder.granted(copier.device, RUNS)
    copier.device.suspend()
    copier.stage.forgets(copier.person.owner)
    old = copier.copy()
    assert copier.spends(number, 1) == (1, "")
    good = copier.copy()
    copier.show(old)
    # The owner's own uploads go to the copy: its journal grows as far, and further, with other records.
    copier.person.folder.save_heads(type(copier.person.folder.heads())(owner=copier.person.folder.heads().owner))
    copier.device.disconnect()
    for hour in range(3):
        copier.device.queue({"location": points(SOME_DAY_MS + hour * 3_600_000 + 60_000, 5)}, "imported")
        copier.device.upload()
    assert copier.spends(number, RUNS) == (0, "journal-forked")
    copier.stage.forgets(copier.person.owner)  # it does not stay there: the next one takes what is shown then
    copier.show(good)
    assert copier.spends(number, RUNS) == (RUNS - 1, "runs-used-up")


def test_two_copies_that_take_turns(copier: Copier) -> None:
    number = copier.holder.granted(copier.device, RUNS)
    copier.device.suspend()
    copier.stage.forgets(copier.person.owner)
    states, total = [copier.copy(), copier.copy()], 0
    for turn in range(6):
        copier.show(states[turn % 2])
        done, _ = copier.spends(number, 1)
        total += done
        states[turn % 2] = copier.copy()
    assert 1 <= total <= RUNS


def test_a_withdrawal_that_the_host_hides_stops_the_grant_all_the_same(copier: Copier) -> None:
    number = copier.holder.granted(copier.device, RUNS)
    kept = copier.holder.granted(copier.device, RUNS)
    assert copier.spends(number, 1) == (1, "")
    before = copier.copy()
    assert revoking.revoke(copier.device, Withdrawn(number)).number is not None
    copier.show(before, ("owner-log",))
    assert copier.spends(number, 1) == (0, "owner-log-behind")
    assert copier.spends(kept, 1) == (0, "owner-log-behind")


def test_without_a_witness_every_copy_spends_the_whole_grant_again(
    stage: Watched, capsys: pytest.CaptureFixture[str]
) -> None:
    found = Copier(stage, "waived", None)
    try:
        number = found.holder.granted(found.device, RUNS)
        found.device.suspend()
        stage.forgets(found.person.owner)
        old, total = found.copy(), 0
        for _ in range(3):
            found.show(old)
            done, rule = found.spends(number, RUNS + 1)
            assert (done, rule) == (RUNS, "runs-used-up")
            total += done
    finally:
        found.close()
    with capsys.disabled():
        print(f"\nwithout a witness: {total} runs of a grant of {RUNS}, {total - RUNS} in excess")
    assert total > RUNS


def test_one_store_and_an_instance_that_was_left_running(copier: Copier) -> None:
    """Of two instances on one store the one that finds its number taken stops, and says why."""
    copier.device.rows("location", 0, 4_000_000_000_000)
    before = copier.copy()
    copier.device.queue({"location": points(SOME_DAY_MS + 60_000, 5)}, "imported")
    copier.device.upload()
    # The operator puts another next record where this instance will write.
    head = copier.device.status().journal
    assert head is not None
    copier.person.plant("journal", f"{head.number + 1:010d}.age", (before / "journal" / "0000000000.age").read_bytes())
    copier.device.queue({"location": points(SOME_DAY_MS + 3_600_000, 5)}, "imported")
    with refused("journal-taken", "vault"):
        copier.device.upload()
