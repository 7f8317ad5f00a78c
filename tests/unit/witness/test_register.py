"""The register: what was committed is there after it is opened again, and tokens admit once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from tests.unit.builders import key, refused
from tests.unit.witness.asking import (
    ADVANCE_JOURNAL,
    ADVANCE_OWNER,
    CLOSE,
    CONTROL,
    NAME,
    NEXT,
    OTHER,
    PSEUDONYM,
    REGISTER,
    RETIRE,
    ROTATE,
    STATE,
    asked,
    head,
    row,
    signer_of,
)
from waykeep.authority import keys
from waykeep.authority.witnessing import NONCE_BYTES, Action, Held, NameStateKey, Read, Request
from waykeep.formats.ids import b64
from waykeep.witness.register import NAME as DATABASE
from waykeep.witness.register import Counts, SqliteRegister

replace = msgspec.structs.replace
READ = Read(PSEUDONYM, b64(bytes(NONCE_BYTES)))


@contextmanager
def opened(folder: Path) -> Iterator[SqliteRegister]:
    register = SqliteRegister(folder, busy_s=0.05)
    try:
        yield register
    finally:
        register.close()


def apply(register: SqliteRegister, *actions: Action) -> Held:
    """Have actions done, each by who may, in one transaction."""
    register.begin()
    held = [register.apply(asked(action), signer_of(action).public) for action in actions]
    register.commit()
    return held[-1]


def test_what_was_committed_is_there_when_it_is_opened_again(tmp_path: Path) -> None:
    with opened(tmp_path) as register:
        register.admit(["token"])
        apply(register, REGISTER, ADVANCE_JOURNAL, NAME, RETIRE)
    with opened(tmp_path) as register:
        assert register.read(READ) == row(journal=head(6), state_keys=(OTHER.public,)).held
        with refused("witness-state-key"):
            apply(register, NameStateKey(STATE.public))
        register.rollback()
        assert apply(register, CLOSE).successor == OTHER.public
        assert apply(register, ROTATE).owner == head(4, "rotated")
    with opened(tmp_path) as register:
        assert register.counts() == Counts(1, 0, 0)
        with refused("witness-state-key"):
            register.apply(asked(NameStateKey(OTHER.public)), NEXT.public)
        # Retired before the rotation: the control key that could name it names nothing any more.
        assert STATE.public in register.apply(asked(NameStateKey(STATE.public)), NEXT.public).state_keys


def test_what_was_rolled_back_was_never_there(tmp_path: Path) -> None:
    with opened(tmp_path) as register:
        register.admit(["token"])
        register.begin()
        register.apply(asked(REGISTER), CONTROL.public)
        register.rollback()
        assert register.counts() == Counts(0, 0, 1)
        with refused("witness-unknown"):
            register.read(READ)


def test_a_refused_request_changes_nothing_of_its_batch(tmp_path: Path) -> None:
    with opened(tmp_path) as register:
        register.admit(["token"])
        register.begin()
        register.apply(asked(REGISTER), CONTROL.public)
        with refused("witness-state-key"):
            register.apply(asked(ADVANCE_JOURNAL), OTHER.public)
        register.apply(asked(ADVANCE_JOURNAL), STATE.public)
        with refused("witness-owner-head"):
            register.apply(asked(replace(ADVANCE_JOURNAL, owner_head=head(9))), STATE.public)
        assert register.apply(asked(ADVANCE_OWNER), CONTROL.public) == row(journal=head(6), owner=head(4)).held
        register.commit()
        assert register.read(READ) == row(journal=head(6), owner=head(4)).held


def test_changed_tells_a_retry_from_a_change(tmp_path: Path) -> None:
    with opened(tmp_path) as register:
        register.admit(["token"])
        for expected in (True, False):
            register.begin()
            register.apply(asked(REGISTER), CONTROL.public)
            assert register.changed is expected
            register.commit()


def test_witness_token(tmp_path: Path) -> None:
    other = key("another control")
    second = Request(
        asked(REGISTER).witness,
        keys.key_digest(other.public),
        asked(REGISTER).nonce,
        replace(REGISTER, control=other.public),
    )
    with opened(tmp_path) as register:
        register.admit(["token"])
        with refused("witness-token"):
            register.apply(asked(replace(REGISTER, token="tokem")), CONTROL.public)
        apply(register, REGISTER)
        with refused("witness-token"):
            register.apply(second, other.public)
        assert register.counts() == Counts(1, 0, 0)
        assert apply(register, REGISTER) == row().held, "a retry needs none"


def test_a_refused_registration_uses_no_token(tmp_path: Path) -> None:
    with opened(tmp_path) as register:
        register.admit(["token"])
        with refused("witness-held"):
            apply(register, replace(REGISTER, held=row(successor=OTHER.public).held))
        register.rollback()
        assert register.counts() == Counts(0, 0, 1)


def test_a_token_is_not_at_rest(tmp_path: Path) -> None:
    token = b64(bytes(range(32)))
    with opened(tmp_path) as register:
        register.admit([token])
        assert token.encode() not in b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert (tmp_path / DATABASE).stat().st_mode & 0o077 == 0


def test_witness_store_that_somebody_else_holds(tmp_path: Path) -> None:
    with opened(tmp_path) as register:
        other = sqlite3.connect(tmp_path / DATABASE, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with refused("witness-store"):
            register.admit(["token"])
        other.close()
        register.admit(["token"])


def test_witness_store_that_is_no_database(tmp_path: Path) -> None:
    (tmp_path / DATABASE).write_bytes(b"no database" * 1000)
    with refused("witness-store"):
        SqliteRegister(tmp_path)


def test_witness_store_of_another_version(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / DATABASE)
    other.execute("PRAGMA user_version=9")
    other.close()
    with refused("witness-store"):
        SqliteRegister(tmp_path)


def test_witness_folder_without_a_register(tmp_path: Path) -> None:
    with refused("witness-folder"):
        SqliteRegister(tmp_path, make=False)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("durable", ["PRAGMA journal_mode", "PRAGMA synchronous"])
def test_commits_are_durable(tmp_path: Path, durable: str) -> None:
    with opened(tmp_path) as register:
        assert register._db.execute(durable).fetchone()[0] in ("wal", 2)
