"""An owner's logs in a real store: read into folds, checked against what the device knows, and appended to once."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.people import refused
from tests.unit.builders import epoch_statement
from tests.unit.vault import segmenting
from tests.unit.vault.segmenting import LOG, NOW_MS, OWNER, SECRETS, STATE_KEY
from tests.unit.vault.snapshotting import Life
from waykeep.authority import dsse, journalstate
from waykeep.authority.journalstate import JournalState
from waykeep.authority.keys import SigningKey
from waykeep.authority.records import HEAD_TYPE, JournalHead, SegmentEntry, SegmentsAccepted
from waykeep.authority.statements import EPOCH_TYPE, EpochOpened, EpochStatement
from waykeep.device import owner
from waykeep.formats import agefile
from waykeep.formats.ids import numbered, sha256
from waykeep.formats.messages import Head
from waykeep.formats.wire import decode_json, encode_json
from waykeep.vault import objects
from waykeep.vault.objects import Journal, Reader
from waykeep.vault.store import DirectoryStore

RECIPIENTS = LOG.log_recipients()
HOME = f"owners/{LOG.owner}"
ENVELOPES = OWNER.entries


def detail(name: str) -> SegmentsAccepted:
    entry = SegmentEntry(
        name, "battery", "recorded", 1, SECRETS.writer_key.public, sha256(b""), "imported", 1, 1, NOW_MS, NOW_MS, None
    )
    return SegmentsAccepted((entry,))


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    """A store with this owner's log, and the statement of epoch 1."""
    made = DirectoryStore(tmp_path)
    made.create_owner(LOG.owner)
    for number, envelope in enumerate(ENVELOPES):
        made.put_new(f"{HOME}/owner-log/{numbered(number)}", agefile.seal(envelope, RECIPIENTS))
    made.put_new(f"{HOME}/epochs/{numbered(1)}", OWNER.epoch)
    return made


@pytest.fixture
def reader(store: DirectoryStore) -> Reader:
    return Reader(store, LOG.owner, SECRETS.logs)


@pytest.fixture
def written(store: DirectoryStore) -> Journal:
    return Journal(store, LOG.owner, STATE_KEY, os.urandom)


def head(number: int) -> Head:
    return Head(number, sha256(ENVELOPES[number]))


# -- owner log --------------------------------------------------------------------------------------------------------


def test_the_owner_log_is_read_from_its_inception_and_goes_on(store: DirectoryStore, reader: Reader) -> None:
    first = reader.owner_log(None, head(4))
    assert first.head == head(4)
    named = owner.entry_after(LOG.owner, first.head, NOW_MS, LOG.entries[-1][1].body, SECRETS.device_key)
    store.put_new(f"{HOME}/owner-log/{numbered(5)}", agefile.seal(named, RECIPIENTS))
    again = reader.owner_log(first, head(2))
    assert again.head == Head(5, sha256(named))
    assert STATE_KEY.public in again.state_keys


def test_no_owner_log(tmp_path: Path) -> None:
    with refused("owner-log-missing", "vault"):
        Reader(DirectoryStore(tmp_path), LOG.owner, SECRETS.logs).owner_log(None, head(0))


def test_an_owner_log_that_ends_too_early(store: DirectoryStore, reader: Reader) -> None:
    store.delete(f"{HOME}/owner-log/{numbered(4)}")
    assert reader.owner_log(None, head(3)).head == head(3)
    with refused("owner-log-behind", "vault"):
        reader.owner_log(None, head(4))


def test_another_owner_log_than_the_device_knows(reader: Reader) -> None:
    with refused("owner-log-forked", "vault"):
        reader.owner_log(None, Head(4, sha256(b"another entry")))


def test_an_entry_out_of_its_place(store: DirectoryStore, reader: Reader) -> None:
    store.put_new(f"{HOME}/owner-log/{numbered(5)}", agefile.seal(ENVELOPES[4], RECIPIENTS))
    assert reader.owner_log(None, head(4)).head == head(4)
    with refused("log-order", "authority"):
        reader.owner_log(None, Head(5, sha256(b"known")))


