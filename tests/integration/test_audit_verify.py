"""``audit --verify``: what an operator did to the objects is named, each as what it is, and everything else still read.

Each test plants one change in a real store and expects one finding; the owner's copies on the device must not hide it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
import pytest

from tests.support import algorithms
from tests.support.between import PASS, Said, between, missing
from tests.support.fixtures import Owners
from tests.support.identities import Device, choose, upload
from tests.support.people import DAY_MS, SOME_DAY_MS, Person, refused
from tests.support.stages import Watched
from tests.support.witness import Witness, running_witness
from waykeep.authority import dsse, journal
from waykeep.authority.keys import SigningKey
from waykeep.authority.records import JOURNAL_TYPE, RECEIPT_TYPE, Detail, JournalObject, JournalRecord, Receipt, RunDone
from waykeep.authority.statements import NodeApproved, StateKeyNamed
from waykeep.device import identity, journals, owner, verifying
from waykeep.formats import agefile
from waykeep.formats.ids import Digest, OwnerId, b64, numbered, sha256
from waykeep.formats.messages import Head
from waykeep.formats.wire import MIB, decode_json, encode_json

STRANGER = SigningKey(b"x" * 32)
OWN_CLOUD = SigningKey(b"c" * 32)
"""The state key of a user cloud whose code is not waykeep's."""


@pytest.fixture(scope="module")
def witness(stage: Watched) -> Iterator[Witness]:
    with running_witness(stage.devices, tokens=20) as found:
        yield found


@pytest.fixture
def kept(owner: Person) -> Person:
    """An owner with five records, and a device that has seen all of it."""
    with owner.account() as device:
        for step in range(5):
            upload(device, step)
    return owner


def verified(person: Person) -> verifying.Verified:
    with person.account() as device:
        return verifying.verify(device)


def rules(person: Person) -> list[str]:
    return [finding.rule for finding in verified(person).findings]


def entry_path(number: int) -> tuple[str, str]:
    return "owner-log", numbered(number)


def record_path(number: int) -> tuple[str, str]:
    return "journal", f"{numbered(number)}.age"


def sealed(person: Person, plain: bytes) -> bytes:
    return agefile.seal(plain, person.log().log_recipients())


def opened(person: Person, room: str, name: str) -> bytes:
    data = person.path(room, name).read_bytes()
    return agefile.open_(data, person.secrets.logs, limit=2 * MIB, what="an object")


# -- nothing is wrong --------------------------------------------------------------------------------------------------


def test_a_whole_store_has_no_findings_and_everything_is_counted(kept: Person, witness: Witness) -> None:
    with kept.account() as device:
        choose(device, witness)
        algorithms.approve(device, algorithms.slow(), SOME_DAY_MS, SOME_DAY_MS + DAY_MS)
        device.run(algorithms.slow()[0].digest, {"rounds": 0}, SOME_DAY_MS, SOME_DAY_MS + DAY_MS)
    found = verified(kept)
    assert found.findings == ()
    log = kept.log()
    assert (found.entries, found.records, found.receipts) == (log.head.number + 1, 6, 1)


def test_entries_after_a_revocation_are_checked_with_new_log_keys(kept: Person) -> None:
    with kept.account() as device:
        second = Device(kept, f"{kept.owner[:8]}-b").added(device)
        identity.revoke(device, identity.find(device.log(), second.name))
        upload(device, 6)
        assert len(device.keys.secrets.logs) == 2
    assert rules(kept) == []


def test_every_finding_has_its_hint() -> None:
    named = {
        line.partition("``")[2].partition("``")[0]
        for line in (verifying.__doc__ or "").splitlines()
        if line[:1].isdecimal()
    }
    assert named == set(verifying.HINTS)


# -- the owner log -----------------------------------------------------------------------------------------------------


def test_a_gap_in_the_owner_log(kept: Person) -> None:
    kept.path(*entry_path(5)).unlink()
    found = verified(kept)
    assert found.entries == 5
    assert "audit-gap" in {finding.rule for finding in found.findings}
    assert any("entry 5 is missing, and 6 lies there" in finding.words for finding in found.findings)


def test_a_rolled_back_owner_log(kept: Person) -> None:
    newest = kept.heads()[0].number
    # What a verb of every day reads are the device's own copies; here only what the host shows counts.
    kept.path(*entry_path(newest)).unlink()
    found = verified(kept)
    (line,) = (finding for finding in found.findings if "of your owner log" in finding.words)
    assert line.rule == "audit-rollback"
    assert (
        line.words == f"This device has seen entry {newest} of your owner log; the host shows up to entry {newest - 1}."
    )


