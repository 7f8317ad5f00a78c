"""Snapshots: the same answers as the journal's own fold, at a cost that does not grow with the history."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.builders import NOW_MS, a_line, refused
from tests.unit.vault.snapshotting import Counting, Failing, Life, a_debit, same
from waykeep.authority import journalstate
from waykeep.authority.records import SegmentsAccepted
from waykeep.errors import VaultError
from waykeep.formats import agefile
from waykeep.formats.ids import numbered, sha256
from waykeep.formats.messages import Head
from waykeep.vault import chunks, snapshots
from waykeep.vault.chunks import Chunk, Chunks
from waykeep.vault.objects import Reader


@pytest.fixture
def life(tmp_path: Path) -> Life:
    return Life(tmp_path)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Chunks of few records, so that a short journal has many."""
    monkeypatch.setattr(chunks, "RECORDS", 8)
    monkeypatch.setattr(snapshots, "MERGED_RECORDS", 4)


# -- the same answers --------------------------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(steps=st.lists(st.sampled_from(["grow", "grow much", "snapshot", "wake", "kill"]), min_size=1, max_size=10))
def test_snapshots_at_any_places_answer_as_the_whole_fold_does(steps: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(chunks, "RECORDS", 8)
        patch.setattr(snapshots, "MERGED_RECORDS", 4)
        life = Life(Path(folder), store=Failing)
        for step in steps:
            if step.startswith("grow"):
                life.grow(20 if step == "grow much" else 3)
            elif step == "wake":
                life.state = life.woken()
            elif life.state.head is not None:
                assert isinstance(life.store, Failing)
                life.store.left = 2 if step == "kill" else -1
                if step == "kill" and life.state.digests:
                    with refused("store-failed"):
                        life.snapshot()
                else:
                    life.snapshot()
                life.store.left = -1
        same(life.state, life.folded())
        same(life.woken(), life.folded())


def test_a_spend_on_a_snapshot_is_counted_and_found(life: Life) -> None:
    for number in range(3):
        life.state = life.journal.append(life.state, life.log, a_debit(f"{number:022}", life.grant, life.state.head))
    life.snapshot()
    woken = life.woken()
    assert isinstance(woken.base, Chunks) and not woken.debits
    assert woken.used == {life.log.digest_at(life.grant): (3, 300)}
    with refused("journal-repeat"):
        life.journal.append(woken, life.log, a_debit(f"{1:022}", life.grant, woken.head))


def test_a_segment_in_a_chunk_is_not_accepted_again(life: Life) -> None:
    life.state = life.journal.append(life.state, life.log, SegmentsAccepted((a_line(),)))
    life.snapshot()
    with refused("journal-repeat"):
        life.journal.append(life.woken(), life.log, SegmentsAccepted((a_line(),)))


def test_records_with_many_segments_are_cut_into_chunks_that_can_be_read(life: Life) -> None:
    for number in range(16):
        lines = tuple(a_line(f"{number}-{n}.age") for n in range(256))
        life.state = life.journal.append(life.state, life.log, SegmentsAccepted(lines))
    life.snapshot()
    woken = life.woken()
    assert isinstance(woken.base, Chunks)
    assert len(woken.base.index.chunks) > 1
    assert all(line.size <= chunks.PLAIN for line in woken.base.index.chunks)
    for number in range(16):
        life.store.delete(f"{life.home}/journal/{numbered(number)}.age")
    assert woken.segment("7-255.age") == a_line("7-255.age")


def test_what_is_cut_is_all_there_and_within_bounds() -> None:
    lines = tuple((number // 300, a_line(f"{number}.age")) for number in range(300 * 30))
    ids = tuple(str(number) for number in range(20))
    debits = tuple(a_debit(f"{number:022}", 1, None) for number in range(29))
    whole = Chunk(0, bytes(range(30)) * 32, lines, ids, debits, ids[:7], (), (), ())
    parts = chunks.cut(whole)
    assert all(len(plain) <= chunks.PLAIN for _, plain in parts)
    assert all(msgspec.msgpack.decode(plain, type=Chunk) == chunk for chunk, plain in parts)
    assert all(
        chunk.first <= number < chunk.first + chunk.records for chunk, _ in parts for number, _ in chunk.segments
    )
    joined = parts[0][0]
    for chunk, _ in parts[1:]:
        assert chunk.first == joined.first + joined.records
        joined = chunks.join(joined, chunk)
    assert joined == whole


def test_a_single_record_that_is_larger_than_a_chunk_is_one() -> None:
    lines = tuple((5, a_line(f"{number}.age", stream="json/" + "x" * 200)) for number in range(3000))
    ((chunk, plain),) = chunks.cut(Chunk(5, bytes(32), lines, (), (), (), (), (), ()))
    assert chunks.PLAIN < len(plain) <= chunks.MAX_CHUNK
    assert chunk.segments == lines


# -- what it costs -----------------------------------------------------------------------------------------------------


def test_waking_reads_as_much_of_a_long_history_as_of_a_short_one(tmp_path: Path, small: None) -> None:
    life, read = Life(tmp_path, store=Counting), []
    assert isinstance(life.store, Counting)
    for count in (1, 200):
        life.grow(count)
        life.snapshot()
        life.store.got.clear()
        assert life.woken().head == life.state.head
        read.append([key.removeprefix(f"{life.home}/") for key in life.store.got])
    assert len(life.chunks()) > 20
    for got in read:
        # The index, the end of the owner log, the index's record, the end of the journal.
        assert [key.split("/")[0] for key in got] == ["snapshots", "owner-log", "journal", "journal"]


def test_a_name_that_is_new_opens_no_chunk_and_one_that_is_not_opens_its_own(tmp_path: Path, small: None) -> None:
    life = Life(tmp_path, store=Counting)
    assert isinstance(life.store, Counting)
    life.grow(100)
    life.snapshot()
    name = next(iter(life.folded().segments))
    woken = life.woken()
    life.store.got.clear()
    assert woken.segment("new.age") is None and not woken.ran("new") and not woken.spent("new")
    marks = list(life.store.got)
    assert marks and all(key.endswith("-ids.age") for key in marks)
    assert woken.segment(name) is not None
    assert len(life.store.got) == len(marks) + 1


def test_a_read_opens_those_chunks_that_overlap_its_window(tmp_path: Path, small: None) -> None:
    life = Life(tmp_path, store=Counting)
    assert isinstance(life.store, Counting)
    for number in range(64):
        line = a_line(f"{number}.age", first_ms=NOW_MS + 100 * number, last_ms=NOW_MS + 100 * number + 99)
        life.state = life.journal.append(life.state, life.log, SegmentsAccepted((line,)))
    life.snapshot()
    woken = life.woken()
    assert isinstance(woken.base, Chunks)
    life.store.got.clear()
    found = woken.base.of_stream("location", NOW_MS + 3200, NOW_MS + 3201)
    assert [number for number, _ in found] == list(range(32, 40))
    assert not woken.base.of_stream("battery", 0, 1 << 50)
    assert len(life.store.got) == 1


def test_a_snapshot_writes_only_what_is_new_and_deletes_what_nobody_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(snapshots, "MERGED_RECORDS", 20)
    life = Life(tmp_path, store=Counting)
    assert isinstance(life.store, Counting)
    life.grow(20)
    life.snapshot()
    (first,) = life.chunks()
    life.plant(f"{'0' * 32}.age", b"left behind")
    for _ in range(5):
        life.grow(3)
        life.store.put.clear()
        life.snapshot()
        assert len(life.store.put) == 3
    names = life.names()
    assert first in names and f"{'0' * 32}.age" not in names
    # Two indexes; the first chunk, the last one, and the one that the index before names; marks of each.
    assert (len(names), len(life.chunks())) == (8, 3)


def test_without_new_records_nothing_is_written(life: Life) -> None:
    life.grow(3)
    life.snapshot()
    before = life.names()
    life.snapshot()
    assert life.names() == before
    with refused("journal-empty"):
        snapshots.write(life.reader(), life.log, journalstate.EMPTY, life.owner.state_key)


def test_an_index_that_is_not_needed_is_not_read(tmp_path: Path) -> None:
    life = Life(tmp_path, store=Counting)
    assert isinstance(life.store, Counting)
    for _ in range(2):
        life.grow(1)
        life.snapshot()
    found = life.reader()
    life.store.got.clear()
    snapshots.read(found, life.log)
    assert [key for key in life.store.got if "/snapshots/" in key] == [f"{life.home}/snapshots/{life.index()}"]
    assert not found.packed


# -- damage and death --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["chunk", "ids"])
def test_what_was_damaged_is_written_anew_by_the_next_snapshot(life: Life, small: None, what: str) -> None:
    life.grow(40)
    life.snapshot()
    name = life.chunks()[0]
    life.plant(name if what == "chunk" else name.replace(".age", "-ids.age"), None)
    life.state = life.woken()
    same(life.state, life.folded())
    life.grow(1)
    life.snapshot()
    whole, woken = life.folded(), life.woken()
    for number in range(40):
        life.store.delete(f"{life.home}/journal/{numbered(number)}.age")
    # Without its records: so it is the chunks that answer.
    same(woken, whole)


def test_killed_at_every_call_of_a_snapshot(tmp_path: Path, small: None) -> None:
    left = 0
    while True:
        life = Life(tmp_path / str(left), store=_made(tmp_path / str(left)))
        assert isinstance(life.store, Failing)
        for count in (9, 9):
            life.grow(count)
            life.snapshot()
        life.grow(9)
        life.store.left = left
        try:
            life.snapshot()
        except VaultError as error:
            assert error.rule == "store-failed"
        else:
            break
        life.store.left = -1
        same(life.woken(), life.folded())
        life.state = life.woken()
        life.grow(1)
        life.snapshot()
        same(life.woken(), life.folded())
        _nothing_left_over(life)
        left += 1
    # Two chunks of two objects, the index, and what the one before last had alone.
    assert left > 5


def _made(folder: Path) -> type[Failing]:
    folder.mkdir()
    return Failing


def _nothing_left_over(life: Life) -> None:
    """Only objects of the newest two snapshots lie there."""
    indexes = sorted(name for name in life.names() if len(name) == 14)
    assert len(indexes) <= 2
    named = set(indexes)
    for _ in indexes:
        named |= {name for line in life.unpacked()[0].chunks for name in chunks.objects(line)}
        life.plant(life.index(), None)
    assert set(life.names()) <= named


def test_a_store_that_fails_is_no_missing_snapshot(tmp_path: Path, life: Life) -> None:
    life.grow(3)
    life.snapshot()
    index = tmp_path / life.home / "snapshots" / life.index()
    index.unlink()
    index.symlink_to(tmp_path)
    with refused("store-failed"):
        snapshots.read(life.reader(), life.log)


def test_a_store_that_fails_is_no_missing_chunk(tmp_path: Path, life: Life) -> None:
    life.grow(3)
    life.snapshot()
    woken = life.woken()
    chunk = tmp_path / life.home / "snapshots" / life.chunks()[0]
    chunk.unlink()
    chunk.symlink_to(tmp_path)
    with refused("store-failed"):
        woken.digest_at(1)


# -- the owner log in it -----------------------------------------------------------------------------------------------


def test_the_owner_log_of_a_snapshot_is_folded_like_any_other(life: Life) -> None:
    life.grow(3)
    life.snapshot()
    known = life.log.head
    packed = snapshots.owner_log(life.reader(), known)
    assert packed == life.reader().owner_log(None, known)
    with refused("owner-log-behind"):
        snapshots.owner_log(life.reader(), Head(99, sha256(b"")))


def test_entries_after_a_snapshot_are_read_from_the_store(life: Life) -> None:
    life.grow(3)
    life.snapshot()
    life.owner.open_epoch(2)
    life.publish()
    assert snapshots.owner_log(life.reader(), life.log.head) == life.log


def test_an_owner_log_that_is_too_long_to_pack_is_packed_in_part(life: Life, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshots, "MAX_PACKED", sum(map(len, life.owner.envelopes[:4])))
    life.grow(3)
    life.snapshot()
    assert life.unpacked()[1].owner_log == tuple(life.owner.envelopes[:4])
    assert snapshots.owner_log(life.reader(), life.log.head) == life.log
    same(life.woken(), life.folded())


@pytest.mark.parametrize("damage", ["missing", "another", "noise"])
def test_an_owner_log_that_the_store_lost_is_packed_as_far_as_it_is_there(life: Life, damage: str) -> None:
    life.grow(3)
    place = f"{life.home}/owner-log/{numbered(3)}"
    life.store.delete(place)
    if damage != "missing":
        made_up = agefile.seal(life.owner.envelopes[2], life.owner.log_recipients)
        life.store.put_new(place, made_up if damage == "another" else b"noise")
    life.snapshot()
    assert life.unpacked()[1].owner_log == tuple(life.owner.envelopes[:3])


def test_after_new_log_recipients_old_chunks_stay_and_a_new_index_is_for_the_new_secret_alone(
    life: Life, small: None
) -> None:
    life.grow(20)
    life.snapshot()
    kept = life.chunks()
    life.renew()
    life.grow(3)
    life.snapshot()
    assert set(kept) <= set(life.names())
    same(life.woken(), life.folded())
    with refused("log-secret-missing"):
        Reader(life.store, life.owner.id, (life.secrets[0],)).open("snapshots", life.index())
