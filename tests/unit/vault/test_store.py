"""A store in a real folder: create-only, and nothing but plain files of its own counts as an object."""

from __future__ import annotations

import os
import random
import stat
import threading
from pathlib import Path

import pytest

from tests.support.people import refused
from waykeep.errors import VaultError
from waykeep.formats.ids import ROOMS, numbered
from waykeep.vault.store import MAX_OBJECT, DirectoryStore

OWNER = "o" * 52
KEY = f"owners/{OWNER}/segments/a.age"


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    made = DirectoryStore(tmp_path)
    made.create_owner(OWNER)
    return made


@pytest.fixture
def path(tmp_path: Path, store: DirectoryStore) -> Path:
    """Where the object `KEY` lies."""
    return tmp_path / KEY


@pytest.mark.parametrize("data", [b"", b"some bytes", bytes(3 << 20)], ids=["none", "few", "3 MiB"])
def test_what_was_put_is_there(store: DirectoryStore, path: Path, data: bytes) -> None:
    assert store.put_new(KEY, data) is True
    assert store.get(KEY) == data == path.read_bytes()


def test_the_same_bytes_again_are_a_retry(store: DirectoryStore) -> None:
    assert store.put_new(KEY, b"one") is True
    assert store.put_new(KEY, b"one") is False
    assert store.get(KEY) == b"one"


@pytest.mark.parametrize("data", [b"", b"on", b"one more", b"two"])
def test_other_bytes_are_refused(store: DirectoryStore, data: bytes) -> None:
    store.put_new(KEY, b"one")
    with pytest.raises(VaultError) as caught:
        store.put_new(KEY, data)
    assert (caught.value.rule, caught.value.status) == ("name-taken", 409)
    assert store.get(KEY) == b"one"