def test_another_owners_log(store: DirectoryStore, reader: Reader) -> None:
    other, _ = segmenting.make(first=100)
    store.delete(f"{HOME}/owner-log/{numbered(0)}")
    store.put_new(f"{HOME}/owner-log/{numbered(0)}", agefile.seal(other.entries[0], RECIPIENTS))
    with refused("log-inception", "authority"):
        reader.owner_log(None, head(0))


def test_a_log_secret_that_does_not_open_it(store: DirectoryStore) -> None:
    with refused("log-secret-missing", "vault"):
        Reader(store, LOG.owner, (agefile.generate()[0],)).owner_log(None, head(0))


def test_each_log_secret_opens_its_part_and_without_the_newest_the_owner_has_to_unlock(tmp_path: Path) -> None:
    life = Life(tmp_path)
    before = life.log.head
    for _ in range(3):
        life.renew()
        life.grow(1)
    assert len(life.secrets) == 4
    assert life.reader().owner_log(None, before) == life.log
    assert life.reader().journal(journalstate.EMPTY, life.log) == life.state
    behind = Reader(life.store, life.owner.id, tuple(life.secrets[:-1]))
    with refused("log-secret-missing", "vault"):
        behind.journal(journalstate.EMPTY, life.log)
    # The entry that names the newest is for the secret before as well; the next one is not.
    assert behind.owner_log(None, before) == life.log
    life.owner.open_epoch(2)
    life.secrets.append(life.secrets[-1])  # it is sealed to the last two of these
    life.publish()
    with refused("log-secret-missing", "vault"):
        behind.owner_log(None, before)