@pytest.mark.parametrize("number", [1, 6])
def test_a_truncated_entry(kept: Person, number: int) -> None:
    path = kept.path(*entry_path(number))
    path.write_bytes(path.read_bytes()[:-20])
    found = verified(kept)
    assert found.findings[0].rule == "audit-truncated"
    assert f"entry {number} was cut off" in found.findings[0].words


def test_an_owner_log_that_was_replaced_whole(owners: Owners, kept: Person) -> None:
    other = owners()
    for path in kept.path("owner-log", "").iterdir():
        path.unlink()
    for path in other.path("owner-log", "").iterdir():
        kept.plant("owner-log", path.name, path.read_bytes())
    with kept.account() as device, refused("owner-log-rewound", "device"):
        verifying.verify(device)


def test_a_forked_owner_log(kept: Person) -> None:
    """Two entries by the owner's own device on one number, as a host can have them made for two devices."""
    log, key = kept.log(), kept.secrets.device_key
    newest = log.head.number
    before = Head(newest - 1, log.digest_at(newest - 1))
    other = owner.entry_after(kept.owner, before, 0, NodeApproved(agefile.generate()[1], "cellar"), key)
    kept.plant(*entry_path(newest), sealed(kept, other))
    found = verified(kept)
    (line,) = (finding for finding in found.findings if "another entry" in finding.words)
    assert line.rule == "audit-fork"
    assert line.words == f"This device has seen another entry {newest} of your owner log than the host shows."


def on_another_head(person: Person) -> bytes:
    beside = Head(person.heads()[0].number, sha256(b"another"))
    return sealed(person, entry_by(person, beside, person.secrets.device_key))


def on_another_head_by_a_stranger(person: Person) -> bytes:
    return sealed(person, entry_by(person, Head(person.heads()[0].number, sha256(b"another")), STRANGER))


def by_a_stranger(person: Person) -> bytes:
    return sealed(person, entry_by(person, person.heads()[0], STRANGER))


def of_another_owner(person: Person) -> bytes:
    body = NodeApproved(agefile.generate()[1], "cellar")
    foreign = OwnerId("a" * 52)
    return sealed(person, owner.entry_after(foreign, person.heads()[0], 0, body, person.secrets.device_key))


def for_other_keys(person: Person) -> bytes:
    return agefile.seal(b"{}", [agefile.generate()[1]])


def no_age_file(person: Person) -> bytes:
    return b"x" * 300


def entry_by(person: Person, after: Head, key: SigningKey) -> bytes:
    return owner.entry_after(person.owner, after, 0, NodeApproved(agefile.generate()[1], "cellar"), key)


@pytest.mark.parametrize(
    ("planted", "reason"),
    [
        (on_another_head_by_a_stranger, "log-order"),
        (by_a_stranger, "log-signer"),
        (of_another_owner, "log-owner"),
        (for_other_keys, "age-not-ours"),
        (no_age_file, "age-malformed"),
    ],
)
def test_something_under_the_next_number_that_is_no_entry(
    kept: Person, planted: Callable[[Person], bytes], reason: str
) -> None:
    """It changes nothing of the log, and is named."""
    number = kept.heads()[0].number + 1
    kept.plant(*entry_path(number), planted(kept))
    found = verified(kept)
    (line,) = found.findings
    assert line.rule == "audit-foreign"
    assert line.words == f"Under the number of the next entry, {number}, lies something else ({reason})."
    assert found.entries == number


def test_an_entry_under_the_next_number_that_forks_the_log(kept: Person) -> None:
    number = kept.heads()[0].number + 1
    kept.plant(*entry_path(number), on_another_head(kept))
    found = verified(kept)
    (line,) = found.findings
    assert line.rule == "audit-fork"
    assert (
        line.words
        == f"Under the number of the next entry, {number}, lies one that follows another entry than {number - 1}."
    )
    assert found.entries == number


def test_objects_that_are_no_numbers_of_a_log(kept: Person) -> None:
    kept.plant("owner-log", f"{numbered(2)}-0000000000-0000000009", b"x")
    found = verified(kept)
    assert [finding.rule for finding in found.findings] == ["audit-foreign"]
    assert "1 are no entry of any number" in found.findings[0].words


# -- the journal -------------------------------------------------------------------------------------------------------


def test_a_gap_in_the_journal(kept: Person) -> None:
    kept.path(*record_path(2)).unlink()
    found = verified(kept)
    assert found.records == 2
    assert found.findings[0].rule == "audit-gap"
    assert found.findings[0].words == "The record 2 is missing, and 4 lies there."


