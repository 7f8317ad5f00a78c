"""The fold of the cloud journal: however a valid one is cut, it comes to the same. The attacks are in `hostile`."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.builders import NOW_MS, a_line, a_record, an_owner, born, key, refused
from waykeep.authority import journal, ownerlog
from waykeep.authority.journalstate import EMPTY, JournalState
from waykeep.authority.records import Detail, JournalObject, JournalRecord, RunDone, SegmentsAccepted
from waykeep.authority.statements import DeviceAdded, StateKeyNamed
from waykeep.errors import AuthorityError, WaykeepError
from waykeep.formats.ids import b64, sha256
from waykeep.formats.messages import Head
from waykeep.formats.wire import encode_json

ANNA = an_owner("anna")
LOG = ANNA.state
SALT = b"0" * journal.SALT_BYTES
DETAILS = st.lists(st.tuples(st.sampled_from(("accepted", "run", "kept run")), st.integers(0, 3)), max_size=10)


def a_run(run_id: str, kept: str = "") -> RunDone:
    stored = a_line(kept, stream="derived/trips", kind="derived") if kept else None
    return RunDone(run_id, sha256(b"bundle"), "trips 1.0.0", 7, {}, {"location": 1}, 1, NOW_MS, "{}", stored)


def a_journal(kinds: list[tuple[str, int]]) -> list[JournalObject]:
    """A valid journal: segments accepted, as many as the number says; runs; and runs whose result was kept."""
    objects: list[JournalObject] = []
    head: Head | None = None
    for at, (kind, count) in enumerate(kinds):
        detail: Detail
        match kind:
            case "accepted":
                detail = SegmentsAccepted(tuple(a_line(f"{at}-{n}.age") for n in range(count)))
            case "run":
                detail = a_run(f"run {at}")
            case _:
                detail = a_run(f"run {at}", f"{at}-kept.age")
        objects.append(a_record(ANNA, msgspec.structs.replace(EMPTY, head=head), detail))
        head = Head(at, sha256(objects[-1].envelope.encode()))
    return objects


def fold(objects: list[JournalObject], before: JournalState = EMPTY) -> JournalState:
    return journal.fold(before, LOG, objects)


@settings(max_examples=25)
@given(DETAILS, st.data())
def test_a_journal_comes_to_the_same_however_it_is_cut(kinds: list[tuple[str, int]], data: st.DataObject) -> None:
    objects = a_journal(kinds)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(objects)), max_size=4)))
    state = EMPTY
    for first, end in zip([0, *cuts], [*cuts, len(objects)], strict=True):
        state = fold(objects[first:end], state)
    assert state == fold(objects)
    assert {n: state.digest_at(n) for n in range(len(objects))} == {
        n: sha256(item.envelope.encode()) for n, item in enumerate(objects)
    }
    assert len(state.segments) == sum({"accepted": n, "run": 0, "kept run": 1}[kind] for kind, n in kinds)
    assert set(state.places) == set(state.segments)
    assert all(name.startswith(f"{number}-") for name, number in state.places.items())
    assert len(state.runs) == sum(kind != "accepted" for kind, _ in kinds)


@settings(max_examples=25)
@given(DETAILS.filter(bool), st.data())
def test_a_tampered_envelope_anywhere_is_refused(kinds: list[tuple[str, int]], data: st.DataObject) -> None:
    objects = a_journal(kinds)
    at = data.draw(st.integers(0, len(objects) - 1))
    envelope = bytearray(objects[at].envelope.encode())
    bit = data.draw(st.integers(0, len(envelope) * 8 - 1))
    envelope[bit // 8] ^= 1 << bit % 8
    # In latin-1, so that any byte is a text; the fold encodes it again.
    objects[at] = msgspec.structs.replace(objects[at], envelope=envelope.decode("latin-1"))
    with pytest.raises(WaykeepError):
        fold(objects)


@settings(max_examples=25)
@given(DETAILS.filter(bool), st.data())
def test_the_details_of_two_records_cannot_be_exchanged(kinds: list[tuple[str, int]], data: st.DataObject) -> None:
    """Both are genuine, and each envelope commits to its own. All salts are alike: the detail alone decides."""
    objects = a_journal(kinds)
    one, other = (data.draw(st.integers(0, len(objects) - 1)) for _ in range(2))
    if objects[one].detail == objects[other].detail:
        return
    details = objects[one].detail, objects[other].detail
    objects[one] = msgspec.structs.replace(objects[one], detail=details[1])
    objects[other] = msgspec.structs.replace(objects[other], detail=details[0])
    with refused("journal-detail", AuthorityError):
        fold(objects)


def test_a_refused_record_leaves_the_state_that_it_was_given() -> None:
    before, kept = (
        fold(a_journal([("accepted", 2), ("kept run", 0)])),
        fold(a_journal([("accepted", 2), ("kept run", 0)])),
    )
    good = a_record(ANNA, before, SegmentsAccepted((a_line("new.age"),)))
    bad = a_record(ANNA, fold([good], before), SegmentsAccepted((a_line("0-0.age"),)))
    with refused("journal-repeat", AuthorityError):
        fold([good, bad], before)
    assert before == kept


def test_a_state_key_counts_from_the_very_entry_that_names_it() -> None:
    """Not one earlier; and every later head will do, also of a fold that ends long after."""
    owner = born("exactly")
    owner.add(DeviceAdded(owner.device.public, "laptop"))
    named = owner.add(StateKeyNamed(owner.state_key.public), owner.device).head
    other = owner.add(StateKeyNamed(key("exactly/other").public), owner.device)
    for number in range(other.head.number + 1):
        quoted = Head(number, other.digest_at(number))
        record = a_record(owner, EMPTY, a_run("run"), owner_head=quoted)
        if number >= named.number:
            assert journal.fold(EMPTY, other, [record]).quoted == number
        else:
            with refused("journal-signer", AuthorityError):
                journal.fold(EMPTY, other, [record])


def test_the_journals_head_and_quote_go_on_across_folds() -> None:
    """A fold that continues another knows the owner head last quoted: it cannot go back between the two."""
    owner = an_owner("across")
    older = owner.state.head
    newer = owner.add(StateKeyNamed(key("across/other").public), owner.device)
    state = journal.fold(EMPTY, newer, [a_record(owner, EMPTY, a_run("one"))])
    assert state.quoted == newer.head.number
    with refused("journal-head", AuthorityError):
        journal.fold(state, newer, [a_record(owner, state, a_run("two"), owner_head=older)])


def test_a_device_that_lags_behind_the_quoted_owner_head_refuses() -> None:
    """It must fetch the owner log first: what it has not read cannot be what a record was made under."""
    owner = an_owner("lagging")
    known = owner.state
    owner.add(StateKeyNamed(key("lagging/other").public), owner.device)
    record = a_record(owner, EMPTY, a_run("one"))
    with refused("journal-head", AuthorityError):
        journal.fold(EMPTY, known, [record])
    assert journal.fold(EMPTY, ownerlog.fold(known, owner.envelopes[-1:]), [record]).runs


def test_a_commitment_is_that_of_the_specification() -> None:
    detail = a_run("run")
    assert journal.commit(SALT, detail) == sha256(SALT + encode_json(detail))


@pytest.mark.parametrize("salt", [b"", SALT[:-1], SALT + b"0"])
def test_a_salt_that_takes_bytes_from_the_detail_is_refused(salt: bytes) -> None:
    """Salt and detail are hashed without a mark between them: only the salt's one length tells where it ends."""
    detail = a_run("run")
    record = JournalRecord(ANNA.id, 0, None, LOG.head, sha256(salt + encode_json(detail)))
    signed = a_record(ANNA, EMPTY, detail, detail=record.detail)
    with refused("base64-malformed"):
        fold([msgspec.structs.replace(signed, salt=b64(salt))])
