"""Somebody writes to an owner's part of the store: the host itself, or one who got at its disk.

What they can know: every public recipient, the owner id, what another owner's objects look like inside if that owner is
an accomplice. What they lack is a key that the owner log names. Nothing in the store is believed for lying there.
"""

from __future__ import annotations

import base64
import json
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.support import algorithms, node
from tests.support.fixtures import Owners
from tests.support.people import DAY_MS, SOME_DAY_MS, Person, points, refused, unchanged
from tests.support.stages import ROOT, Watched, kill
from tests.support.wire import Wire
from waykeep.authority import dsse, journal, ownerlog, segment
from waykeep.authority.keys import SigningKey
from waykeep.authority.permissions import Approved
from waykeep.authority.records import JOURNAL_TYPE, JournalObject, JournalRecord, SegmentsAccepted
from waykeep.authority.scopes import Scope
from waykeep.authority.statements import OWNER_ENTRY_TYPE, NodeApproved, OwnerEntry
from waykeep.device import audit
from waykeep.device import owner as makers
from waykeep.device.account import Account
from waykeep.formats import agefile, table
from waykeep.formats.ids import b64, numbered, sha256
from waykeep.formats.messages import Accept, Accepted
from waykeep.formats.segment import SegmentHeader
from waykeep.formats.wire import MIB, decode_json, encode_json

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(not ROOT, reason="restarts user clouds, which it finds by their uids"),
]

ALWAYS = (0, SOME_DAY_MS * 2)
STRANGER = SigningKey(b"s" * 32)


@pytest.fixture
def device(owner: Person) -> Iterator[Account]:
    """The device of an owner with two accepted segments and an approval."""
    with owner.account() as found:
        for part in range(2):
            found.queue({"location": points(SOME_DAY_MS + part * DAY_MS, 10)}, "imported")
            found.upload()
        algorithms.approve(found, algorithms.slow(), SOME_DAY_MS, SOME_DAY_MS + 9 * DAY_MS, store="counts")
        found.status()
        yield found


def restart(owner: Person, device: Account) -> None:
    """The user cloud is started anew, and reads everything again."""
    kill(owner.stage.cloud(owner.owner))
    owner.stage.forgets(owner.owner)
    device.disconnect()


# -- segments ----------------------------------------------------------------------------------------------------------


def header_of(person: Person, parquet: bytes, rows: int, **changes: object) -> SegmentHeader:
    made = SegmentHeader(
        owner=person.owner,
        kind="recorded",
        stream="location",
        epoch=1,
        number=0,
        recipient=agefile.recipient_of(person.secrets.epochs["1"]),
        payload=sha256(parquet),
        payload_length=len(parquet),
        rows=rows,
        source="imported",
    )
    return msgspec.structs.replace(made, **changes)


def forged(owner: Person, other: Person) -> tuple[bytes, str]:
    """By somebody who knows the public recipient: all is right but the key that signed."""
    parquet = table.to_parquet(points(SOME_DAY_MS + 5 * DAY_MS, 3))
    return segment.seal(header_of(owner, parquet, 3), parquet, STRANGER), "signer-unknown"


def by_another_owner_s_writer(owner: Person, other: Person) -> tuple[bytes, str]:
    parquet = table.to_parquet(points(SOME_DAY_MS + 5 * DAY_MS, 3))
    return segment.seal(header_of(owner, parquet, 3), parquet, other.secrets.writer_key), "signer-unknown"


def claiming_another_s_key(owner: Person, other: Person) -> tuple[bytes, str]:
    """The envelope names the owner's writer; the signature is a stranger's."""
    parquet = table.to_parquet(points(SOME_DAY_MS + 5 * DAY_MS, 3))
    data = segment.seal(header_of(owner, parquet, 3), parquet, STRANGER)
    plain = agefile.open_(data, [owner.secrets.epochs["1"]], limit=MIB, what="it")
    named = plain.replace(STRANGER.public.encode(), owner.secrets.writer_key.public.encode())
    return agefile.seal(named, [agefile.recipient_of(owner.secrets.epochs["1"])]), "signature-invalid"


