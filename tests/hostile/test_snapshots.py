"""A host cannot have a user cloud believe another history by what it puts, keeps, cuts or exchanges among snapshots.

Whatever it does costs time, or is refused where the journal itself is not whole: the answers are those of the journal.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tests.unit.builders import Owner, a_line, an_owner, born, key, refused
from tests.unit.vault.snapshotting import Life, a_debit, same
from waykeep.authority import journalstate
from waykeep.authority.records import SegmentsAccepted
from waykeep.authority.statements import DeviceAdded, RecipientsNamed, StateKeyNamed, StateKeyRetired
from waykeep.formats import agefile
from waykeep.formats.ids import numbered, sha256
from waykeep.formats.messages import Head
from waykeep.vault import chunks, snapshots
from waykeep.vault.chunks import Chunks
from waykeep.vault.objects import Journal
from waykeep.vault.snapshots import Packed


@pytest.fixture
def life(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Life:
    """A journal on a snapshot of several chunks."""
    monkeypatch.setattr(chunks, "RECORDS", 8)
    monkeypatch.setattr(snapshots, "MERGED_RECORDS", 4)
    made = Life(tmp_path / "anna")
    made.grow(20)
    made.snapshot()
    return made


@pytest.fixture(autouse=True)
def folders(tmp_path: Path) -> None:
    for name in ("anna", "bert"):
        (tmp_path / name).mkdir()


def foreign(life: Life) -> None:
    """The newest snapshot is refused by name, and nothing is lost by it."""
    with refused("snapshot-unbelieved"):
        snapshots.believe(life.reader(), life.log, life.unpacked()[1])
    unbelieved(life)


def unbelieved(life: Life) -> None:
    """The snapshots that lie there are not believed, and nothing is lost by it."""
    found = life.reader()
    assert snapshots.read(found, life.log) == journalstate.EMPTY
    same(life.woken(), life.folded())


# -- the index ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"owner": an_owner("bert").id},
        {"rotations": 1},
        {"owner_head": Head(0, sha256(b"another log"))},
        {"owner_head": Head(99, sha256(b"entries that the host withholds"))},
        {"head": Head(2, sha256(b"another record"))},
        {"head": Head(99, sha256(b"no record"))},
    ],
    ids=["owner", "rotations", "log forked", "log ahead", "record forked", "record missing"],
)
def test_an_index_that_is_not_of_these_logs(life: Life, changes: dict[str, object]) -> None:
    life.forge(runs=1000, **changes)
    foreign(life)


@pytest.mark.parametrize("signer", ["anna/device", "anna/authority", "bert/state", "stranger"])
def test_an_index_forged_by_a_key_that_is_no_state_key(life: Life, signer: str) -> None:
    life.forge(key(signer), used={life.log.digest_at(life.grant): (0, 0)})
    foreign(life)


def test_an_index_forged_by_a_retired_state_key(life: Life) -> None:
    life.owner.add(StateKeyNamed(key("next").public), life.owner.device)
    life.owner.add(StateKeyRetired(life.owner.state_key.public), life.owner.device)
    life.publish()
    life.forge(used={life.log.digest_at(life.grant): (0, 0)})
    foreign(life)


def test_an_index_by_a_state_key_that_a_rotation_made_void(life: Life) -> None:
    life.owner.rotate(void_from=life.log.state_keys[life.owner.state_key.public].since)
    life.publish()
    foreign(life)
    assert life.woken().segments == {}


def test_an_index_with_another_signed_by_its_side(life: Life) -> None:
    """Changing the payload under a signature: as the host may, once it has a log secret."""
    said, packed = life.unpacked()
    outer = msgspec.json.decode(packed.envelope)
    life.forge(runs=said.runs + 1)
    outer["payload"] = msgspec.json.decode(life.unpacked()[1].envelope)["payload"]
    made = Packed(msgspec.json.encode(outer), packed.owner_log)
    with refused("signature-invalid"):
        snapshots.believe(life.reader(), life.log, made)
    life.plant(life.index(), agefile.seal(msgspec.msgpack.encode(made), life.owner.log_recipients))
    unbelieved(life)


@pytest.mark.parametrize("share_secret", [False, True], ids=["own secret", "same secret"])
def test_the_snapshot_of_another_owner(life: Life, tmp_path: Path, share_secret: bool) -> None:
    other = an_owner("bert")
    if share_secret:
        other = born("bert")
        other.log_secret, other.recovery_secret = life.owner.log_secret, life.owner.recovery_secret
        other = _grown(other)
    bert = Life(tmp_path / "bert", other)
    bert.grow(20)
    bert.snapshot()
    for name in life.names():
        life.plant(name, None)
    for name in bert.names():
        life.plant(name, bert.data(name))
    unbelieved(life)


def _grown(owner: Owner) -> Owner:
    owner.add(RecipientsNamed(*owner.log_recipients))
    owner.add(DeviceAdded(owner.device.public, "laptop"))
    owner.add(StateKeyNamed(owner.state_key.public), owner.device)
    return owner


@pytest.mark.parametrize(
    "data", [b"", b"noise", b"age-encryption.org/v1\n" + b"-> x\n" * 100], ids=["empty", "noise", "header"]
)
def test_an_index_that_is_noise(life: Life, data: bytes) -> None:
    life.plant(life.index(), data)
    unbelieved(life)


def test_an_index_that_was_cut(life: Life) -> None:
    life.plant(life.index(), life.data(life.index())[:-20])
    unbelieved(life)


def test_an_index_that_is_a_chunk_and_a_chunk_that_is_an_index(life: Life) -> None:
    index, chunk = life.data(life.index()), life.data(life.chunks()[0])
    life.plant(life.chunks()[0], index)
    same(life.woken(), life.folded())
    life.plant(life.index(), chunk)
    unbelieved(life)


def test_an_index_larger_than_is_read(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "MAX_INDEX", 2000)
    unbelieved(life)


def test_noise_under_higher_numbers_costs_one_fold_and_is_swept(life: Life) -> None:
    for number in (10**10 - 1, 10**10 - 2, 50):
        life.plant(f"{numbered(number)}.age", b"noise")
    unbelieved(life)
    life.state = life.woken()
    life.grow(1)
    life.snapshot()
    assert life.index() == f"{numbered(20)}.age"
    assert isinstance(life.woken().base, Chunks)
    same(life.woken(), life.folded())


def test_names_that_only_look_like_an_index_are_none(life: Life) -> None:
    for name in ("99999999990age", "999999999.xage", "9999999999.bge"):
        life.plant(name, b"noise")
    assert isinstance(life.woken().base, Chunks)


# -- an older one ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["newest deleted", "newest damaged", "under a higher number", "in place of the newest"])
def test_an_older_snapshot_than_the_newest(life: Life, how: str) -> None:
    before, old = life.index(), life.data(life.index())
    life.grow(10)
    life.snapshot()
    life.grow(2)
    if how == "under a higher number":
        life.plant(f"{numbered(77)}.age", old)
    else:
        life.plant(life.index(), {"newest damaged": b"noise", "in place of the newest": old}.get(how))
    woken = life.woken()
    assert isinstance(woken.base, Chunks) and woken.base.index.head.number == int(before[:10])
    same(woken, life.folded())


def test_a_snapshot_of_a_longer_journal_than_the_host_shows(life: Life) -> None:
    """The host cuts the journal: then it ends early, for the witness to see, and the snapshot hides nothing."""
    for number in range(15, 20):
        life.store.delete(f"{life.home}/journal/{numbered(number)}.age")
    foreign(life)
    woken = life.woken()
    assert woken.head is not None and woken.head.number == 14
    assert life.state.head is not None and woken.digest_at(life.state.head.number) is None


def test_a_snapshot_of_a_journal_that_was_set_back(life: Life) -> None:
    """After a resume the journal has other records of the same numbers."""
    gone = life.state.digest_at(19)
    for number in range(15, 20):
        life.store.delete(f"{life.home}/journal/{numbered(number)}.age")
    life.state = life.woken()
    life.grow(10)
    unbelieved(life)
    assert life.woken().digest_at(19) not in (None, gone)
    life.snapshot()
    assert [name for name in life.names() if len(name) == 14] == [f"{numbered(24)}.age"]
    same(life.woken(), life.folded())


def test_a_snapshot_of_one_copy_in_the_store_of_another(life: Life) -> None:
    """Two copies grow apart from record 20 on; the host shows the journal of one and the snapshot of the other."""
    start = life.state
    life.grow(10)
    life.snapshot()
    index, digest = life.data(life.index()), life.state.digest_at(25)
    for number in range(20, 30):
        life.store.delete(f"{life.home}/journal/{numbered(number)}.age")
    life.state = start
    life.grow(10)
    assert life.index() == f"{numbered(29)}.age" and life.data(life.index()) == index
    woken = life.woken()
    assert woken.digest_at(25) == life.state.digest_at(25) != digest
    same(woken, life.folded())


# -- chunks ------------------------------------------------------------------------------------------------------------

CHANGES: dict[str, Callable[[bytes], bytes | None]] = {
    "missing": lambda _: None,
    "empty": lambda _: b"",
    "cut": lambda data: data[:-1],
    "flipped": lambda data: data[:-1] + bytes([data[-1] ^ 1]),
    "noise": lambda data: os.urandom(len(data)),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("what", ["chunk", "ids"])
def test_a_chunk_that_was_changed(life: Life, what: str, change: str) -> None:
    for name in life.chunks():
        name = name if what == "chunk" else name.replace(".age", "-ids.age")
        life.plant(name, CHANGES[change](life.data(name)))
        woken = life.woken()
        assert isinstance(woken.base, Chunks)
        same(woken, life.folded())


def test_chunks_exchanged_with_each_other(life: Life) -> None:
    one, other = life.chunks()[:2]
    for suffix in (".age", "-ids.age"):
        first, second = (name.replace(".age", suffix) for name in (one, other))
        data = life.data(first)
        life.plant(first, life.data(second))
        life.plant(second, data)
        same(life.woken(), life.folded())


def test_marks_made_empty_do_not_hide_what_was_accepted_or_spent(life: Life) -> None:
    """Else a request could be debited twice: marks that are not the index's say nothing."""
    life.state = life.journal.append(life.state, life.log, a_debit("d" * 22, life.grant, life.state.head))
    life.snapshot()
    for name in life.chunks():
        life.plant(name.replace(".age", "-ids.age"), agefile.seal(b"", life.owner.log_recipients))
    woken = life.woken()
    assert isinstance(woken.base, Chunks)
    with refused("journal-repeat"):
        life.journal.append(woken, life.log, a_debit("d" * 22, life.grant, woken.head))
    name = next(iter(life.folded().segments))
    with refused("journal-repeat"):
        life.journal.append(life.woken(), life.log, SegmentsAccepted((a_line(name),)))


