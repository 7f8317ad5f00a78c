"""An owner's user cloud has one uid for as long as the node stands, whatever crash came between."""

from __future__ import annotations

import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.unit.builders import refused
from waykeep.errors import FormatError, SupervisorError
from waykeep.formats.ids import OwnerId, owner_id
from waykeep.supervisor import uids
from waykeep.supervisor.uids import ALGORITHM_BASE, CLOUD_BASE, Uids

OWNERS = [owner_id(b"%d" % n) for n in range(5)]


@contextmanager
def opened(path: Path) -> Iterator[Uids]:
    found = Uids(path)
    try:
        yield found
    finally:
        found.close()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "uids"


def of_all(path: Path, owners: list[OwnerId]) -> list[int]:
    with opened(path) as found:
        return [found.of_owner(owner) for owner in owners]


def test_each_owner_has_a_uid_of_their_own(path: Path) -> None:
    assert of_all(path, OWNERS) == [CLOUD_BASE + n for n in range(5)]
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_the_same_owner_has_the_same_uid_after_a_restart(path: Path) -> None:
    first = of_all(path, OWNERS[:3])
    assert of_all(path, OWNERS[2::-1]) == first[::-1]
    assert of_all(path, [OWNERS[4], OWNERS[0]]) == [CLOUD_BASE + 3, first[0]]


def test_asking_again_writes_nothing(path: Path) -> None:
    of_all(path, OWNERS[:1] * 3)
    assert path.read_bytes() == OWNERS[0].encode() + b"\n"


@pytest.mark.parametrize("cut", range(53))
def test_a_line_torn_by_a_crash_is_dropped(path: Path, cut: int) -> None:
    path.write_bytes(b"".join(owner.encode() + b"\n" for owner in OWNERS[:2]) + OWNERS[2].encode()[:cut])
    assert of_all(path, [OWNERS[3], OWNERS[1], OWNERS[2]]) == [CLOUD_BASE + 2, CLOUD_BASE + 1, CLOUD_BASE + 3]
    assert path.read_bytes() == b"".join(OWNERS[n].encode() + b"\n" for n in (0, 1, 3, 2))


@pytest.mark.parametrize("damage", [b"x\n", b"\n", b"\0" * 52 + b"\n", b"\xff" * 52 + b"\n"], ids=str)
def test_a_damaged_file_is_refused(path: Path, damage: bytes) -> None:
    # To go on would hand one owner's uid to another.
    path.write_bytes(OWNERS[0].encode() + b"\n" + damage)
    with refused("owner-id-malformed", FormatError):
        Uids(path)


def test_a_file_that_lists_an_owner_twice_is_refused(path: Path) -> None:
    path.write_bytes(b"".join(owner.encode() + b"\n" for owner in (OWNERS[0], OWNERS[0], OWNERS[1])))
    with refused("uids-damaged", SupervisorError):
        Uids(path)


@pytest.mark.parametrize("left", [0, 7, 52])
def test_a_full_disk_moves_nobodys_uid(path: Path, left: int) -> None:
    hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    with opened(path) as found:
        found.of_owner(OWNERS[0])
        resource.setrlimit(resource.RLIMIT_FSIZE, (53 + left, hard[1]))
        try:
            for owner in OWNERS[1:3]:
                with refused("uids-failed", SupervisorError):
                    found.of_owner(owner)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, hard)
        assert [found.of_owner(owner) for owner in (OWNERS[3], OWNERS[1])] == [CLOUD_BASE + 1, CLOUD_BASE + 2]
    assert of_all(path, [OWNERS[1], OWNERS[3], OWNERS[0]]) == [CLOUD_BASE + 2, CLOUD_BASE + 1, CLOUD_BASE]


def test_uids_used_up(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uids, "_SPAN", 2)
    with opened(path) as found:
        for owner in OWNERS[:2]:
            found.of_owner(owner)
        with refused("uids-used-up", SupervisorError):
            found.of_owner(OWNERS[2])
        assert found.of_owner(OWNERS[1]) == CLOUD_BASE + 1
    assert of_all(path, OWNERS[:2]) == [CLOUD_BASE, CLOUD_BASE + 1]


def test_an_algorithms_uid_is_fresh_and_no_user_clouds(path: Path) -> None:
    with opened(path) as found:
        fresh = [found.fresh() for _ in range(1000)]
        cloud = found.of_owner(OWNERS[0])
    assert len(set(fresh)) == 1000
    assert cloud < ALGORITHM_BASE <= min(fresh)
    # The two ranges never meet, and neither reaches a uid that the kernel reserves.
    assert CLOUD_BASE + uids._SPAN <= ALGORITHM_BASE
    assert ALGORITHM_BASE + uids._SPAN < 2**31 - 1


def test_fresh_uids_go_round(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uids, "_SPAN", 3)
    with opened(path) as found:
        assert len({found.fresh() for _ in range(7)}) == 3