def unsigned(owner: Person, other: Person) -> tuple[bytes, str]:
    parquet = table.to_parquet(points(SOME_DAY_MS, 3))
    return agefile.seal(parquet, [agefile.recipient_of(owner.secrets.epochs["1"])]), "segment-malformed"


def of_another_epoch(owner: Person, other: Person) -> tuple[bytes, str]:
    parquet = table.to_parquet(points(SOME_DAY_MS, 3))
    header = header_of(owner, parquet, 3, epoch=2)
    return segment.seal(header, parquet, owner.secrets.writer_key), "segment-epoch"


def to_a_key_that_is_no_epoch_s(owner: Person, other: Person) -> tuple[bytes, str]:
    parquet = table.to_parquet(points(SOME_DAY_MS, 3))
    header = header_of(owner, parquet, 3, recipient=agefile.generate()[1])
    return segment.seal(header, parquet, owner.secrets.writer_key), "age-not-ours"


def of_another_owner(owner: Person, other: Person) -> tuple[bytes, str]:
    """Their writer's own work, encrypted to this owner's epoch."""
    parquet = table.to_parquet(points(SOME_DAY_MS, 3))
    header = header_of(owner, parquet, 3, owner=other.owner)
    return segment.seal(header, parquet, other.secrets.writer_key), "segment-owner"


def copied_from_another_owner(owner: Person, other: Person) -> tuple[bytes, str]:
    with other.account() as theirs:
        theirs.queue({"location": points(SOME_DAY_MS, 3)}, "imported")
        theirs.upload()
    (found,) = other.path("segments", "").iterdir()
    return found.read_bytes(), "age-not-ours"


def derived_by_a_writer(owner: Person, other: Person) -> tuple[bytes, str]:
    """Results are the user cloud's to make."""
    parquet = table.to_parquet(points(SOME_DAY_MS, 3))
    header = header_of(owner, parquet, 3, kind="derived", stream="derived/counts", source="derived")
    return segment.seal(header, parquet, owner.secrets.writer_key), "signer-unknown"


def said_to_be_signed_by_its_source(owner: Person, other: Person) -> tuple[bytes, str]:
    """An importer that passes for a phone."""
    parquet = table.to_parquet(points(SOME_DAY_MS, 3))
    header = header_of(owner, parquet, 3, source="signed")
    return segment.seal(header, parquet, owner.secrets.writer_key), "segment-kind"


def with_another_payload(owner: Person, other: Person) -> tuple[bytes, str]:
    parquet = table.to_parquet(points(SOME_DAY_MS, 3))
    header = header_of(owner, parquet, 3, payload=sha256(b""))
    return segment.seal(header, parquet, owner.secrets.writer_key), "segment-payload"


def with_more_rows_than_it_says(owner: Person, other: Person) -> tuple[bytes, str]:
    parquet = table.to_parquet(points(SOME_DAY_MS, 3))
    return segment.seal(header_of(owner, parquet, 2), parquet, owner.secrets.writer_key), "segment-payload"


def with_other_columns(owner: Person, other: Person) -> tuple[bytes, str]:
    parquet = table.to_parquet(points(SOME_DAY_MS, 3).drop_columns(["zone"]))
    return segment.seal(header_of(owner, parquet, 3), parquet, owner.secrets.writer_key), "columns-mismatch"


def of_no_parquet(owner: Person, other: Person) -> tuple[bytes, str]:
    header = header_of(owner, b"PAR1", 3)
    return segment.seal(header, b"PAR1", owner.secrets.writer_key), "parquet-malformed"


def cut(owner: Person, other: Person) -> tuple[bytes, str]:
    parquet = table.to_parquet(points(SOME_DAY_MS, 3))
    return segment.seal(header_of(owner, parquet, 3), parquet, owner.secrets.writer_key)[:-20], "age-not-ours"


def with_a_bit_turned(owner: Person, other: Person) -> tuple[bytes, str]:
    parquet = table.to_parquet(points(SOME_DAY_MS, 3))
    data = bytearray(segment.seal(header_of(owner, parquet, 3), parquet, owner.secrets.writer_key))
    data[-30] ^= 1
    return bytes(data), "age-not-ours"


