"""An attacker cannot write, cut, reorder or extend a cloud journal without a state key that the owner log names.

Each rule of `waykeep.authority.journal` is provoked by its own fault; then what a host can do to the objects in its
store.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import NOW_MS, Owner, a_line, a_record, an_approval, an_owner, born, key, refused
from waykeep.authority import dsse, journal
from waykeep.authority.journalstate import EMPTY, JournalState
from waykeep.authority.keys import SigningKey
from waykeep.authority.records import (
    HEAD_TYPE,
    JOURNAL_TYPE,
    Detail,
    JournalHead,
    JournalObject,
    RunDone,
    SegmentsAccepted,
)
from waykeep.authority.statements import StateKeyNamed
from waykeep.errors import AuthorityError, FormatError, VaultError, WaykeepError
from waykeep.formats import agefile
from waykeep.formats.ids import b64, numbered, sha256
from waykeep.formats.messages import Head
from waykeep.formats.wire import decode_json, encode_json
from waykeep.vault.objects import Journal, Reader
from waykeep.vault.store import DirectoryStore

ANNA, BERT = an_owner("anna"), an_owner("bert")


def accepted(*names: str) -> SegmentsAccepted:
    return SegmentsAccepted(tuple(a_line(name) for name in names))


def ran(run_id: str = "r" * 22, **changes: Any) -> RunDone:
    run = RunDone(
        run_id=run_id,
        algorithm=sha256(b"bundle"),
        name="trips 1.0.0",
        approval=7,
        parameters={"stay_radius_m": 100},
        rows_in={"location": 3},
        rows_out=1,
        time_ms=NOW_MS,
        receipt="{}",
        stored=None,
    )
    return msgspec.structs.replace(run, **changes)


def fold(*items: JournalObject, before: JournalState = EMPTY, owner: Owner = ANNA) -> JournalState:
    return journal.fold(before, owner.state, items)


FIRST = a_record(ANNA, EMPTY, accepted("a.age"))
ONE = fold(FIRST)
SECOND = a_record(ANNA, ONE, ran())
TWO = fold(SECOND, before=ONE)


def test_records_of_a_named_state_key_are_folded() -> None:
    assert (list(TWO.segments), list(TWO.runs)) == (["a.age"], ["r" * 22])
    assert TWO.head == Head(1, sha256(SECOND.envelope.encode()))
    digests = [sha256(item.envelope.encode()) for item in (FIRST, SECOND)]
    assert [TWO.digest_at(number) for number in range(3)] == [*digests, None]
    assert TWO.places == {"a.age": 0}


# -- journal-order -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "items",
    [(SECOND,), (FIRST, FIRST), (FIRST, SECOND, FIRST), (SECOND, FIRST), (FIRST, SECOND, SECOND)],
    ids=["beginning cut", "repeated", "began anew", "reordered", "end repeated"],
)
def test_records_out_of_order_are_refused(items: tuple[JournalObject, ...]) -> None:
    with refused("journal-order", AuthorityError):
        fold(*items)


@pytest.mark.parametrize("changes", [{"number": 2}, {"previous": None}, {"previous": sha256(b"another branch")}])
def test_record_that_does_not_follow_is_refused(changes: dict[str, Any]) -> None:
    with refused("journal-order", AuthorityError):
        fold(a_record(ANNA, ONE, ran(), **changes), before=ONE)


def test_first_record_that_names_one_before_it_is_refused() -> None:
    with refused("journal-order", AuthorityError):
        fold(a_record(ANNA, EMPTY, ran(), previous=sha256(b"")))


# -- journal-owner -----------------------------------------------------------------------------------------------------


def test_record_that_names_another_owner_is_refused() -> None:
    with refused("journal-owner", AuthorityError):
        fold(a_record(ANNA, EMPTY, ran(), owner=BERT.id))


# -- journal-signer ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "signer",
    [key("thief"), ANNA.device, ANNA.authority, ANNA.writer, BERT.state_key],
    ids=["stranger", "device", "authority", "writer", "state key of another"],
)
def test_record_by_a_key_that_is_no_state_key_is_refused(signer: SigningKey) -> None:
    with refused("journal-signer", AuthorityError):
        fold(a_record(ANNA, EMPTY, ran(), signer))


def test_record_that_quotes_a_head_before_its_key_was_named_is_refused() -> None:
    """A state key named later cannot be used to write what would have happened before."""
    state = ANNA.state
    before = Head(state.head.number - 1, state.digest_at(state.head.number - 1))
    with refused("journal-signer", AuthorityError):
        fold(a_record(ANNA, EMPTY, ran(), owner_head=before))


def test_two_state_keys_write_one_chain() -> None:
    owner = an_owner("two keys")
    successor = key("successor")
    first = a_record(owner, EMPTY, accepted("a.age"))
    owner.add(StateKeyNamed(successor.public), owner.device)
    state = fold(first, owner=owner)
    assert fold(a_record(owner, state, ran(), successor), before=state, owner=owner).runs


# -- journal-head ------------------------------------------------------------------------------------------------------


def test_record_that_quotes_an_older_owner_head_than_the_one_before_is_refused() -> None:
    owner = an_owner("going back")
    older = owner.state.head
    owner.add(an_approval())
    state = fold(a_record(owner, EMPTY, accepted("a.age")), owner=owner)
    with refused("journal-head", AuthorityError):
        fold(a_record(owner, state, ran(), owner_head=older), before=state, owner=owner)


def test_record_that_quotes_an_owner_head_to_come_is_refused() -> None:
    with refused("journal-head", AuthorityError):
        fold(a_record(ANNA, EMPTY, ran(), owner_head=Head(ANNA.state.head.number + 1, sha256(b""))))


def test_record_that_quotes_another_owner_log_is_refused() -> None:
    """The number is right, the entry is not: the host showed the user cloud another log than the owner's device."""
    with refused("journal-head", AuthorityError):
        fold(a_record(ANNA, EMPTY, ran(), owner_head=Head(ANNA.state.head.number, sha256(b"a fork"))))


