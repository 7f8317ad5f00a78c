"""An attacker cannot write, cut, reorder, graft or extend an owner log without the keys that it names.

Each rule of `waykeep.authority.ownerlog` is provoked by its own fault. The attacker sees every envelope, holds keys of
their own, and in some cases a key of the owner that may do less than they try.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import Owner, an_approval, an_owner, born, epoch_statement, key, refused
from waykeep.authority import access, dsse, ownerlog
from waykeep.authority.keys import SigningKey
from waykeep.authority.statements import (
    INCEPTION_TYPE,
    KEY_LIST_TYPE,
    OWNER_ENTRY_TYPE,
    Body,
    DeviceAdded,
    EpochOpened,
    EpochStatement,
    KeyList,
    RecipientsNamed,
    StateKeyNamed,
    WriterAdded,
)
from waykeep.errors import AuthorityError, FormatError, WaykeepError
from waykeep.formats.ids import PublicKey, owner_id, sha256
from waykeep.formats.wire import encode_json

ANNA, BERT = an_owner("anna"), an_owner("bert")
THIEF = key("thief")


def graft(owner: Owner, *envelopes: bytes) -> None:
    ownerlog.fold(owner.state, envelopes)


# -- log-inception -----------------------------------------------------------------------------------------------------


def test_inception_of_another_owner_is_refused() -> None:
    with refused("log-inception", AuthorityError):
        ownerlog.begin(ANNA.id, BERT.envelopes[0])


def test_inception_that_names_the_thiefs_key_is_another_owners() -> None:
    forged = msgspec.structs.replace(ANNA.inception, authority=THIEF.public)
    with refused("log-inception", AuthorityError):
        ownerlog.begin(ANNA.id, dsse.sign(INCEPTION_TYPE, encode_json(forged), THIEF))


def test_genuine_inception_signed_by_another_key_is_refused() -> None:
    with refused("log-inception", AuthorityError):
        ownerlog.begin(ANNA.id, dsse.sign(INCEPTION_TYPE, encode_json(ANNA.inception), THIEF))


def test_inception_of_a_version_to_come_is_refused() -> None:
    payload = encode_json(msgspec.structs.replace(ANNA.inception, version=2))
    with refused("log-inception", AuthorityError):
        ownerlog.begin(owner_id(payload), dsse.sign(INCEPTION_TYPE, payload, ANNA.authority))


def test_an_entry_does_not_pass_for_an_inception() -> None:
    with refused("statement-type", AuthorityError):
        ownerlog.begin(ANNA.id, ANNA.envelopes[1])


# -- log-order ---------------------------------------------------------------------------------------------------------


def folded(owner: Owner, envelopes: list[bytes]) -> None:
    ownerlog.fold(ownerlog.begin(owner.id, envelopes[0]), envelopes[1:])


@pytest.mark.parametrize(
    "change",
    [
        lambda log: log[:3] + log[4:],  # cut
        lambda log: [*log[:3], log[4], log[3], *log[5:]],  # reordered
        lambda log: [*log[:4], log[3], *log[4:]],  # repeated
        lambda log: log + log[-1:],  # the end repeated
    ],
    ids=["cut", "reordered", "repeated", "end repeated"],
)
def test_a_log_out_of_order_is_refused(change: Callable[[list[bytes]], list[bytes]]) -> None:
    folded(ANNA, ANNA.envelopes)
    with refused("log-order", AuthorityError):
        folded(ANNA, change(ANNA.envelopes))


def test_an_entry_that_skips_a_number_is_refused() -> None:
    with refused("log-order", AuthorityError):
        graft(ANNA, ANNA.entry(an_approval(), number=len(ANNA.envelopes) + 1))


def test_an_entry_on_another_branch_is_refused() -> None:
    """A revoked device cannot put an entry behind the one that revoked it: the chain has one head."""
    with refused("log-order", AuthorityError):
        graft(ANNA, ANNA.entry(an_approval(), previous=sha256(ANNA.envelopes[-2])))


def test_an_entry_of_before_does_not_pass_again() -> None:
    with refused("log-order", AuthorityError):
        graft(ANNA, ANNA.envelopes[2])


# -- log-owner ---------------------------------------------------------------------------------------------------------


def test_an_entry_that_names_another_owner_is_refused() -> None:
    with refused("log-owner", AuthorityError):
        graft(ANNA, ANNA.entry(an_approval(), owner=BERT.id))


# -- log-signer --------------------------------------------------------------------------------------------------------

CERTIFYING: list[Body] = [
    DeviceAdded(THIEF.public, "thief"),
    WriterAdded(THIEF.public, "thief", "imported"),
    RecipientsNamed(*BERT.log_recipients),
]
OTHERS: list[Body] = [
    an_approval(),
    StateKeyNamed(THIEF.public),
    EpochOpened(2, sha256(b"statement"), BERT.log_recipients[0]),
]


@pytest.mark.parametrize("body", CERTIFYING, ids=lambda body: type(body).__name__)
def test_a_device_cannot_certify(body: Body) -> None:
    with refused("log-signer", AuthorityError):
        graft(ANNA, ANNA.entry(body, ANNA.device))


@pytest.mark.parametrize("body", CERTIFYING + OTHERS, ids=lambda body: type(body).__name__)
@pytest.mark.parametrize(
    "signer",
    [THIEF, ANNA.writer, ANNA.phone, ANNA.state_key, BERT.authority, BERT.device, key("anna/next")],
    ids=["stranger", "importer", "phone", "state key", "authority of another", "device of another", "next authority"],
)
def test_an_entry_by_a_key_that_may_not_is_refused(signer: SigningKey, body: Body) -> None:
    with refused("log-signer", AuthorityError):
        graft(ANNA, ANNA.entry(body, signer))


def test_a_device_counts_only_after_it_was_added() -> None:
    owner = born("carla")
    owner.add(RecipientsNamed(*owner.log_recipients))
    with refused("log-signer", AuthorityError):
        graft(owner, owner.entry(an_approval(), owner.device))
    owner.add(DeviceAdded(owner.device.public, "laptop"))
    assert owner.add(an_approval(), owner.device).approvals


def test_an_entry_that_names_the_authority_but_is_not_signed_by_it_is_refused() -> None:
    envelope = msgspec.json.decode(ANNA.entry(an_approval(), THIEF))
    envelope["signatures"][0]["keyid"] = ANNA.authority.public
    with refused("signature-invalid", AuthorityError):
        graft(ANNA, encode_json(envelope))


# -- log-epoch ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [0, 1, 3])
def test_an_epoch_out_of_turn_is_refused(number: int) -> None:
    with refused("log-epoch", AuthorityError):
        graft(ANNA, ANNA.entry(EpochOpened(number, sha256(b"statement"), ANNA.log_recipients[0])))


# -- log-repeat --------------------------------------------------------------------------------------------------------

TAKEN = [ANNA.device, ANNA.writer, ANNA.phone, ANNA.state_key, ANNA.authority]


@pytest.mark.parametrize("taken", TAKEN, ids=["device", "importer", "phone", "state key", "authority"])
@pytest.mark.parametrize(
    "made",
    [lambda k: DeviceAdded(k, "again"), lambda k: WriterAdded(k, "again", "signed"), lambda k: StateKeyNamed(k)],
    ids=["as device", "as writer", "as state key"],
)
def test_a_key_has_one_role_once(made: Callable[[PublicKey], Body], taken: SigningKey) -> None:
    with refused("log-repeat", AuthorityError):
        graft(ANNA, ANNA.entry(made(taken.public)))


# -- log-limit ---------------------------------------------------------------------------------------------------------


def test_more_than_64_devices_are_refused() -> None:
    owner = born("many devices")
    state = owner.state
    for number in range(64):
        owner.envelopes.append(owner.entry(DeviceAdded(key(f"device {number}").public, "one of many")))
        state = ownerlog.fold(state, owner.envelopes[-1:])
    assert len(state.devices) == 64
    with refused("log-limit", AuthorityError):
        ownerlog.fold(state, [owner.entry(DeviceAdded(THIEF.public, "one too many"))])


def test_more_than_256_writers_are_refused() -> None:
    owner = born("many writers")
    for number in range(256):
        owner.envelopes.append(owner.entry(WriterAdded(key(f"writer {number}").public, "one of many", "signed")))
    with refused("log-limit", AuthorityError):
        graft(owner, owner.entry(WriterAdded(THIEF.public, "one too many", "signed")))


@pytest.mark.parametrize(
    "body", [an_approval(), RecipientsNamed(*ANNA.log_recipients)], ids=["approvals", "recipients"]
)
def test_more_entries_of_a_kind_than_the_bound_are_refused(body: Body, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is lowered from 10,000: what is shown is that each kind is counted by itself."""
    assert ownerlog.MAX_OF_A_KIND == 10_000
    monkeypatch.setattr(ownerlog, "MAX_OF_A_KIND", 3)
    owner = born("many entries")
    owner.add(StateKeyNamed(owner.state_key.public))
    for _ in range(3):
        owner.add(body)
    owner.add(DeviceAdded(owner.device.public, "of another kind"))
    with refused("log-limit", AuthorityError):
        graft(owner, owner.entry(body))