def test_a_log_longer_than_a_batch(store: DirectoryStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(objects, "BATCH", 3)
    (tmp_path / "long").mkdir()
    life = Life(tmp_path / "long")
    life.grow(10)
    found = life.reader()
    assert found.owner_log(None, life.log.head) == life.log
    assert found.envelopes == life.owner.envelopes
    assert life.reader().journal(journalstate.EMPTY, life.log) == life.state
    middle = Head(4, life.state.digests[4])
    assert life.reader().journal(journalstate.EMPTY, life.log, until=middle).head == middle
    with refused("journal-forked", "vault"):
        life.reader().journal(journalstate.EMPTY, life.log, until=Head(4, sha256(b"another")))
    with refused("journal-forked", "vault"):
        life.reader().journal(journalstate.EMPTY, life.log, until=Head(99, sha256(b"more than there is")))


def test_a_store_that_fails_is_not_taken_for_a_log_that_ends(tmp_path: Path, reader: Reader) -> None:
    last = tmp_path / HOME / "owner-log" / numbered(4)
    last.unlink()
    last.symlink_to(tmp_path)
    with refused("store-failed", "vault"):
        reader.owner_log(None, head(3))


# -- epochs -----------------------------------------------------------------------------------------------------------


def test_epochs_are_those_that_the_log_names(reader: Reader) -> None:
    found = reader.epochs(LOG)
    assert {number: e.recipient for number, e in found.items()} == {1: LOG.epochs[1].recipient}


def test_another_statement_of_an_epoch(store: DirectoryStore, reader: Reader) -> None:
    statement = EpochStatement(LOG.owner, 1, agefile.generate()[1], NOW_MS)
    store.delete(f"{HOME}/epochs/{numbered(1)}")
    signed = dsse.sign(EPOCH_TYPE, encode_json(statement), SECRETS.authority_key)
    store.put_new(f"{HOME}/epochs/{numbered(1)}", signed)
    with refused("epoch-mismatch", "authority"):
        reader.epochs(LOG)


def test_a_statement_that_lasts_longer_than_the_one_that_the_log_names(store: DirectoryStore, reader: Reader) -> None:
    statement = EpochStatement(LOG.owner, 1, LOG.epochs[1].recipient, 4_000_000_000_000)
    store.delete(f"{HOME}/epochs/{numbered(1)}")
    signed = dsse.sign(EPOCH_TYPE, encode_json(statement), SECRETS.authority_key)
    store.put_new(f"{HOME}/epochs/{numbered(1)}", signed)
    with refused("epoch-mismatch", "authority"):
        reader.epochs(LOG)


def test_statements_of_before_and_after_a_rotation(tmp_path: Path) -> None:
    life = Life(tmp_path)
    life.owner.rotate()
    life.owner.open_epoch(2)
    for number, envelope in life.owner.epochs.items():
        life.store.put_new(f"{life.home}/epochs/{numbered(number)}", envelope)
    assert sorted(life.reader().epochs(life.log)) == [1, 2]


def test_a_statement_that_the_log_names_by_a_key_that_was_never_the_authority(tmp_path: Path) -> None:
    life = Life(tmp_path)
    recipient = agefile.generate()[1]
    life.owner.epochs[2] = epoch_statement(life.owner, 2, recipient, life.owner.device)
    life.owner.add(EpochOpened(2, sha256(life.owner.epochs[2]), recipient))
    for number, envelope in life.owner.epochs.items():
        life.store.put_new(f"{life.home}/epochs/{numbered(number)}", envelope)
    with refused("epoch-mismatch", "authority"):
        life.reader().epochs(life.log)


def test_a_missing_epoch_statement(store: DirectoryStore, reader: Reader) -> None:
    store.delete(f"{HOME}/epochs/{numbered(1)}")
    with refused("object-missing", "vault"):
        reader.epochs(LOG)


# -- journal ----------------------------------------------------------------------------------------------------------


def test_what_was_appended_is_read(reader: Reader, written: Journal) -> None:
    state = journalstate.EMPTY
    for name in ("a", "b", "c"):
        state = written.append(state, LOG, detail(name))
    found = reader.journal(journalstate.EMPTY, LOG)
    assert found == state
    assert list(found.segments) == ["a", "b", "c"]
    assert found.head is not None
    assert found.head.number == 2


def test_the_signed_head_is_of_the_newest_record(written: Journal) -> None:
    with refused("journal-empty", "vault"):
        written.head(journalstate.EMPTY, LOG)
    state = written.append(journalstate.EMPTY, LOG, detail("a"))
    payload = dsse.open_(written.head(state, LOG), HEAD_TYPE, [STATE_KEY.public]).payload
    assert decode_json(payload, JournalHead) == JournalHead(LOG.owner, state.head, LOG.head)


def test_a_number_that_another_instance_took(store: DirectoryStore, reader: Reader, written: Journal) -> None:
    other = Journal(store, LOG.owner, STATE_KEY, os.urandom)
    state = other.append(journalstate.EMPTY, LOG, detail("a"))
    with refused("journal-taken", "vault"):
        written.append(journalstate.EMPTY, LOG, detail("a"))
    assert reader.journal(journalstate.EMPTY, LOG) == state


def test_what_the_rules_refuse_never_reaches_the_store(store: DirectoryStore, written: Journal) -> None:
    stranger = Journal(store, LOG.owner, SigningKey(b"x" * 32), os.urandom)
    with refused("journal-signer", "authority"):
        stranger.append(journalstate.EMPTY, LOG, detail("a"))
    state = written.append(journalstate.EMPTY, LOG, detail("a"))
    with refused("journal-repeat", "authority"):
        written.append(state, LOG, detail("a"))
    assert store.names(f"{HOME}/journal") == [f"{numbered(0)}.age"]


def test_a_store_that_fails_is_no_taken_number(tmp_path: Path, store: DirectoryStore, written: Journal) -> None:
    folder = tmp_path / HOME / "journal"
    folder.rmdir()
    with refused("store-failed", "vault"):
        written.append(journalstate.EMPTY, LOG, detail("a"))
    folder.mkdir()
    assert isinstance(written.append(journalstate.EMPTY, LOG, detail("a")), JournalState)


def test_both_recipients_open_the_journal(store: DirectoryStore, written: Journal) -> None:
    written.append(journalstate.EMPTY, LOG, detail("a"))
    data = store.get(f"{HOME}/journal/{numbered(0)}.age")
    opened = {
        agefile.open_(data, [secret], limit=1 << 20, what="it") for secret in (SECRETS.logs[-1], OWNER.paper.opening)
    }
    assert len(opened) == 1