def test_a_chunk_and_a_record_of_it_withheld(life: Life) -> None:
    woken = life.woken()
    assert isinstance(woken.base, Chunks)
    line = woken.base.index.chunks[0]
    life.plant(f"{line.name}.age", None)
    life.store.delete(f"{life.home}/journal/{numbered(line.first)}.age")
    with refused("journal-forked"):
        woken.digest_at(line.first)
    with refused("journal-forked"):
        woken.segment(next(iter(life.state.segments), "0-0.age"))


def test_a_chunk_withheld_and_its_records_exchanged_for_others(life: Life) -> None:
    woken = life.woken()
    assert isinstance(woken.base, Chunks)
    for name in life.chunks():
        life.plant(name, None)
    for number in range(20):
        life.store.delete(f"{life.home}/journal/{numbered(number)}.age")
    other = Journal(life.store, life.owner.id, life.owner.state_key, os.urandom)
    state = journalstate.EMPTY
    for number in range(20):
        state = other.append(state, life.log, SegmentsAccepted((a_line(f"other-{number}.age"),)))
    with refused("journal-forked"):
        woken.digest_at(3)


# -- the owner log beside it -------------------------------------------------------------------------------------------


def test_an_owner_log_in_a_snapshot_that_leaves_out_the_newest_entries(life: Life) -> None:
    """The store's go on from there; if the host withholds them too, what the device knows is not reached."""
    life.forge(owner_log=tuple(life.owner.envelopes[:4]))
    assert snapshots.owner_log(life.reader(), life.log.head) == life.log
    life.store.delete(f"{life.home}/owner-log/{numbered(5)}")
    with refused("owner-log-behind"):
        snapshots.owner_log(life.reader(), life.log.head)


