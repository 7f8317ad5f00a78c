"""Entries that wait on the device: kept encrypted and in order, each once, until somebody took them."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from tests.support.people import refused
from tests.unit.builders import NODE_RECIPIENT, key
from waykeep.authority.permissions import Withdrawn
from waykeep.authority.statements import Body, KeyRevoked, NodeApproved
from waykeep.device.pending import Pending
from waykeep.device.profile import Folder
from waykeep.formats import agefile
from waykeep.formats.wire import encode_json

SECRET, RECIPIENT = agefile.generate()
FIRST, SECOND, THIRD = Withdrawn(7), NodeApproved(NODE_RECIPIENT, "cellar"), KeyRevoked(key("lost").public)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def pending(folder: Folder) -> Pending:
    return Pending(folder, SECRET)


def bodies(pending: Pending) -> list[Body]:
    return [item.body for _, item in pending.items()]


def test_nothing_waits_at_first(pending: Pending, folder: Folder) -> None:
    assert pending.items() == []
    assert not folder.pending.exists()


def test_what_waits_is_kept_in_order_with_what_was_seen(pending: Pending, folder: Folder) -> None:
    wanted: list[Body] = [FIRST, SECOND, THIRD]
    for after, body in enumerate(wanted, 4):
        pending.add(body, after)
    again = Pending(folder, SECRET).items()
    assert [item.body for _, item in again] == wanted
    assert [item.after for _, item in again] == [4, 5, 6]


def test_the_same_again_is_the_one_that_waits(pending: Pending) -> None:
    path = pending.add(FIRST, 4)
    pending.add(SECOND, 4)
    assert pending.add(FIRST, 9) == path
    assert [(item.body, item.after) for _, item in pending.items()] == [(FIRST, 4), (SECOND, 4)]


def test_one_that_was_taken_may_be_added_again_after_the_others(pending: Pending) -> None:
    taken = pending.add(FIRST, 4)
    pending.add(SECOND, 4)
    pending.remove(taken)
    again = pending.add(FIRST, 5)
    assert again != taken
    assert bodies(pending) == [SECOND, FIRST]


def test_a_number_that_was_used_gives_no_name_that_was_used(pending: Pending) -> None:
    """A command that is about to remove the one before must not remove this one."""
    first = pending.add(FIRST, 4)
    pending.remove(first)
    second = pending.add(SECOND, 4)
    pending.remove(first)
    assert first.name.partition("-")[0] == second.name.partition("-")[0]
    assert bodies(pending) == [SECOND]


def test_nothing_of_it_can_be_read_on_the_disk(pending: Pending, folder: Folder) -> None:
    pending.add(SECOND, 4)
    pending.add(THIRD, 4)
    kept = b"".join(path.read_bytes() + path.name.encode() for path in folder.pending.iterdir())
    for text in (b"cellar", NODE_RECIPIENT.encode(), THIRD.key.encode(), b"key-revoked"):
        assert text not in kept
    assert {path.stat().st_mode & 0o077 for path in folder.pending.iterdir()} == {0}
    assert folder.pending.stat().st_mode & 0o077 == 0


def test_what_was_written_for_another_owner_or_is_damaged_is_refused(pending: Pending, folder: Folder) -> None:
    path = pending.add(FIRST, 4)
    with refused("age-not-ours", "format"):
        Pending(folder, agefile.generate()[0]).items()
    path.write_bytes(path.read_bytes()[:-1])
    with refused("age-not-ours", "format"):
        pending.items()
    path.write_bytes(agefile.seal(b"{}", [RECIPIENT]))
    with refused("malformed", "format"):
        pending.items()
    path.write_bytes(agefile.seal(encode_json({"body": {"type": "nothing"}, "after": 1}), [RECIPIENT]))
    with refused("malformed", "format"):
        pending.items()


def test_the_rest_of_a_write_that_was_cut_off_is_swept_and_no_entry(pending: Pending, folder: Folder) -> None:
    pending.add(FIRST, 4)
    rest = folder.pending / "0000000001-0000000000000000.age.new"
    rest.write_bytes(b"half")
    assert bodies(pending) == [FIRST]
    assert not rest.exists()


def test_several_commands_at_once_keep_each_once(folder: Folder) -> None:
    threads = [
        threading.Thread(target=Pending(folder, SECRET).add, args=(Withdrawn(number % 5), 4)) for number in range(15)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = bodies(Pending(folder, SECRET))
    assert sorted(body.number for body in found if isinstance(body, Withdrawn)) == list(range(5))
    assert len({path.name.partition("-")[0] for path, _ in Pending(folder, SECRET).items()}) == 5