def test_a_rolled_back_journal(kept: Person) -> None:
    for number in (3, 4):
        kept.path(*record_path(number)).unlink()
    found = verified(kept)
    (line,) = found.findings
    assert line.rule == "audit-rollback"
    assert line.words == "This device has seen record 4 of your journal; the host shows up to record 2."


def test_a_journal_that_is_gone(kept: Person) -> None:
    for path in kept.path("journal", "").iterdir():
        path.unlink()
    found = verified(kept)
    assert found.records == 0
    assert [finding.rule for finding in found.findings] == ["audit-rollback"]
    assert found.findings[0].words.endswith("the host shows no record.")


def test_a_rolled_back_journal_is_seen_by_a_device_that_remembers_nothing_where_there_is_a_witness(
    kept: Person, witness: Witness
) -> None:
    with kept.account() as device:
        choose(device, witness)
    kept.path(*record_path(4)).unlink()
    kept.folder.save_heads(msgspec.structs.replace(kept.folder.heads(), journal=None))
    found = verified(kept)
    (line,) = found.findings
    assert line.rule == "audit-rollback" and line.words.startswith("Your witness has seen record 4 of your journal;")


def test_a_truncated_record(kept: Person) -> None:
    path = kept.path(*record_path(4))
    path.write_bytes(path.read_bytes()[:-1])
    assert rules(kept)[0] == "audit-truncated"


def test_records_that_changed_places(kept: Person) -> None:
    one, other = kept.path(*record_path(1)), kept.path(*record_path(3))
    first, second = one.read_bytes(), other.read_bytes()
    one.write_bytes(second)
    other.write_bytes(first)
    found = verified(kept)
    assert found.records == 1
    assert found.findings[0].rule == "audit-fork"
    assert found.findings[0].words == "The record 1 does not follow the one before (journal-order)."


def test_another_record_than_the_device_has_seen(kept: Person) -> None:
    heads = kept.folder.heads()
    kept.folder.save_heads(msgspec.structs.replace(heads, journal=Head(4, sha256(b"another"))))
    found = verified(kept)
    (line,) = found.findings
    assert line.rule == "audit-fork"
    assert line.words == "This device has seen another record 4 of your journal than the host shows."


def test_a_record_by_a_key_that_the_log_does_not_name(kept: Person) -> None:
    last = kept.journal().head
    assert last is not None
    detail = kept.details()[0]
    kept.plant(*record_path(5), sealed(kept, encode_json(record(kept, 5, last.digest, detail, STRANGER))))
    assert rules(kept) == ["audit-foreign"]


def test_a_detail_that_was_exchanged(kept: Person) -> None:
    """The envelope is good, and what lies beside it tells something else."""
    item = journals.open_(kept.path(*record_path(4)).read_bytes(), kept.secrets)
    told = msgspec.structs.replace(item, detail=kept.details()[0])
    kept.plant(*record_path(4), sealed(kept, encode_json(told)))
    assert rules(kept)[0] == "audit-foreign"


def record(person: Person, number: int, previous: Digest | None, detail: Detail, key: SigningKey) -> JournalObject:
    salt = bytes(journal.SALT_BYTES)
    made = JournalRecord(person.owner, number, previous, person.log().head, journal.commit(salt, detail))
    return JournalObject(dsse.sign(JOURNAL_TYPE, encode_json(made), key).decode(), b64(salt), detail)


# -- receipts and data -------------------------------------------------------------------------------------------------


def after_run(person: Person) -> RunDone:
    """Does a run; what its record tells."""
    with person.account() as device:
        algorithms.approve(device, algorithms.slow(), SOME_DAY_MS, SOME_DAY_MS + DAY_MS)
        device.run(algorithms.slow()[0].digest, {"rounds": 0}, SOME_DAY_MS, SOME_DAY_MS + DAY_MS)
        device.owner_log.append(StateKeyNamed(OWN_CLOUD.public))
    (found,) = (said for said in person.details() if isinstance(said, RunDone))
    return found


