"""Every kind of entry and record is said in words, and the words say what is in it."""

from __future__ import annotations

import re
import typing

import msgspec
import pytest

from tests.unit.authority import entries
from tests.unit.builders import A_DIGEST, NODE_RECIPIENT, Owner, a_line, an_approval, an_owner, key
from tests.unit.studying import a_budget, a_query, a_study, a_study_debit, an_intent, joining, signed, what_was_sent
from waykeep.authority.areas import Area
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.permissions import (
    AlgorithmRevoked,
    EverythingRevoked,
    HolderRevoked,
    Joined,
    Lifted,
    LinkRevoked,
    Withdrawn,
    Withheld,
)
from waykeep.authority.records import Detail, RunDone, SegmentsAccepted, Spent
from waykeep.authority.scopes import Scope
from waykeep.authority.statements import (
    WAIVER,
    AuthorityRotated,
    Body,
    DeviceAdded,
    EpochOpened,
    KeyRevoked,
    NodeApproved,
    NodeWithdrawn,
    OwnerEntry,
    RecipientsNamed,
    Resumed,
    StateKeyNamed,
    StateKeyRetired,
    WitnessNamed,
    WitnessWaived,
    WriterAdded,
)
from waykeep.device import words
from waykeep.formats.ids import OwnerId
from waykeep.formats.messages import Head