# -- journal-detail ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"detail": ran(rows_out=2)},
        {"detail": ran(parameters={"stay_radius_m": True})},
        {"detail": accepted("a.age")},
        {"salt": b64(b"1" * journal.SALT_BYTES)},
    ],
    ids=["another count", "another type", "another kind", "another salt"],
)
def test_detail_that_was_changed_beside_the_envelope_is_refused(changes: dict[str, Any]) -> None:
    with refused("journal-detail", AuthorityError):
        fold(msgspec.structs.replace(SECOND, **changes), before=ONE)


def test_salt_of_another_length_is_refused() -> None:
    with refused("base64-malformed", FormatError):
        fold(msgspec.structs.replace(FIRST, salt=b64(b"0" * 15)))


def test_the_same_detail_has_another_commitment_each_time() -> None:
    assert journal.commit(b"0" * 16, ran()) != journal.commit(b"1" * 16, ran())


# -- journal-repeat ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "detail",
    [
        accepted("a.age"),
        accepted("b.age", "b.age"),
        ran(),
        ran("s" * 22, stored=a_line("a.age")),
    ],
    ids=["segment of before", "segment twice in one record", "run of before", "result under a name of before"],
)
def test_what_the_journal_already_holds_is_refused(detail: Detail) -> None:
    with refused("journal-repeat", AuthorityError):
        fold(a_record(ANNA, TWO, detail), before=TWO)


# -- as objects in a store ---------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    made = DirectoryStore(tmp_path)
    made.create_owner(ANNA.id)
    for number, envelope in enumerate(ANNA.envelopes):
        made.put_new(f"owners/{ANNA.id}/owner-log/{numbered(number)}", agefile.seal(envelope, ANNA.log_recipients))
    made.put_new(f"owners/{ANNA.id}/epochs/{numbered(1)}", ANNA.epochs[1])
    return made


@pytest.fixture
def reader(store: DirectoryStore) -> Reader:
    return Reader(store, ANNA.id, (ANNA.log_secret,))


@pytest.fixture
def written(store: DirectoryStore) -> JournalState:
    """The state after three records that lie in the store."""
    state = EMPTY
    for detail in (accepted("a.age"), ran(), accepted("b.age")):
        state = a_journal(store).append(state, ANNA.state, detail)
    return state


def a_journal(store: DirectoryStore, owner: Owner = ANNA) -> Journal:
    return Journal(store, owner.id, owner.state_key, os.urandom)


def place(number: int) -> str:
    return f"owners/{ANNA.id}/journal/{numbered(number)}.age"


def test_what_was_appended_is_read_again(reader: Reader, written: JournalState) -> None:
    assert reader.journal(EMPTY, ANNA.state) == written


def test_a_taken_number_stops_the_second_instance(store: DirectoryStore, written: JournalState) -> None:
    one = a_journal(store).append(written, ANNA.state, accepted("c.age"))
    with refused("journal-taken", VaultError):
        a_journal(store).append(written, ANNA.state, accepted("d.age"))
    assert Reader(store, ANNA.id, (ANNA.log_secret,)).journal(EMPTY, ANNA.state) == one


def test_what_the_rules_refuse_never_reaches_the_store(store: DirectoryStore, written: JournalState) -> None:
    before = store.names(f"owners/{ANNA.id}/journal")
    with refused("journal-repeat"):
        a_journal(store).append(written, ANNA.state, accepted("a.age"))
    stranger = Journal(store, ANNA.id, key("thief"), os.urandom)
    with refused("journal-signer"):
        stranger.append(written, ANNA.state, accepted("c.age"))
    assert store.names(f"owners/{ANNA.id}/journal") == before