def with_a_header_of_many_stanzas(owner: Person, other: Person) -> tuple[bytes, str]:
    """pyrage takes time quadratic in them: 1,000 cost 13 seconds."""
    data = agefile.seal(b"x", [agefile.recipient_of(owner.secrets.epochs["1"])])
    end = data.index(b"\n---")
    stanzas = b"".join(b"\n-> X25519 %s\n%s" % (b"A" * 43, b"A" * 43) for _ in range(17))
    assert len(data[:end] + stanzas) < 4096
    return data[:end] + stanzas + data[end:], "age-header-too-large"


def with_a_header_without_end(owner: Person, other: Person) -> tuple[bytes, str]:
    return b"age-encryption.org/v1\n" + b"-> X25519 A\nA\n" * 100_000, "age-header-too-large"


def of_nothing(owner: Person, other: Person) -> tuple[bytes, str]:
    return b"", "age-malformed"


SEGMENTS = [
    forged, by_another_owner_s_writer, claiming_another_s_key, unsigned, of_another_epoch, to_a_key_that_is_no_epoch_s,
    of_another_owner, copied_from_another_owner, derived_by_a_writer, said_to_be_signed_by_its_source,
    with_another_payload, with_more_rows_than_it_says, with_other_columns, of_no_parquet, cut, with_a_bit_turned,
    with_a_header_of_many_stanzas, with_a_header_without_end, of_nothing,
]  # fmt: skip


def accept(device: Account, *names: str) -> Accepted:
    answer = device.cloud().request("POST", "/v1/segments", encode_json(Accept(names)))
    return decode_json(answer, Accepted)


def test_segments_that_are_not_right(device: Account, owner: Person, owners: Owners) -> None:
    """Each by its own rule, even when the owner's device is brought to ask for it; a right one beside them is taken."""
    other, expected = owners(), {}
    for make in SEGMENTS:
        data, rule = make(owner, other)
        name = f"{secrets.token_hex(16)}.age"
        owner.plant("segments", name, data)
        expected[name] = rule
    with unchanged(owner):
        answer = accept(device, *expected)
        assert {name: answer.outcome[name] for name in expected} == expected
        assert answer.rows_new == 0
        assert device.rows("location", *ALWAYS).num_rows == 20
    device.queue({"location": points(SOME_DAY_MS + 3 * DAY_MS, 5)}, "imported")
    good = device.outbox.names()
    device.send()
    answer = accept(device, *list(expected)[:3], *good, *list(expected)[3:])
    assert answer.outcome == expected | dict.fromkeys(good, "accepted")
    assert answer.rows_new == 5
    restart(owner, device)
    assert device.rows("location", *ALWAYS).num_rows == 25


def test_a_segment_that_the_owner_never_asked_for_is_in_no_answer(device: Account, owner: Person) -> None:
    data, _ = forged(owner, owner)
    planted = owner.plant("segments", "f" * 32 + ".age", data)
    restart(owner, device)
    device.status()
    with unchanged(owner):
        assert device.rows("location", *ALWAYS).num_rows == 20
        assert sum(line.rows for line in device.status().streams) == 20
    result = device.run(algorithms.slow()[0].digest, {}, SOME_DAY_MS, SOME_DAY_MS + 9 * DAY_MS)
    assert result.rows == [{"rows": 20}]
    assert planted.exists()


def test_two_accepted_segments_changed_one_for_the_other(device: Account, owner: Person) -> None:
    """Each opens, and each is signed by the owner's writer: but the journal says which is which."""
    first, second = owner.path("segments", "").iterdir()
    one, other = first.read_bytes(), second.read_bytes()
    first.write_bytes(other)
    second.write_bytes(one)
    with unchanged(owner):
        with refused("segment-changed", "vault"):
            device.rows("location", *ALWAYS)
        with refused("segment-changed", "vault"):
            device.run(algorithms.slow()[0].digest, {}, SOME_DAY_MS, SOME_DAY_MS + 9 * DAY_MS)
    first.write_bytes(one)
    second.write_bytes(other)
    assert device.rows("location", *ALWAYS).num_rows == 20