def test_entry_by_entry_comes_to_the_same_as_all_at_once() -> None:
    owner = an_owner("long log")
    state = owner.state
    for _ in range(100):
        owner.envelopes.append(owner.entry(an_approval(), owner.device))
        state = ownerlog.fold(state, owner.envelopes[-1:])
    assert len(state.approvals) == 100
    assert state == owner.state


# -- the envelope ------------------------------------------------------------------------------------------------------


def test_oversized_entry_is_refused() -> None:
    with refused("too-large", FormatError):
        graft(ANNA, ANNA.entry(an_approval(name="n" * ownerlog.MAX_ENTRY)))


def test_entry_of_an_unknown_kind_is_refused() -> None:
    payload = b'{"owner":"%s","number":7,"previous":"","time_ms":0,"body":{"type":"pay"}}' % ANNA.id.encode()
    with refused("malformed", FormatError):
        graft(ANNA, dsse.sign(OWNER_ENTRY_TYPE, payload, ANNA.authority))


def test_entry_with_an_unknown_field_is_refused() -> None:
    body = {"type": "state-key", "key": THIEF.public, "until": 0}
    payload = {"owner": ANNA.id, "number": 7, "previous": ANNA.state.head.digest, "time_ms": 0, "body": body}
    with refused("malformed", FormatError):
        graft(ANNA, dsse.sign(OWNER_ENTRY_TYPE, encode_json(payload), ANNA.authority))


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_no_entry_and_no_inception(data: bytes) -> None:
    for attempt in (
        lambda: graft(ANNA, data),
        lambda: ownerlog.begin(ANNA.id, data),
        lambda: graft(ANNA, dsse.sign(OWNER_ENTRY_TYPE, data, ANNA.authority)),
    ):
        with pytest.raises(WaykeepError):
            attempt()


