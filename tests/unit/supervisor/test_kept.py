"""What a supervisor keeps in its state folder: made once, its owner's alone, and never shown."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from tests.unit.builders import refused
from waykeep.errors import SupervisorError
from waykeep.formats import agefile
from waykeep.supervisor import service
from waykeep.supervisor.kept import kept, node_key


def test_a_node_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    first = node_key(tmp_path)
    assert node_key(tmp_path).recipient == first.recipient
    assert stat.S_IMODE((tmp_path / "node-key").stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["node-key"]
    # It is the identity file that age's own tool takes.
    assert agefile.recipient_of((tmp_path / "node-key").read_text().strip()) == first.recipient


def test_a_node_key_is_never_shown(tmp_path: Path) -> None:
    key = node_key(tmp_path)
    assert "SECRET" not in repr(key) + str(key)
    assert key.recipient in repr(key)


def test_a_lost_node_key_is_replaced_by_a_new_one(tmp_path: Path) -> None:
    first = node_key(tmp_path)
    (tmp_path / "node-key").unlink()
    assert node_key(tmp_path).recipient != first.recipient


def test_no_two_states_have_the_same_node_key(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    assert node_key(tmp_path).recipient != node_key(tmp_path / "other").recipient


@pytest.mark.parametrize("text", [b"", b"\n", b"AGE-SECRET-KEY-1", b"\xff\xfe", bytes(100)])
def test_a_damaged_node_key_is_refused_and_left_as_it_is(tmp_path: Path, text: bytes) -> None:
    (tmp_path / "node-key").write_bytes(text)
    with refused("node-key-damaged", SupervisorError):
        node_key(tmp_path)
    assert (tmp_path / "node-key").read_bytes() == text


def test_a_public_half_in_its_place_is_refused(tmp_path: Path) -> None:
    (tmp_path / "node-key").write_text(agefile.generate()[1])
    with refused("node-key-damaged", SupervisorError):
        node_key(tmp_path)


def test_a_secret_half_written_before_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "secret.new").write_bytes(b"half of a longer one")
    assert kept(tmp_path / "secret", lambda: b"whole") == b"whole"
    assert [path.name for path in tmp_path.iterdir()] == ["secret"]
    assert kept(tmp_path / "secret", lambda: b"another") == b"whole"


def test_a_damaged_software_root_is_refused(tmp_path: Path) -> None:
    root = service.software_root(tmp_path)
    assert service.software_root(tmp_path).public == root.public == (tmp_path / "insecure-root.pub").read_text().strip()
    (tmp_path / "insecure-root").write_bytes(b"short")
    with refused("root-damaged", SupervisorError):
        service.software_root(tmp_path)