@pytest.mark.parametrize(
    ("what", "rule"), [("forged", "signer-unknown"), ("gone", "object-missing"), ("link", "store-failed")]
)
def test_an_accepted_segment_replaced_or_gone(what: str, rule: str, device: Account, owner: Person) -> None:
    """A gap is an error, never silently fewer rows."""
    first = next(owner.path("segments", "").iterdir())
    kept = first.read_bytes()
    first.unlink()
    if what == "forged":
        first.write_bytes(forged(owner, owner)[0])
    elif what == "link":
        first.symlink_to("/etc/hostname")
    with unchanged(owner), refused(rule):
        device.run(algorithms.slow()[0].digest, {}, SOME_DAY_MS, SOME_DAY_MS + 9 * DAY_MS)
    first.unlink(missing_ok=True)
    first.write_bytes(kept)
    assert device.run(algorithms.slow()[0].digest, {}, SOME_DAY_MS, SOME_DAY_MS + 9 * DAY_MS).rows == [{"rows": 20}]


def test_an_epoch_statement_that_was_changed(device: Account, owner: Person) -> None:
    """A writer must not be led to an epoch whose key the host holds."""
    statement = owner.path("epochs", numbered(1))
    kept = statement.read_bytes()
    secret, recipient = agefile.generate()
    body = json.loads(dsse_payload(kept)) | {"recipient": recipient}
    statement.write_bytes(dsse.sign("application/vnd.waykeep.epoch+json", encode_json(body), STRANGER))
    device.queue({"location": points(SOME_DAY_MS + 4 * DAY_MS, 5)}, "imported")
    with unchanged(owner), refused("epoch-withheld", "device"):
        device.upload()
    statement.write_bytes(kept)
    assert device.upload().rows_new == 5
    assert secret


def dsse_payload(envelope: bytes) -> bytes:
    return base64.b64decode(json.loads(envelope)["payload"])


# -- owner log ---------------------------------------------------------------------------------------------------------


def sealed(owner: Person, envelope: bytes) -> bytes:
    """As one does who knows the public log recipients."""
    return agefile.seal(envelope, owner.log().log_recipients())


def approval(owner: Person) -> Approved:
    """What an attacker would like to be approved: everything, for ever, for code of their own."""
    scope = Scope(streams={"location": ("lat_e7", "lon_e7", "ts_ms")}, parameters={"rounds": (0,)})
    return Approved(algorithms.slow("theirs")[0].digest, "theirs", scope)


def entry_by(owner: Person, key: SigningKey) -> bytes:
    return makers.entry_after(owner.owner, owner.heads()[0], SOME_DAY_MS, approval(owner), key)


def opened(owner: Person, number: int) -> bytes:
    data = owner.path("owner-log", numbered(number)).read_bytes()
    return agefile.open_(data, [owner.secrets.logs[-1]], limit=MIB, what="an entry")


def forged_entry(owner: Person, other: Person) -> tuple[bytes, str]:
    return entry_by(owner, STRANGER), "log-signer"


def entry_by_another_owner_s_device(owner: Person, other: Person) -> tuple[bytes, str]:
    return entry_by(owner, other.secrets.device_key), "log-signer"


def entry_by_the_owner_s_writer(owner: Person, other: Person) -> tuple[bytes, str]:
    return entry_by(owner, owner.secrets.writer_key), "log-signer"


def entry_of_another_owner(owner: Person, other: Person) -> tuple[bytes, str]:
    """In its number and its place in the chain, it is this log's next."""
    head = owner.heads()[0]
    entry = OwnerEntry(other.owner, head.number + 1, head.digest, SOME_DAY_MS, approval(owner))
    return dsse.sign(OWNER_ENTRY_TYPE, encode_json(entry), owner.secrets.device_key), "log-owner"


def entry_copied_from_another_log(owner: Person, other: Person) -> tuple[bytes, str]:
    return opened(other, 4), "log-order"


def entry_of_its_own_log_again(owner: Person, other: Person) -> tuple[bytes, str]:
    return opened(owner, owner.heads()[0].number), "log-order"


def entry_of_another_type(owner: Person, other: Person) -> tuple[bytes, str]:
    """A journal record of the user cloud, which the owner log names."""
    data = next(owner.path("journal", "").iterdir()).read_bytes()
    item = json.loads(agefile.open_(data, [owner.secrets.logs[-1]], limit=MIB, what="a record"))
    return str(item["envelope"]).encode(), "statement-type"


