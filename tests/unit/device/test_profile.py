"""The device's folder: whole files or none, and a refusal by name for what is missing or damaged."""

from __future__ import annotations

import resource
import stat
from pathlib import Path

import msgspec
import pytest

from tests.support.people import refused
from waykeep.attestation.appraisal import ReferenceValues
from waykeep.channel import trust
from waykeep.channel.trust import Trust
from waykeep.device import chain, files
from waykeep.device.profile import Folder, Heads, Profile
from waykeep.device.trusting import default_policy
from waykeep.formats.ids import OwnerId, sha256
from waykeep.formats.messages import Appraisal, Head

TRUST = Trust({"insecure": "A" * 43}, ReferenceValues(supervisor=(), workloads={}), default_policy())
PROFILE = Profile(OwnerId("a" * 52), "http://127.0.0.1:1", TRUST)


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "device")


def test_what_was_created_is_read(folder: Folder) -> None:
    folder.create(PROFILE)
    assert Folder(folder.path).profile() == PROFILE
    assert folder.heads() == Heads()
    for made in (folder.path, folder.outbox, folder.log):
        assert stat.S_IMODE(made.stat().st_mode) == 0o700


def test_a_folder_of_another_owner_is_not_taken(folder: Folder) -> None:
    folder.create(PROFILE)
    folder.keystore.write_bytes(b"secrets")
    with refused("folder-in-use", "device"):
        folder.create(PROFILE)
    (folder.path / "profile.json").unlink()
    with refused("folder-in-use", "device"):
        folder.create(PROFILE)
    assert folder.keystore.read_bytes() == b"secrets"


@pytest.mark.parametrize("name", ["heads.json", "log/0000000000", "outbox/a.queued"])
def test_a_folder_whose_keystore_was_lost_is_not_taken(name: str, folder: Folder) -> None:
    folder.create(PROFILE)
    (folder.path / name).write_bytes(b"kept")
    with refused("folder-in-use", "device"):
        folder.create(PROFILE)
    assert (folder.path / name).read_bytes() == b"kept"


def test_a_folder_whose_owner_was_never_made_whole_is_taken(folder: Folder) -> None:
    """A profile alone is there: whoever wrote it was cut off before the keystore, and no paper was shown."""
    folder.create(PROFILE)
    other = msgspec.structs.replace(PROFILE, host="http://127.0.0.1:9")
    folder.create(other)
    assert folder.profile() == other


def test_what_is_discarded_is_gone(folder: Folder) -> None:
    folder.create(PROFILE)
    folder.keystore.write_bytes(b"secrets")
    folder.discard()
    assert not folder.path.exists()


def test_discarding_leaves_what_was_there_before(folder: Folder) -> None:
    folder.path.mkdir()
    (folder.path / "notes").write_text("mine")
    folder.create(PROFILE)
    folder.discard()
    assert [p.name for p in folder.path.iterdir()] == ["notes"]


def test_no_owner_in_a_folder(folder: Folder) -> None:
    with refused("profile-missing", "device"):
        folder.profile()


@pytest.mark.parametrize("data", [b"", b"{}", b"{", b"\xff", b'{"owner": 1}'])
def test_a_damaged_profile(folder: Folder, data: bytes) -> None:
    folder.create(PROFILE)
    (folder.path / "profile.json").write_bytes(data)
    with refused("profile-malformed", "device"):
        folder.profile()


def test_damaged_heads_are_not_taken_for_none(folder: Folder) -> None:
    # A device that forgot what it saw would believe a host that rewound.
    folder.create(PROFILE)
    (folder.path / "heads.json").write_bytes(b"")
    with refused("profile-malformed", "device"):
        folder.heads()


def test_what_is_remembered_is_kept_beside_what_was(folder: Folder) -> None:
    folder.create(PROFILE)
    owner, journal = Head(4, sha256(b"a")), Head(0, sha256(b"b"))
    chain.remember(folder, owner=owner)
    chain.remember(folder, journal=journal, segments=3)
    assert Folder(folder.path).heads() == Heads(owner, journal, 3)


def test_a_file_is_replaced_whole_and_stays_private(tmp_path: Path) -> None:
    path = tmp_path / "file"
    for data in (b"the first", b"2"):
        files.write(path, data)
        assert path.read_bytes() == data
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_crash_before_the_replacement_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    files.write(path, b"old")
    (tmp_path / "file.new").write_bytes(b"ne")
    assert path.read_bytes() == b"old"
    files.write(path, b"new")
    assert (path.read_bytes(), list(tmp_path.iterdir())) == (b"new", [path])


@pytest.mark.parametrize("limit", [0, 3])
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, limit: int) -> None:
    path = tmp_path / "file"
    files.write(path, b"old")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        with refused("folder-failed", "device"):
            files.write(path, b"newer")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert path.read_bytes() == b"old"
    files.write(path, b"newer")
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_missing_file_may_be_removed(tmp_path: Path) -> None:
    files.write(tmp_path / "file", b"")
    for _ in range(2):
        files.remove(tmp_path / "file")
    assert list(tmp_path.iterdir()) == []


def test_trust_crosses_the_wire_as_it_is() -> None:
    assert trust.from_message(TRUST.to_message()) == TRUST


@pytest.mark.parametrize(
    "message",
    [
        Appraisal({}, b"", TRUST.to_message().policy),
        Appraisal({}, TRUST.to_message().references, b"{}"),
        Appraisal({}, TRUST.to_message().references, TRUST.to_message().policy[:-1] + b',"allow":true}'),
    ],
    ids=["no references", "no policy", "a policy that says more"],
)
def test_trust_that_is_malformed(message: Appraisal) -> None:
    with refused("policy-malformed", "attestation"):
        trust.from_message(message)