def test_swapped_objects_are_refused(store: DirectoryStore, reader: Reader, written: JournalState) -> None:
    one, two = store.get(place(0)), store.get(place(1))
    store.delete(place(0))
    store.delete(place(1))
    store.put_new(place(0), two)
    store.put_new(place(1), one)
    with refused("journal-order"):
        reader.journal(EMPTY, ANNA.state)


def test_object_that_is_not_for_the_log_recipient_is_refused(
    store: DirectoryStore, reader: Reader, written: JournalState
) -> None:
    store.put_new(place(3), agefile.seal(encode_json(FIRST), BERT.log_recipients))
    with refused("log-secret-missing", VaultError):
        reader.journal(EMPTY, ANNA.state)


def test_object_forged_with_the_public_recipients_alone_is_refused(
    store: DirectoryStore, reader: Reader, written: JournalState
) -> None:
    forged = a_record(ANNA, written, ran("s" * 22), key("thief"))
    store.put_new(place(3), agefile.seal(encode_json(forged), ANNA.log_recipients))
    with refused("journal-signer"):
        reader.journal(EMPTY, ANNA.state)


def test_journal_of_another_owner_is_refused(store: DirectoryStore, reader: Reader) -> None:
    foreign = a_record(BERT, EMPTY, accepted("a.age"))
    store.put_new(place(0), agefile.seal(encode_json(foreign), ANNA.log_recipients))
    with refused("journal-owner"):
        reader.journal(EMPTY, ANNA.state)


def test_no_head_before_the_first_record(store: DirectoryStore, written: JournalState) -> None:
    with refused("journal-empty", VaultError):
        a_journal(store).head(EMPTY, ANNA.state)
    opened = dsse.open_(a_journal(store).head(written, ANNA.state), HEAD_TYPE, [ANNA.state_key.public])
    said = decode_json(opened.payload, JournalHead)
    assert (said.owner, said.head, said.owner_head) == (ANNA.id, written.head, ANNA.state.head)


# -- the owner log as objects ------------------------------------------------------------------------------------------


def test_owner_log_is_read_up_to_what_the_device_knows(reader: Reader) -> None:
    state = ANNA.state
    for number in range(state.head.number + 1):
        assert reader.owner_log(None, Head(number, state.digest_at(number))) == state


def test_no_owner_log_is_refused(tmp_path: Path) -> None:
    with refused("owner-log-missing", VaultError):
        Reader(DirectoryStore(tmp_path), ANNA.id, (ANNA.log_secret,)).owner_log(None, ANNA.state.head)


def test_owner_log_without_its_newest_entry_is_refused(store: DirectoryStore, reader: Reader) -> None:
    state = ANNA.state
    store.delete(f"owners/{ANNA.id}/owner-log/{numbered(state.head.number)}")
    with refused("owner-log-behind", VaultError):
        reader.owner_log(None, state.head)


def test_longer_owner_log_without_the_entry_that_the_device_knows_is_refused(
    store: DirectoryStore, reader: Reader
) -> None:
    """Two entries of one number, both genuine: the host shows one to the device, the other to the user cloud."""
    fork = an_owner("forked")
    shown = fork.entry(an_approval(store_as=""), fork.device)
    for _ in range(3):
        fork.add(an_approval(), fork.device)
    store.create_owner(fork.id)
    for number, envelope in enumerate(fork.envelopes):
        store.put_new(f"owners/{fork.id}/owner-log/{numbered(number)}", agefile.seal(envelope, fork.log_recipients))
    number = fork.state.head.number - 2
    with refused("owner-log-forked", VaultError):
        Reader(store, fork.id, (fork.log_secret,)).owner_log(None, Head(number, sha256(shown)))


def test_epoch_statement_that_the_owner_log_does_not_name_is_refused(store: DirectoryStore, reader: Reader) -> None:
    assert reader.epochs(ANNA.state)[1].recipient == ANNA.epoch_keys[1].recipient
    other = an_owner("anna")  # the same keys, another epoch: a statement that is signed, and not the one that is named
    place = f"owners/{ANNA.id}/epochs/{numbered(1)}"
    store.delete(place)
    store.put_new(place, other.epochs[1])
    with refused("epoch-mismatch"):
        reader.epochs(ANNA.state)


# -- any bytes ---------------------------------------------------------------------------------------------------------


@given(st.binary(max_size=200), st.text(max_size=40))
def test_arbitrary_bytes_are_no_record(data: bytes, text: str) -> None:
    signed = dsse.sign(JOURNAL_TYPE, data, ANNA.state_key).decode()
    for envelope, salt in ((text, FIRST.salt), (FIRST.envelope, text), (signed, FIRST.salt)):
        with pytest.raises(WaykeepError):
            fold(JournalObject(envelope, salt, FIRST.detail))
    with pytest.raises(WaykeepError):
        decode_json(data, JournalObject)


def test_owner_that_was_just_born_has_no_state_key() -> None:
    owner = born()
    with refused("journal-signer"):
        fold(a_record(owner, EMPTY, ran()), owner=owner)
