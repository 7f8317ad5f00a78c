"""Whatever an attacker without its keys makes of a log, what is accepted of it is how it began.

The attacker holds every envelope of two owners and signing keys of their own, and cuts, swaps, repeats, grafts and
signs as they like. A beginning is the most they can show; a device that has seen more refuses that too. Each rule by
its own fault is in `test_owner_log.py` and `test_journal.py`, journals shown to a device in
`processes/test_objects_put_by_an_outsider.py`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.builders import Owner, a_line, a_record, an_approval, an_owner, key, refused
from tests.unit.device.test_owner_chain import Host
from tests.unit.vault.segmenting import LOG, NOW_MS, OWNER, SECRETS
from waykeep.authority import dsse, journal, ownerlog
from waykeep.authority.journalstate import EMPTY
from waykeep.authority.records import JOURNAL_TYPE, JournalObject, SegmentsAccepted
from waykeep.authority.statements import OWNER_ENTRY_TYPE, StateKeyNamed
from waykeep.device import keystore
from waykeep.device.chain import OwnerChain
from waykeep.device.heads import remember
from waykeep.device.hostclient import HostClient
from waykeep.device.keyring import Keyring
from waykeep.device.keystore import KeyFile
from waykeep.device.owner import entry_after
from waykeep.device.profile import Folder
from waykeep.errors import AuthorityError, DeviceError
from waykeep.formats import agefile
from waykeep.formats.ids import numbered, sha256
from waykeep.formats.messages import Head, Listing
from waykeep.formats.wire import encode_json

T = TypeVar("T")
ANNA, BERT = an_owner("anna"), an_owner("bert")
THIEF = key("thief")
MOVES = st.lists(
    st.tuples(st.sampled_from(("cut", "swap", "repeat", "graft", "sign again", "end")), st.integers(0, 99)),
    min_size=1,
    max_size=4,
)


def rearranged(genuine: list[T], foreign: list[T], signed: Callable[[T], T], moves: list[tuple[str, int]]) -> list[T]:
    """What the attacker makes of a log; ``signed`` signs the statement of one of its envelopes with their own key."""
    made = list(genuine)
    for move, number in moves:
        at = number % len(made) if made else 0
        match move:
            case "cut":
                del made[at : at + 1]
            case "swap" if len(made) > 1:
                made[at - 1], made[at] = made[at], made[at - 1]
            case "repeat":
                made[at:at] = made[at : at + 1]
            case "graft":
                made.insert(at, foreign[number % len(foreign)])
            case "sign again":
                made[at : at + 1] = [signed(item) for item in made[at : at + 1]]
            case "end":
                del made[at:]
    return made


def signed_entry(envelope: bytes) -> bytes:
    kind = msgspec.json.decode(envelope)["payloadType"]
    return dsse.sign(kind, dsse.peek(envelope, kind).payload, THIEF)


def signed_record(item: JournalObject) -> JournalObject:
    payload = dsse.peek(item.envelope.encode(), JOURNAL_TYPE).payload
    return msgspec.structs.replace(item, envelope=dsse.sign(JOURNAL_TYPE, payload, THIEF).decode())


def a_journal(owner: Owner) -> list[JournalObject]:
    state, objects = EMPTY, []
    for number in range(5):
        objects.append(a_record(owner, state, SegmentsAccepted((a_line(f"{number}.age"),))))
        state = journal.fold(state, owner.state, objects[-1:])
    return objects


@settings(max_examples=150)
@given(MOVES)
def test_of_an_owner_log_its_beginning_is_the_most_that_passes(moves: list[tuple[str, int]]) -> None:
    made = rearranged(ANNA.envelopes, BERT.envelopes, signed_entry, moves)
    if not made:
        return
    if made == ANNA.envelopes[: len(made)]:
        state = ownerlog.fold(ownerlog.begin(ANNA.id, made[0]), made[1:])
        assert state.digest_at(len(made) - 1) == sha256(ANNA.envelopes[len(made) - 1])
        return
    with pytest.raises(AuthorityError) as caught:
        ownerlog.fold(ownerlog.begin(ANNA.id, made[0]), made[1:])
    assert caught.value.rule in ("log-inception", "log-order", "log-signer", "statement-type")


ANNAS, BERTS = a_journal(ANNA), a_journal(BERT)


@settings(max_examples=150)
@given(MOVES)
def test_of_a_journal_its_beginning_is_the_most_that_passes(moves: list[tuple[str, int]]) -> None:
    made = rearranged(ANNAS, BERTS, signed_record, moves)
    if made == ANNAS[: len(made)]:
        assert len(journal.fold(EMPTY, ANNA.state, made).segments) == len(made)
        return
    with pytest.raises(AuthorityError) as caught:
        journal.fold(EMPTY, ANNA.state, made)
    assert caught.value.rule in ("journal-order", "journal-owner", "journal-signer")


def test_a_statement_of_one_log_does_not_pass_in_the_other() -> None:
    record, entry = ANNAS[0], ANNA.entry(an_approval(), ANNA.device)
    with refused("statement-type", AuthorityError):
        ownerlog.fold(ANNA.state, [record.envelope.encode()])
    with refused("statement-type", AuthorityError):
        journal.fold(EMPTY, ANNA.state, [msgspec.structs.replace(record, envelope=entry.decode())])


# -- shown to a device that has seen more ------------------------------------------------------------------------------


@pytest.fixture
def host() -> Iterator[Host]:
    with Host() as found:
        thread = threading.Thread(target=found.serve_forever, args=(0.01,))
        thread.start()
        yield found
        found.shutdown()
        thread.join()


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    """A device that remembers the whole log by its head, and holds no copies of its entries."""
    (tmp_path / "log").mkdir()
    made = Folder(tmp_path)
    remember(made, owner=Head(len(OWNER.entries) - 1, sha256(OWNER.entries[-1])))
    return made


@pytest.fixture
def device(host: Host, folder: Folder) -> Iterator[OwnerChain]:
    client = HostClient(f"http://127.0.0.1:{host.server_port}", LOG.owner, SECRETS.device_key)
    lock = KeyFile(folder.path / "owner.key", create=True)
    keystore.save(folder.keystore, SECRETS, lock)
    yield OwnerChain(folder, client, Keyring(folder, lock))
    client.close()


@pytest.mark.parametrize("kept", range(len(OWNER.entries)))
def test_a_shorter_owner_log_is_refused_and_nothing_is_forgotten(
    kept: int, device: OwnerChain, host: Host, folder: Folder
) -> None:
    whole = dict(host.entries)
    host.entries = {name: whole[name] for name in sorted(whole)[:kept]}
    before = folder.heads()
    with refused("owner-log-rewound", DeviceError):
        device.state()
    assert (folder.heads(), host.puts) == (before, 0)
    host.entries = whole
    assert device.state().head == before.owner


def test_another_owner_log_of_the_same_length_and_longer_is_refused(
    device: OwnerChain, host: Host, folder: Folder
) -> None:
    """Forked by a device of the owner, so every signature is right: only what was seen tells the two apart."""
    at = len(OWNER.entries) - 1
    shorter = ownerlog.fold(ownerlog.begin(SECRETS.owner, OWNER.entries[0]), OWNER.entries[1:at])
    for number in (at, at + 1):
        fork = entry_after(
            shorter.owner, shorter.head, NOW_MS, StateKeyNamed(key(str(number)).public), SECRETS.device_key
        )
        shorter = ownerlog.fold(shorter, [fork])
        host.entries[numbered(number)] = agefile.seal(fork, LOG.log_recipients())
        with refused("owner-log-rewound", DeviceError):
            device.state()
    assert not (folder.log / numbered(at)).exists()


def test_an_entry_put_by_the_host_is_none_and_leaves_no_copy(device: OwnerChain, host: Host, folder: Folder) -> None:
    """It knows the public recipients, and so can put what the device opens; it cannot sign: that is no entry."""
    number = len(OWNER.entries)
    state = ownerlog.fold(ownerlog.begin(SECRETS.owner, OWNER.entries[0]), OWNER.entries[1:])
    forged = entry_after(state.owner, state.head, NOW_MS, StateKeyNamed(THIEF.public), THIEF)
    assert dsse.peek(forged, OWNER_ENTRY_TYPE).signer == THIEF.public
    host.entries[numbered(number)] = agefile.seal(forged, LOG.log_recipients())
    host.entries["owner-log"] = encode_json(Listing(tuple(sorted(host.entries)), more=False))
    assert device.state() == state
    assert device.blocked == number
    assert not (folder.log / numbered(number)).exists()
    # Where the device has seen an entry, it is not taken for the end.
    remember(folder, owner=Head(number, sha256(b"seen")))
    with refused("log-signer", AuthorityError):
        device.state()