def test_an_owner_log_in_a_snapshot_that_another_device_made_up(life: Life) -> None:
    stranger = life.owner.entry(StateKeyNamed(key("stranger").public), key("stranger"))
    life.forge(owner_log=(*life.owner.envelopes, stranger))
    found = snapshots.owner_log(life.reader(), life.log.head)
    assert found == life.log and key("stranger").public not in found.state_keys


def test_an_owner_log_in_a_snapshot_that_went_another_way(life: Life) -> None:
    """Signed by the owner's own device, and not what the device knows."""
    fork = life.owner.again()
    fork.envelopes = fork.envelopes[:-1]
    fork.folded = None
    fork.add(StateKeyNamed(key("fork").public), fork.device)
    life.forge(owner_log=tuple(fork.envelopes))
    found = snapshots.owner_log(life.reader(), life.log.head)
    assert found == life.log and key("fork").public not in found.state_keys


@pytest.mark.parametrize("which", ["of another owner", "none", "noise", "out of order", "twice"])
def test_an_owner_log_in_a_snapshot_that_is_not_the_owners(life: Life, which: str) -> None:
    own = life.owner.envelopes
    planted = {
        "of another owner": an_owner("bert").envelopes,
        "none": [],
        "noise": [b"noise"],
        "out of order": [*own[:2], own[3], own[2]],
        "twice": [*own, own[-1]],
    }[which]
    life.forge(owner_log=tuple(planted))
    assert snapshots.owner_log(life.reader(), life.log.head) == life.log
    same(life.woken(), life.folded())