@pytest.mark.parametrize("changed", ["", "run_id", "rows_out", "owner", "signature", "nothing signed"])
def test_a_receipt_that_is_not_of_its_record(kept: Person, changed: str) -> None:
    """A user cloud of other code, whose key the owner named, writes what it likes; its receipts are checked."""
    done = msgspec.structs.replace(after_run(kept), run_id="r" * 22)
    payload = dsse.peek(done.receipt.encode(), RECEIPT_TYPE).payload
    receipt = msgspec.structs.replace(
        decode_json(payload, Receipt),
        run_id="s" * 22 if changed == "run_id" else done.run_id,
        rows_out=done.rows_out + (changed == "rows_out"),
        owner=OwnerId("a" * 52) if changed == "owner" else kept.owner,
    )
    signer = STRANGER if changed == "signature" else OWN_CLOUD
    envelope = dsse.sign(RECEIPT_TYPE, encode_json(receipt), signer).decode()
    made = msgspec.structs.replace(done, receipt="{}" if changed == "nothing signed" else envelope)
    last = kept.journal().head
    assert last is not None
    forged = record(kept, last.number + 1, last.digest, made, OWN_CLOUD)
    kept.plant(*record_path(last.number + 1), sealed(kept, encode_json(forged)))
    found = verified(kept)
    assert [finding.rule for finding in found.findings] == (["audit-receipt"] if changed else [])
    assert all(f"The receipt of record {last.number + 1} " in finding.words for finding in found.findings)
    assert found.receipts == 2


def test_data_that_was_accepted_and_is_gone(kept: Person) -> None:
    next(kept.path("segments", "").iterdir()).unlink()
    found = verified(kept)
    assert [finding.rule for finding in found.findings] == ["audit-segment"]
    assert found.findings[0].words == "Of 5 segments, 1 do not lie at the host."


# -- the witness -------------------------------------------------------------------------------------------------------


def test_a_witness_that_does_not_answer_says_nothing_for_the_host(kept: Person, stage: Watched) -> None:
    with kept.account() as device, running_witness(stage.devices, tokens=1, name=f"w-{kept.owner[:8]}") as gone:
        choose(device, gone)
    found = verified(kept)
    assert [finding.rule for finding in found.findings] == ["audit-unwitnessed"]
    assert "witness-unreachable" in found.findings[0].words


def test_a_witness_that_holds_another_entry(kept: Person, witness: Witness) -> None:
    """Whoever showed a device another log before, or shows one now."""
    with kept.account() as device:
        choose(device, witness)
        log = device.log()
    newest, key = log.head.number, kept.secrets.authority_key
    body = log.entries[-1][1].body
    other = owner.entry_after(kept.owner, Head(newest - 1, log.digest_at(newest - 1)), 1, body, key)
    kept.plant(*entry_path(newest), sealed(kept, other))
    lines = verified(kept).findings
    assert [line.rule for line in lines] == ["audit-fork"] * 2
    assert {line.words.split(" has ")[0] for line in lines} == {"This device", "Your witness"}


# -- what is asked -----------------------------------------------------------------------------------------------------


def test_the_user_cloud_is_not_asked(kept: Person) -> None:
    with between(kept.stage.host_url) as host:
        with kept.account(host.url) as device:
            verifying.verify(device)
        assert {method for method, _ in host.asked} == {"GET"}
        assert not [path for _, path in host.asked if path.endswith("/cloud")]
        # And each object is the host's: this device's copies stand in for none.
        asked = {path.rpartition("/")[2] for _, path in host.asked if "/owner-log/" in path}
        assert {numbered(n) for n in range(kept.heads()[0].number + 1)} <= asked


def test_a_host_that_cannot_be_asked(kept: Person) -> None:
    with between(kept.stage.host_url) as host:
        host.rule = lambda count, method, path: "drop"
        with kept.account(host.url) as device, refused("host-unreachable", "host"):
            verifying.verify(device)


def test_a_head_under_an_entry_that_the_host_hides_from_the_device(owner: Person) -> None:
    """The user cloud is shown the whole log, the device less: what it uploads is kept, and the two are told apart."""
    with owner.account() as device:
        upload(device, 0)
        second = Device(owner, f"{owner.owner[:8]}-b").added(device)
        shown = device.log().head.number
        with second.account() as other:
            other.owner_log.append(NodeApproved(agefile.generate()[1], "cellar"))
            other.status()  # its user cloud has read that

    def rule(count: int, method: str, path: str) -> Said:
        return missing() if path.endswith(f"/owner-log/{numbered(shown + 1)}") else PASS

    with between(owner.stage.host_url) as host:
        host.rule = rule
        with owner.account(host.url) as device:
            with refused("journal-head-forked", "device"):
                upload(device, 1)
            assert len(device.outbox.names()) == 1, "nothing is forgotten"
    with owner.account(owner.stage.host_url) as device:
        assert set(device.upload().outcome.values()) == {"known"}
