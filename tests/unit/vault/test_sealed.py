"""Sealed states in a real store: the newest counts, older ones go, and a death in between leaves one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.builders import an_owner, refused
from tests.unit.vault.snapshotting import Failing
from waykeep.errors import VaultError
from waykeep.formats.ids import MAX_NUMBER, numbered
from waykeep.vault import sealed
from waykeep.vault.store import DirectoryStore

OWNER = an_owner().id
HOME = f"owners/{OWNER}/sealed"
NODE, OTHER = "age1node", "age1other"


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    made = DirectoryStore(tmp_path)
    made.create_owner(OWNER)
    return made


def prefix(store: DirectoryStore, node: str) -> str:
    """What the names of a node begin with, of which one lies there."""
    before = store.names(HOME)
    sealed.put(store, OWNER, node, b"to see its name")
    (name,) = set(store.names(HOME)) - set(before)
    store.delete(f"{HOME}/{name}")
    return name[:17]


def test_the_newest_state_replaces_the_one_before(store: DirectoryStore) -> None:
    assert sealed.newest(store, OWNER, NODE) is None
    for data in (b"one", b"two", b"three"):
        sealed.put(store, OWNER, NODE, data)
        assert sealed.newest(store, OWNER, NODE) == data
    (name,) = store.names(HOME)
    assert name.endswith(f"-{numbered(2)}.age")


def test_each_node_has_its_own(store: DirectoryStore) -> None:
    sealed.put(store, OWNER, NODE, b"one")
    sealed.put(store, OWNER, OTHER, b"other")
    assert (sealed.newest(store, OWNER, NODE), sealed.newest(store, OWNER, OTHER)) == (b"one", b"other")
    sealed.keep_only(store, OWNER, [OTHER])
    assert (sealed.newest(store, OWNER, NODE), sealed.newest(store, OWNER, OTHER)) == (None, b"other")
    sealed.keep_only(store, OWNER, [])
    assert store.names(HOME) == []


def test_killed_at_every_call_of_a_put(tmp_path: Path) -> None:
    for left in range(10):
        store = Failing(tmp_path / str(left))
        (tmp_path / str(left)).mkdir()
        store.create_owner(OWNER)
        start = prefix(store, NODE)
        # Three lie there, as after two deaths.
        for number in range(3):
            store.put_new(f"{HOME}/{start}{numbered(number)}.age", b"%d" % number)
        store.left = left
        try:
            sealed.put(store, OWNER, NODE, b"new")
        except VaultError as error:
            assert error.rule == "store-failed"
        done = left > 3
        assert sealed.newest(store, OWNER, NODE) == (b"2" if left == 0 else b"new")
        store.left = -1
        sealed.put(store, OWNER, NODE, b"newer")
        assert sealed.newest(store, OWNER, NODE) == b"newer"
        assert len(store.names(HOME)) == 1
    assert done


def test_a_number_that_was_taken_meanwhile(store: DirectoryStore, tmp_path: Path) -> None:
    class Racing(DirectoryStore):
        """Somebody else puts the next number after this one looked."""

        raced = False

        def put_new(self, key: str, data: bytes) -> bool:
            if not self.raced:
                self.raced = True
                sealed.put(store, OWNER, NODE, b"theirs")
            return super().put_new(key, data)

    sealed.put(Racing(tmp_path), OWNER, NODE, b"ours")
    assert sealed.newest(store, OWNER, NODE) == b"ours"


@pytest.mark.parametrize("number", [MAX_NUMBER, MAX_NUMBER - 1])
def test_the_last_number_planted_does_not_end_the_counting(store: DirectoryStore, number: int) -> None:
    start = prefix(store, NODE)
    store.put_new(f"{HOME}/{start}{numbered(number)}.age", b"planted")
    for data in (b"one", b"two", b"three"):
        sealed.put(store, OWNER, NODE, data)
        assert sealed.newest(store, OWNER, NODE) == data
        assert len(store.names(HOME)) == 1


def test_names_planted_before_a_nodes_own_do_not_hide_it(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sealed, "MAX_NAMES", 5)
    for number in range(10):
        store.put_new(f"{HOME}/{'0' * 16}-{numbered(number)}.age", b"planted")
        store.put_new(f"{HOME}/-{number}", b"planted")
    sealed.put(store, OWNER, NODE, b"one")
    sealed.put(store, OWNER, NODE, b"two")
    assert sealed.newest(store, OWNER, NODE) == b"two"


def test_other_names_are_left_alone(store: DirectoryStore) -> None:
    start = prefix(store, NODE)
    others = [f"{start}1.age", f"{start}00000000009.age", f"{start}0000000009", f"{start.upper()}0000000009.age", "x"]
    for name in others:
        store.put_new(f"{HOME}/{name}", b"planted")
    sealed.put(store, OWNER, NODE, b"one")
    assert sealed.newest(store, OWNER, NODE) == b"one"
    sealed.keep_only(store, OWNER, [])
    assert store.names(HOME) == sorted(others)


def test_a_store_that_fails(store: DirectoryStore, tmp_path: Path) -> None:
    sealed.put(store, OWNER, NODE, b"one")
    (name,) = store.names(HOME)
    (tmp_path / HOME / name).unlink()
    (tmp_path / HOME / name).symlink_to(tmp_path)
    with refused("store-failed"):
        sealed.newest(store, OWNER, NODE)