DAY_MS = 86_400_000
SOME_DAY_MS = 1_466_380_800_000
"""2016-06-20 UTC."""
KEY, OTHER = key("one").public, key("other").public
RECEIPT = "receipt"
APPROVAL = an_approval(store_as="", from_ms=SOME_DAY_MS, to_ms=SOME_DAY_MS + DAY_MS)
GRANT = entries.a_grant(
    holder=KEY,
    algorithm=A_DIGEST,
    streams={"battery": ("level_percent",), "location": ("lat_e7", "ts_ms")},
    from_ms=SOME_DAY_MS,
    to_ms=SOME_DAY_MS + DAY_MS,
    until_ms=SOME_DAY_MS + 2 * DAY_MS,
    runs=3,
)
CELL = Area(cells=("881f1d4887fffff",))
READ = msgspec.structs.replace(GRANT, algorithm=None, name="a look at location", rows=10)
LAST = msgspec.structs.replace(GRANT, scope=Scope(streams={}, last_ms=DAY_MS, level=16, step_ms=900_000, areas=(CELL,)))
NAMED = WitnessNamed(KEY, "http://witness.example:8471", OTHER, "s" * 22)
ROTATED = AuthorityRotated("rotation", "control rotation", None)
ENTRIES: list[tuple[Body, str]] = [
    (DeviceAdded(KEY, "laptop"), "Your device “laptop” was added."),
    (WriterAdded(KEY, "phone", "signed"), "The writer “phone” may add data (signed)."),
    (KeyRevoked(KEY), f"The key {KEY[:12]}… of a device or writer was revoked: it signs for you no longer."),
    (RecipientsNamed("age1a", "age1b"), "they can open your logs."),
    (EpochOpened(7, A_DIGEST, "age1a"), "Epoch 7 began: new data is encrypted to its key."),
    (StateKeyNamed(KEY), "started with a new signing key"),
    (StateKeyRetired(KEY), f"The signing key {KEY[:12]}… of a user cloud was retired."),
    (NodeApproved(NODE_RECIPIENT, "cellar"), "The node “cellar” was approved"),
    (NodeWithdrawn(NODE_RECIPIENT), f"The node {NODE_RECIPIENT[:12]}… was withdrawn"),
    (NAMED, "Your witness is the one at http://witness.example:8471. Nothing is done for others without it."),
    (msgspec.structs.replace(NAMED, closed="answer"), "8471, to which you moved from the one before."),
    (WitnessWaived(WAIVER), f"You do without a witness. {WAIVER}"),
    (Resumed(Head(9, A_DIGEST), Head(4, A_DIGEST)), "goes on from record 4; what came after it, up to record 9, was"),
    (Resumed(Head(9, A_DIGEST), None), "goes on from the beginning; what came after it, up to record 9, was lost."),
    (ROTATED, "Your paper took your id back: no device and no user cloud from before is yours."),
    (APPROVAL, f"You approved trips 1.0.0 ({APPROVAL.algorithm[:19]}…) to read location (2 columns), from 2016-06-20"),
    (APPROVAL, "to 2016-06-21 UTC, everywhere, places as recorded, times as recorded. Results are not kept."),
    (an_approval(store_as="derived/trips"), "Results are kept as derived/trips."),
    (an_approval(store_as="derived/trips", stores=False), "Results are not kept."),
    (GRANT, f"to the key {KEY[:12]}…: 3 runs until 2016-06-22 00:00 UTC, to read battery (1 columns), location (2"),
    (READ, f"You granted a look at location to the key {KEY[:12]}…: 3 runs"),
    (
        LAST,
        "only the last 1 day, whenever it is asked, only what lies in 1 area, places to about 730 m, times to 15 m",
    ),
    (Withdrawn(11), "You took back what entry 11 allowed."),
    (LinkRevoked(11, KEY, OTHER), f"You took back what {KEY[:12]}… passed on of grant 11 to {OTHER[:12]}…."),
    (AlgorithmRevoked(A_DIGEST), f"You took back all that the algorithm {A_DIGEST[:19]}… was allowed."),
    (HolderRevoked(KEY), f"You took back all that the key {KEY[:12]}… was allowed."),
    (EverythingRevoked(), "You took back everything that you had allowed."),
    (
        Withheld(SOME_DAY_MS, SOME_DAY_MS + 60_000, None, "doctor"),
        "“doctor”, from 2016-06-20 00:00 to 2016-06-20 00:01",
    ),
    (Withheld(None, None, CELL, ""), "You withhold an area: no algorithm"),
    (Lifted(9), "You withhold no longer what entry 9 took out."),
    (Joined(signed(a_study()).decode()), "You joined the study “How much is recorded” (sha256:"),
    (a_budget(10**12 // 2), "All studies together may learn epsilon 5.76 at delta 1e-06 in each 365 days."),
]
OUTCOME = Spent("r" * 22, "trips 1.0.0", {"location": 50, "battery": 2}, 4, SOME_DAY_MS, RECEIPT)
RUN = RunDone("r" * 22, A_DIGEST, "trips 1.0.0", 6, {}, {"location": 50}, 4, SOME_DAY_MS, RECEIPT, None)
DEBIT = entries.a_debit(8, holder=KEY)


@pytest.fixture(scope="module")
def owner() -> Owner:
    return an_owner()


@pytest.fixture
def log(owner: Owner) -> OwnerState:
    return owner.state


def said(body: Body, number: int = 5) -> str:
    return words.entry(OwnerEntry(OwnerId("o" * 52), number, A_DIGEST, SOME_DAY_MS, body))


@pytest.mark.parametrize(("body", "expected"), ENTRIES, ids=lambda value: type(value).__name__)
def test_an_entry_in_words(body: Body, expected: str) -> None:
    assert expected in said(body)


def test_every_kind_has_words_and_a_title_of_its_own() -> None:
    kinds = {*typing.get_args(Body), *typing.get_args(Detail)}
    assert {type(body) for body, _ in ENTRIES} == set(typing.get_args(Body))
    assert set(words._TITLES) == kinds
    assert len(set(words._TITLES.values())) == len(kinds)
    for body, _ in ENTRIES:
        assert words.title(body) == words._TITLES[type(body)]
        assert re.fullmatch(r"[A-Z][^\n]*\.", said(body)), "sentences, on one line"


def test_entries_that_a_rotation_makes_void_are_named() -> None:
    made = msgspec.structs.replace(ROTATED, void_from=3)
    assert said(made, 9).endswith("Entries 3 to 8 have no effect.")
    assert "no effect" not in said(msgspec.structs.replace(ROTATED, void_from=9), 9), "none lies between"
    assert "no effect" not in said(ROTATED, 9)


def test_accepted_data_is_counted_and_its_writers_named(owner: Owner, log: OwnerState) -> None:
    lines = (
        a_line("a.age", writer=owner.writer.public, rows_new=3),
        a_line("b.age", writer=owner.phone.public, rows_new=4, stream="battery"),
    )
    text = words.detail(SegmentsAccepted(lines), log)
    assert text == "7 new rows were accepted in 2 segments (battery, location) from importer, phone."
    gone = words.detail(SegmentsAccepted((a_line("c.age", writer=KEY),)), log)
    assert gone.endswith("from a writer that was revoked since.")


def test_runs_debits_and_outcomes(log: OwnerState) -> None:
    assert words.detail(RUN, log).startswith("trips 1.0.0 read 50 rows; 4 rows came out. Its signed receipt")
    kept = msgspec.structs.replace(RUN, stored=a_line("d.age", stream="derived/trips"))
    assert "and were kept as derived/trips." in words.detail(kept, log)
    assert words.detail(DEBIT, log) == f"One run of grant 8 was used by the key {KEY[:12]}…, for one recipient."
    assert words.detail(OUTCOME, log).startswith("trips 1.0.0 read 52 rows; 4 rows were given to the holder.")


def test_what_studies_did() -> None:
    owner, digest, number = joining(name="words")
    query, log = a_query(digest), owner.state
    assert words.detail(an_intent(query), log).startswith("A query of the study “How much is recorded” was found right")
    debit = words.detail(a_study_debit(query, number, None), log)
    assert debit == (
        "Repetition 1 of the study “How much is recorded” was debited from your budget, for one query and its "
        "aggregator."
    )
    sent = what_was_sent(query, defaulted=("no-data",))
    assert words.detail(sent, log) == (
        "3 rows were read for the study “How much is recorded”, and a bounded answer was sent; 1 of its questions got "
        "the default (no-data)."
    )
    assert words.detail(what_was_sent(query), log).endswith("a bounded answer was sent.")
    assert digest[:19] in words.detail(an_intent(query), an_owner().state)


def test_no_receipt_recipient_or_whole_key_is_said(log: OwnerState) -> None:
    for detail in (RUN, DEBIT, OUTCOME):
        text = words.detail(detail, log)
        assert RECEIPT not in text.replace("signed receipt", "") and NODE_RECIPIENT not in text and KEY not in text


def test_the_time_is_given_where_a_record_holds_one() -> None:
    assert [words.time_of(d) for d in (RUN, OUTCOME, DEBIT, SegmentsAccepted(()))] == [SOME_DAY_MS] * 2 + [None] * 2