# -- statements beside the log -----------------------------------------------------------------------------------------


def listed(owner: Owner, signer: SigningKey, devices: int = 1, number: int = 1, named: Owner | None = None) -> bytes:
    keys = tuple(key(f"device {n}").public for n in range(devices))
    return dsse.sign(KEY_LIST_TYPE, encode_json(KeyList((named or owner).id, number, keys, ())), signer)


def test_key_list_of_the_authority_is_taken() -> None:
    found = access.key_list(ANNA.id, ANNA.envelopes[0], listed(ANNA, ANNA.authority, access.MAX_KEYS), 1)
    assert len(found.devices) == access.MAX_KEYS


@pytest.mark.parametrize(
    ("envelope", "rule"),
    [
        (listed(ANNA, ANNA.device), "signer-unknown"),
        (listed(ANNA, THIEF), "signer-unknown"),
        (listed(ANNA, ANNA.authority, number=2), "key-list-mismatch"),
        (listed(ANNA, ANNA.authority, named=BERT), "key-list-mismatch"),
        (listed(ANNA, ANNA.authority, access.MAX_KEYS + 1), "key-list-mismatch"),
        (ANNA.epochs[1], "statement-type"),
    ],
)
def test_key_list_that_is_not_the_owners_is_refused(envelope: bytes, rule: str) -> None:
    with refused(rule):
        access.key_list(ANNA.id, ANNA.envelopes[0], envelope, 1)


def test_key_list_under_the_inception_of_another_is_refused() -> None:
    with refused("log-inception"):
        access.key_list(ANNA.id, BERT.envelopes[0], listed(ANNA, BERT.authority), 1)
    with refused("log-inception"):
        access.register(ANNA.id, BERT.envelopes[0])


@pytest.mark.parametrize(
    ("envelope", "rule"),
    [
        (epoch_statement(ANNA, 1, ANNA.log_recipients[0], ANNA.device), "signer-unknown"),
        (epoch_statement(ANNA, 1, ANNA.log_recipients[0], THIEF), "signer-unknown"),
        (epoch_statement(ANNA, 2, ANNA.log_recipients[0]), "epoch-mismatch"),
        (epoch_statement(BERT, 1, ANNA.log_recipients[0], ANNA.authority), "epoch-mismatch"),
        (epoch_statement(ANNA, 1, "age1nobody"), "recipient-malformed"),
        (listed(ANNA, ANNA.authority), "statement-type"),
    ],
)
def test_epoch_statement_that_is_not_the_owners_is_refused(envelope: bytes, rule: str) -> None:
    """The host, which knows the public recipients of all, leads no writer to an epoch of its own."""
    assert isinstance(access.epoch(ANNA.id, ANNA.authority.public, ANNA.epochs[1], 1), EpochStatement)
    with refused(rule):
        access.epoch(ANNA.id, ANNA.authority.public, envelope, 1)


def test_a_log_that_names_no_recipients_gives_none() -> None:
    with refused("log-recipients"):
        born().state.log_recipients()