def test_of_many_who_put_at_once_one_wins(store: DirectoryStore) -> None:
    outcome: list[str] = []
    together = threading.Barrier(8)

    def put(n: int) -> None:
        together.wait()
        try:
            outcome.append(f"{store.put_new(KEY, b'%d' % n)} {n}")
        except VaultError as error:
            outcome.append(error.rule)

    threads = [threading.Thread(target=put, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcome)[1:] == ["name-taken"] * 7
    assert sorted(outcome)[0] == f"True {store.get(KEY).decode()}"


def test_a_put_leaves_no_staging_file(tmp_path: Path, store: DirectoryStore) -> None:
    store.put_new(KEY, b"one")
    store.put_new(KEY, b"one")
    with refused("name-taken", "vault"):
        store.put_new(KEY, b"two")
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [tmp_path / KEY]
    assert os.listdir((tmp_path / KEY).parent) == ["a.age"]


def test_no_descriptor_is_left_open(store: DirectoryStore) -> None:
    store.put_new(KEY, b"one")
    before = os.listdir("/proc/self/fd")
    for data in (b"one", b"two"):
        try:
            store.put_new(KEY, data)
        except VaultError:
            assert data == b"two"
    store.get(KEY)
    store.delete(KEY)
    assert os.listdir("/proc/self/fd") == before


def test_a_missing_object(store: DirectoryStore) -> None:
    for key in (KEY, "owners/nobody/segments/a", KEY + "/below"):
        with pytest.raises(VaultError) as caught:
            store.get(key)
        assert (caught.value.rule, caught.value.status) == ("object-missing", 404)


def test_an_object_below_a_file(store: DirectoryStore) -> None:
    store.put_new(KEY, b"one")
    with refused("object-missing", "vault"):
        store.get(KEY + "/below")


# -- what an outsider could put in an object's place ------------------------------------------------------------------


def test_a_link_is_not_followed(tmp_path: Path, store: DirectoryStore, path: Path) -> None:
    elsewhere = tmp_path / "secret"
    elsewhere.write_bytes(b"a secret")
    path.symlink_to(elsewhere)
    with refused("store-failed", "vault"):
        store.get(KEY)
    for data in (b"a secret", b"other"):
        with refused("store-failed", "vault"):
            store.put_new(KEY, data)
    assert elsewhere.read_bytes() == b"a secret"
    store.delete(KEY)
    assert elsewhere.exists()
    assert not path.is_symlink()


def test_a_dangling_link_is_not_written_through(tmp_path: Path, store: DirectoryStore, path: Path) -> None:
    path.symlink_to(tmp_path / "new")
    with refused("store-failed", "vault"):
        store.put_new(KEY, b"one")
    assert not (tmp_path / "new").exists()


@pytest.mark.timeout(10)
def test_a_pipe_is_not_waited_for(store: DirectoryStore, path: Path) -> None:
    os.mkfifo(path)
    with refused("object-missing", "vault"):
        store.get(KEY)
    with refused("name-taken", "vault"):
        store.put_new(KEY, b"")


def test_a_folder_is_no_object(store: DirectoryStore, path: Path) -> None:
    path.mkdir()
    for tried in (lambda: store.get(KEY), lambda: store.put_new(KEY, b""), lambda: store.delete(KEY)):
        with pytest.raises(VaultError):
            tried()
    assert path.is_dir()


def test_an_object_over_the_bound_is_not_read(store: DirectoryStore, path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(MAX_OBJECT + 1)
    with pytest.raises(VaultError) as caught:
        store.get(KEY)
    assert (caught.value.rule, caught.value.status) == ("object-too-large", 413)


# -- names ------------------------------------------------------------------------------------------------------------


def test_names_are_sorted_and_go_on_after(store: DirectoryStore) -> None:
    wanted = [f"{numbered(n)}.age" for n in range(25)]
    prefix = f"owners/{OWNER}/journal"
    for name in random.Random(1).sample(wanted, len(wanted)):
        store.put_new(f"{prefix}/{name}", b"")
    assert store.names(prefix) == wanted
    assert store.names(prefix, limit=10) == wanted[:10]
    assert store.names(prefix, after=wanted[9], limit=10) == wanted[10:20]
    assert store.names(prefix, after=wanted[-1]) == []
    assert store.names(prefix, after=wanted[9] + "0", limit=1) == [wanted[10]]
    assert store.names(prefix, limit=0) == []


def test_names_of_no_folder(store: DirectoryStore) -> None:
    store.put_new(KEY, b"")
    for prefix in ("owners/nobody/segments", KEY):
        assert store.names(prefix) == []


# -- folders ----------------------------------------------------------------------------------------------------------


def test_a_deleted_object_is_gone_and_may_be_deleted_again(store: DirectoryStore) -> None:
    store.put_new(KEY, b"one")
    store.delete(KEY)
    store.delete(KEY)
    with refused("object-missing", "vault"):
        store.get(KEY)
    assert store.put_new(KEY, b"two") is True


def test_an_unreachable_folder_is_a_typed_refusal(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path / "missing")
    for tried in (lambda: store.put_new(KEY, b"one"), lambda: store.delete(KEY)):
        with pytest.raises(VaultError) as caught:
            tried()
        assert (caught.value.rule, caught.value.status) == ("store-failed", 503)
        assert str(tmp_path) not in str(caught.value)


def test_a_name_that_no_file_system_takes(store: DirectoryStore) -> None:
    key = f"owners/{OWNER}/segments/{'a' * 300}"
    for tried in (lambda: store.get(key), lambda: store.put_new(key, b""), lambda: store.names(key)):
        with refused("store-failed", "vault"):
            tried()


def test_an_owners_folders_admit_the_group_and_nobody_else(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    home = tmp_path / "owners" / OWNER
    for _ in range(2):
        store.create_owner(OWNER)
        assert sorted(p.name for p in home.iterdir()) == sorted(ROOMS)
        assert stat.S_IMODE(home.stat().st_mode) == 0o770
        home.chmod(0o755)


def test_the_folder_of_bundles(tmp_path: Path) -> None:
    for _ in range(2):
        DirectoryStore(tmp_path).create_shared()
    assert (tmp_path / "bundles").is_dir()