ENTRIES = [
    forged_entry,
    entry_by_another_owner_s_device,
    entry_by_the_owner_s_writer,
    entry_of_another_owner,
    entry_copied_from_another_log,
    entry_of_its_own_log_again,
    entry_of_another_type,
]


@pytest.mark.parametrize("make", ENTRIES)
def test_an_entry_that_is_not_the_owner_s(make: object, device: Account, owner: Person, owners: Owners) -> None:
    """To device and user cloud it is no entry: the log ends before it, and goes on beside it."""
    assert callable(make)
    envelope, rule = make(owner, owners())
    wire, head = Wire(device.host.cloud()), owner.heads()
    with refused(rule):
        ownerlog.fold(owner.log(), [envelope])
    owner.plant("owner-log", numbered(head[0].number + 1), sealed(owner, envelope))
    with unchanged(owner):
        wire.ask(wire.signed(owner.secrets.device_key, "GET", "/v1/status")).result()
        assert device.log().head == device.status().owner_head == head[0]
        with refused("algorithm-not-approved"):
            device.run(algorithms.slow("theirs")[0].digest, {}, 0, SOME_DAY_MS)
    goes_on(device, owner)


def goes_on(device: Account, owner: Person) -> None:
    """The device appends, and its user cloud follows it."""
    number = owner.heads()[0].number
    assert device.owner_log.append(NodeApproved(agefile.generate()[1], "a node")) == number + 1
    device.queue({"location": points(SOME_DAY_MS + 4 * DAY_MS, 5)}, "imported")
    assert device.upload().rows_new == 5
    assert device.status().owner_head == owner.heads()[0] == device.log().head


def test_an_entry_to_somebody_else_s_key(device: Account, owner: Person) -> None:
    envelope = entry_by(owner, owner.secrets.device_key)
    owner.plant("owner-log", numbered(owner.heads()[0].number + 1), agefile.seal(envelope, [agefile.generate()[1]]))
    with unchanged(owner):
        assert device.status().owner_head == device.log().head == owner.heads()[0]
    goes_on(device, owner)


def test_entries_changed_one_for_the_other(device: Account, owner: Person) -> None:
    """The device has its copies; a user cloud that starts reads the store, and refuses."""
    third, fourth = (owner.path("owner-log", numbered(number)) for number in (3, 4))
    kept = [third.read_bytes(), fourth.read_bytes()]
    third.write_bytes(kept[1])
    fourth.write_bytes(kept[0])
    restart(owner, device)
    with unchanged(owner, heads=False), refused("log-order", "authority"):
        device.status()
    forget_copies(owner)
    with refused("log-order", "authority"), owner.account() as afresh:
        afresh.log()
    third.write_bytes(kept[0])
    fourth.write_bytes(kept[1])
    assert device.status().owner == owner.owner


def forget_copies(owner: Person) -> None:
    """The device lost its copies of the log, as one does that was set up anew; it has its heads still."""
    for copy in owner.folder.log.iterdir():
        copy.unlink()


def test_the_newest_entries_withheld(device: Account, owner: Person) -> None:
    """Not a revocation, nor an approval, can be made undone by not showing it."""
    head = owner.heads()[0].number
    kept = {number: owner.path("owner-log", numbered(number)).read_bytes() for number in (head - 1, head)}
    for number in kept:
        owner.path("owner-log", numbered(number)).unlink()
    restart(owner, device)
    with unchanged(owner, heads=False):
        with refused("owner-log-behind", "vault"):
            device.status()
        forget_copies(owner)
        with owner.account() as afresh, refused("owner-log-rewound", "device"):
            afresh.log()
    for number, data in kept.items():
        owner.plant("owner-log", numbered(number), data)
    assert device.status().approvals == 1


def test_an_old_copy_of_the_log_that_grew_in_another_way(device: Account, owner: Person) -> None:
    """A device restored from an old backup signed another next entry; whoever saw the first is not deceived."""
    head = owner.heads()[0]
    newest = owner.path("owner-log", numbered(head.number))
    kept, before = newest.read_bytes(), opened(owner, head.number - 1)
    previous = OwnerEntry(owner.owner, head.number, sha256(before), SOME_DAY_MS, approval(owner))
    newest.write_bytes(sealed_to(owner, dsse.sign(OWNER_ENTRY_TYPE, encode_json(previous), owner.secrets.device_key)))
    restart(owner, device)
    with unchanged(owner, heads=False):
        with refused("owner-log-forked", "vault"):
            device.status()
        forget_copies(owner)
        with owner.account() as afresh, refused("owner-log-rewound", "device"):
            afresh.log()
    newest.write_bytes(kept)
    restart(owner, device)  # it woke by itself, and holds what it was shown then
    assert device.status().approvals == 1


def sealed_to(owner: Person, envelope: bytes) -> bytes:
    return agefile.seal(envelope, [agefile.recipient_of(owner.secrets.logs[-1]), owner.secrets.recovery_recipient])


def test_an_inception_of_another_owner(device: Account, owner: Person, owners: Owners) -> None:
    first = owner.path("owner-log", numbered(0))
    kept = first.read_bytes()
    first.write_bytes(sealed(owner, opened(owners(), 0)))
    restart(owner, device)
    with unchanged(owner, heads=False), refused("log-inception", "authority"):
        device.status()
    first.write_bytes(kept)
    assert device.status().owner == owner.owner


# -- journal -----------------------------------------------------------------------------------------------------------


def test_the_newest_record_removed_after_the_device_saw_it(device: Account, owner: Person) -> None:
    newest = owner.path("journal", numbered(1) + ".age")
    kept = newest.read_bytes()
    newest.unlink()
    restart(owner, device)
    with unchanged(owner, heads=False):
        with refused("journal-rewound", "device"):
            device.status()
        with refused("journal-rewound", "device"):
            audit.read(device)
    newest.write_bytes(kept)
    assert device.status().journal == owner.heads()[1]


def test_the_record_of_a_run_removed_after_the_device_got_its_result(device: Account, owner: Person) -> None:
    """Else a host could make the owner's audit log forget what was computed."""
    device.run(algorithms.slow()[0].digest, {}, SOME_DAY_MS, SOME_DAY_MS + 9 * DAY_MS)
    newest = owner.path("journal", numbered(2) + ".age")
    kept = newest.read_bytes()
    newest.unlink()
    with refused("journal-rewound", "device"):
        audit.read(device)
    restart(owner, device)
    with refused("journal-rewound", "device"):
        device.status()
    newest.write_bytes(kept)
    assert device.status().runs == 1


def test_all_records_removed(device: Account, owner: Person, stage: Watched) -> None:
    journals = owner.path("journal", "")
    kept = journals.with_name("journal-kept")
    shutil.copytree(journals, kept)
    for record in journals.iterdir():
        record.unlink()
    restart(owner, device)
    with refused("journal-rewound", "device"):
        device.status()
    with refused("journal-rewound", "device"):
        audit.read(device)
    for record in kept.iterdir():
        shutil.copy(record, journals)
    shutil.rmtree(kept)
    restart(owner, device)
    assert device.rows("location", *ALWAYS).num_rows == 20


def record(person: Person, key: SigningKey, **changes: object) -> bytes:
    """The journal's next object, right in all but what is changed."""
    heads, detail, salt = person.heads(), SegmentsAccepted(()), bytes(journal.SALT_BYTES)
    assert heads[1] is not None
    made = JournalRecord(person.owner, heads[1].number + 1, heads[1].digest, heads[0], journal.commit(salt, detail))
    changed = msgspec.structs.replace(made, **changes)
    envelope = dsse.sign(JOURNAL_TYPE, encode_json(changed), key)
    return encode_json(JournalObject(envelope.decode(), b64(salt), detail))


def object_of(owner: Person, number: int) -> bytes:
    data = owner.path("journal", numbered(number) + ".age").read_bytes()
    return agefile.open_(data, [owner.secrets.logs[-1]], limit=MIB, what="a record")


def forged_record(owner: Person, other: Person) -> tuple[bytes, str]:
    return record(owner, STRANGER), "journal-signer"


def record_by_the_owner_s_device(owner: Person, other: Person) -> tuple[bytes, str]:
    """What happened is the user cloud's to say."""
    return record(owner, owner.secrets.device_key), "journal-signer"


def record_of_another_owner(owner: Person, other: Person) -> tuple[bytes, str]:
    return record(owner, STRANGER, owner=other.owner), "journal-owner"


def record_copied_from_another_journal(owner: Person, other: Person) -> tuple[bytes, str]:
    with other.account() as theirs:
        for part in range(3):
            theirs.queue({"location": points(SOME_DAY_MS + part * DAY_MS, 3)}, "imported")
            theirs.upload()
    return object_of(other, 2), "journal-order"


def record_of_its_own_journal_again(owner: Person, other: Person) -> tuple[bytes, str]:
    return object_of(owner, 1), "journal-order"


def record_that_skips(owner: Person, other: Person) -> tuple[bytes, str]:
    return record(owner, STRANGER, number=9), "journal-order"


RECORDS = [
    forged_record,
    record_by_the_owner_s_device,
    record_of_another_owner,
    record_copied_from_another_journal,
    record_of_its_own_journal_again,
    record_that_skips,
]


@pytest.mark.parametrize("make", RECORDS)
def test_a_record_that_is_not_the_user_cloud_s(make: object, device: Account, owner: Person, owners: Owners) -> None:
    assert callable(make)
    plain, rule = make(owner, owners())
    planted = owner.plant("journal", numbered(2) + ".age", sealed(owner, plain))
    restart(owner, device)
    with refused(rule, "authority"):
        device.status()
    with refused(rule, "authority"):
        audit.read(device)
    # It holds nothing, neither keys nor half of a journal, and says what kept it from waking.
    wire = Wire(device.host.cloud())
    assert wire.ask(wire.signed(owner.secrets.device_key, "GET", "/v1/status")).refusal.rule == rule
    planted.unlink()
    assert device.rows("location", *ALWAYS).num_rows == 20
    assert device.status().journal == owner.heads()[1]


def test_a_record_of_another_owner_as_the_first(owners: Owners) -> None:
    """Before this owner has any, so number and place in the chain fit."""
    owner, other = owners(), owners()
    with other.account() as theirs:
        theirs.queue({"location": points(SOME_DAY_MS, 3)}, "imported")
        theirs.upload()
    planted = owner.plant("journal", numbered(0) + ".age", sealed(owner, object_of(other, 0)))
    with owner.account() as device:
        with refused("journal-owner", "authority"):
            device.status()
        planted.unlink()
        assert device.status().streams == ()


def test_garbage_where_the_next_record_goes(device: Account, owner: Person) -> None:
    """A running user cloud finds its number taken, and stops: whatever is there is looked at by one that starts."""
    planted = owner.plant("journal", numbered(2) + ".age", b"garbage")
    device.queue({"location": points(SOME_DAY_MS + 4 * DAY_MS, 5)}, "imported")
    cloud = owner.stage.cloud(owner.owner)
    with refused("journal-taken", "vault"):
        device.upload()
    owner.stage.forgets(owner.owner)
    assert not cloud.alive
    device.disconnect()
    with refused("age-malformed"):
        device.status()
    planted.unlink()
    assert device.upload().rows_new == 5
    assert device.rows("location", *ALWAYS).num_rows == 25


def test_folders_of_the_store_that_are_links(stage: Watched, owners: Owners, tmp_path: Path) -> None:
    """A link in the place of an owner's folder is not followed: no folder elsewhere is given to a user cloud's uid."""
    owner, elsewhere = owners(), tmp_path / "elsewhere"
    shutil.copytree(owner.home, elsewhere)
    kept = owner.home.with_name("kept")
    owner.home.rename(kept)
    owner.home.symlink_to(elsewhere)
    try:
        with refused("owner-unknown", "supervisor"):
            node.launch_cloud(stage.socket, owner.owner, stage.host_url)
        assert elsewhere.stat().st_uid == 0
    finally:
        owner.home.unlink()
        kept.rename(owner.home)
    with owner.account() as device:
        assert device.status().owner == owner.owner
