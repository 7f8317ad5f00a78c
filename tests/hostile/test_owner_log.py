"""An attacker cannot write, cut, reorder, graft or extend an owner log without the keys that it names.

Each rule of `waykeep.authority.ownerlog` is provoked by its own fault. The attacker sees every envelope, holds keys of
their own, and in some cases a key of the owner that may do less than they try.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.authority.entries import OTHER_WITNESS, RECIPIENT, WITNESS, a_close, a_grant, granting
from tests.unit.builders import NOW_MS, Owner, an_approval, an_owner, born, epoch_statement, key, refused
from waykeep.authority import access, dsse, ownerlog
from waykeep.authority.keys import SigningKey, key_digest
from waykeep.authority.ownerstate import Ended, OwnerState
from waykeep.authority.permissions import Withdrawn
from waykeep.authority.statements import (
    INCEPTION_TYPE,
    KEY_LIST_TYPE,
    OWNER_ENTRY_TYPE,
    WAIVER,
    Body,
    DeviceAdded,
    EpochOpened,
    EpochStatement,
    KeyList,
    KeyRevoked,
    NodeApproved,
    NodeWithdrawn,
    RecipientsNamed,
    Resumed,
    StateKeyNamed,
    StateKeyRetired,
    WitnessWaived,
    WriterAdded,
)
from waykeep.authority.witnessing import ANSWER_TYPE, Held
from waykeep.errors import AuthorityError, FormatError, WaykeepError
from waykeep.formats.ids import PublicKey, b64, owner_id, sha256
from waykeep.formats.messages import Head
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
    KeyRevoked(ANNA.phone.public),
    EpochOpened(2, sha256(b"statement"), BERT.log_recipients[0]),
    ANNA.witness(THIEF),
    WitnessWaived(WAIVER),
]
OTHERS: list[Body] = [
    an_approval(),
    a_grant(),
    StateKeyNamed(THIEF.public),
    StateKeyRetired(ANNA.state_key.public),
    NodeApproved(RECIPIENT, "a node"),
    Resumed(None, None),
]


@pytest.mark.parametrize("body", CERTIFYING, ids=lambda body: type(body).__name__)
def test_a_device_cannot_certify(body: Body) -> None:
    with refused("log-signer", AuthorityError):
        graft(ANNA, ANNA.entry(body, ANNA.device))


@pytest.mark.parametrize("body", CERTIFYING + OTHERS, ids=lambda body: type(body).__name__)
@pytest.mark.parametrize(
    "signer",
    [THIEF, ANNA.writer, ANNA.phone, ANNA.state_key, BERT.authority, BERT.device, ANNA.turned("authority", 1)],
    ids=["stranger", "importer", "phone", "state key", "authority of another", "device of another", "next authority"],
)
def test_an_entry_by_a_key_that_may_not_is_refused(signer: SigningKey, body: Body) -> None:
    with refused("log-signer", AuthorityError):
        graft(ANNA, ANNA.entry(body, signer))


@pytest.mark.parametrize("body", OTHERS, ids=lambda body: type(body).__name__)
def test_an_entry_by_a_revoked_device_is_refused(body: Body) -> None:
    owner = an_owner("anna")
    graft(owner, owner.entry(body, owner.device))
    owner.add(KeyRevoked(owner.device.public))
    with refused("log-signer", AuthorityError):
        graft(owner, owner.entry(body, owner.device))


def test_the_nodes_that_a_thief_approved_go_with_the_stolen_device() -> None:
    """A user cloud seals what it holds to each: the keys that are made since the device was stolen would go along."""
    owner = an_owner("nodes of a thief")
    owner.add(DeviceAdded(THIEF.public, "stolen"))
    owner.add(NodeApproved(RECIPIENT, "of a thief"), THIEF)
    owner.add(NodeApproved("age1withdrawn", "of a thief, and withdrawn"), THIEF)
    owner.add(NodeApproved("age1mine", "mine"), owner.device)
    owner.add(NodeApproved("age1authority", "mine"))
    owner.add(NodeWithdrawn("age1withdrawn"))
    assert set(owner.state.nodes) == {RECIPIENT, "age1mine", "age1authority"}
    assert set(owner.again().add(KeyRevoked(owner.phone.public)).nodes) == set(owner.state.nodes)
    assert set(owner.add(KeyRevoked(THIEF.public)).nodes) == {"age1mine", "age1authority"}
    with refused("log-unknown", AuthorityError):
        graft(owner, owner.entry(NodeWithdrawn(RECIPIENT)))
    # The owner may approve it again; it is theirs then.
    owner.add(NodeApproved(RECIPIENT, "mine after all"), owner.device)
    assert set(owner.add(KeyRevoked(owner.device.public)).nodes) == {"age1authority"}


def test_a_revoked_device_cannot_backdate() -> None:
    """Its entry follows the one before its revocation, and is genuine; the number is taken."""
    owner = an_owner("backdated")
    early = owner.entry(an_approval(), owner.device)
    owner.add(KeyRevoked(owner.device.public))
    with refused("log-order", AuthorityError):
        graft(owner, early)


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


def test_a_key_that_was_revoked_is_not_added_again() -> None:
    owner = an_owner("revoked")
    for gone in (owner.device, owner.phone):
        owner.add(KeyRevoked(gone.public))
    for body in (
        DeviceAdded(owner.device.public, "again"),
        WriterAdded(owner.device.public, "again", "signed"),
        WriterAdded(owner.phone.public, "again", "signed"),
        StateKeyNamed(owner.phone.public),
    ):
        with refused("log-repeat", AuthorityError):
            graft(owner, owner.entry(body))


def test_a_retired_state_key_is_not_named_again() -> None:
    owner = an_owner("retired")
    owner.add(StateKeyRetired(owner.state_key.public))
    with refused("log-repeat", AuthorityError):
        graft(owner, owner.entry(StateKeyNamed(owner.state_key.public)))


# -- log-unknown -------------------------------------------------------------------------------------------------------

FOUR = [KeyRevoked(ANNA.phone.public), StateKeyRetired(ANNA.state_key.public), NodeWithdrawn(RECIPIENT), Withdrawn(8)]


@pytest.mark.parametrize("body", FOUR, ids=lambda body: type(body).__name__)
def test_what_is_taken_back_is_taken_back_once(body: Body) -> None:
    owner = an_owner("anna")
    owner.add(NodeApproved(RECIPIENT, "a node"))
    owner.add(a_grant())
    owner.add(body)
    with refused("log-unknown", AuthorityError):
        graft(owner, owner.entry(body))


@pytest.mark.parametrize(
    "body",
    [
        KeyRevoked(THIEF.public),
        KeyRevoked(ANNA.state_key.public),
        KeyRevoked(ANNA.authority.public),
        StateKeyRetired(ANNA.device.public),
        StateKeyRetired(THIEF.public),
        NodeWithdrawn(RECIPIENT),
        Withdrawn(0),
        Withdrawn(1),  # no approval
        Withdrawn(7),  # its own number
        Withdrawn(99),
    ],
    ids=str,
)
def test_what_is_not_in_force_cannot_be_taken_back(body: Body) -> None:
    with refused("log-unknown", AuthorityError):
        graft(ANNA, ANNA.entry(body))


# -- log-witness -------------------------------------------------------------------------------------------------------


def test_a_witness_under_a_control_key_of_another_is_refused() -> None:
    with refused("log-witness", AuthorityError):
        graft(ANNA, ANNA.entry(BERT.witness(WITNESS)))


@pytest.mark.parametrize("changes", [{"control": THIEF.public}, {"salt": b64(b"x" * 16)}], ids=["key", "salt"])
def test_a_witness_under_what_does_not_open_the_commitment_is_refused(changes: dict[str, Any]) -> None:
    with refused("log-witness", AuthorityError):
        graft(ANNA, ANNA.entry(msgspec.structs.replace(ANNA.witness(WITNESS), **changes)))


def test_a_witness_under_the_next_control_key_is_refused() -> None:
    """Not before a rotation made it the one in force."""
    with refused("log-witness", AuthorityError):
        graft(ANNA, ANNA.entry(ANNA.witness(WITNESS, turn=1)))


def test_after_a_rotation_a_witness_under_the_old_control_key_is_refused() -> None:
    """The thief may hold it, and would be the owner at that witness."""
    owner = an_owner("rotated control")
    owner.rotate()
    with refused("log-witness", AuthorityError):
        graft(owner, owner.entry(owner.witness(WITNESS, turn=0)))
    assert owner.add(owner.witness(WITNESS)).pseudonym() == key_digest(owner.turned("control", 1).public)


@pytest.mark.parametrize("words", ["", WAIVER.lower(), WAIVER + " ", WAIVER[:-1], "I agree."])
def test_a_waiver_in_other_words_is_refused(words: str) -> None:
    with refused("log-witness", AuthorityError):
        graft(ANNA, ANNA.entry(WitnessWaived(words)))
    assert ANNA.state.waived is False


def moved(owner: Owner, closed: str) -> OwnerState:
    return ownerlog.fold(owner.state, [owner.entry(owner.witness(OTHER_WITNESS, closed))])


def with_a_witness(name: str) -> Owner:
    """An owner whose log names `WITNESS`, and then a grant: entry 8."""
    owner = an_owner(name)
    owner.add(owner.witness(WITNESS))
    owner.add(a_grant(), owner.device)
    return owner


def test_the_first_witness_leaves_grants() -> None:
    owner, number = granting("first witness")
    state = owner.add(owner.witness(WITNESS))
    assert list(state.grants) == [number]
    assert state.pseudonym() == key_digest(owner.control.public)


def test_moving_with_a_signed_close_leaves_grants() -> None:
    owner = with_a_witness("moving")
    state = moved(owner, a_close(owner, OTHER_WITNESS.public).decode())
    assert list(state.grants) == [8]
    assert state.witness is not None and state.witness.key == OTHER_WITNESS.public


def test_after_a_rotation_the_old_witness_closes_under_the_name_that_it_knows() -> None:
    """The digest of the control key with which it was named, while the new one is named with that in force."""
    owner = with_a_witness("another name")
    owner.rotate()
    number = owner.add(a_grant()).head.number
    state = moved(owner, a_close(owner, OTHER_WITNESS.public).decode())
    assert (list(state.grants), state.pseudonym()) == ([number], key_digest(owner.turned("control", 1).public))
    renamed = a_close(owner, OTHER_WITNESS.public, pseudonym=state.pseudonym())
    with refused("witness-close", AuthorityError):
        moved(owner, renamed.decode())


def test_a_close_says_which_record_the_journal_still_has() -> None:
    """Until a resume or a rotation, which use up every grant that a journal set back could give anew."""
    owner, head = with_a_witness("closed at"), Head(5, sha256(b"record 5"))
    close = a_close(
        owner, OTHER_WITNESS.public, held=Held(Head(7, sha256(b"")), head, None, 0, (), OTHER_WITNESS.public)
    )
    assert owner.state.closed_at is None
    assert owner.add(owner.witness(OTHER_WITNESS, close.decode())).closed_at == head
    assert owner.add(an_approval()).closed_at == head
    assert owner.again().add(Resumed(head, None)).closed_at is None
    assert owner.again().add(owner.witness(WITNESS)).closed_at is None
    assert owner.again().rotate().closed_at is None


def test_moving_without_a_close_uses_up_every_grant() -> None:
    owner = with_a_witness("dead witness")
    state = moved(owner, "")
    assert (state.grants, state.ended) == ({}, {8: Ended("grant-used-up", 9)})


def test_moving_by_doing_without_one_for_a_while_uses_up_every_grant() -> None:
    """Else the way around a signed close would be a waiver; and meanwhile nobody kept the journal from going back."""
    owner = with_a_witness("around")
    owner.add(WitnessWaived(WAIVER))
    for witness in (WITNESS, OTHER_WITNESS):
        state = ownerlog.fold(owner.state, [owner.entry(owner.witness(witness))])
        assert (state.grants, state.waived) == ({}, False)
        assert state.ended[8].rule == "grant-used-up"


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"pseudonym": key_digest(BERT.control.public)}, "witness-close"),
        ({"held": Held(Head(1, sha256(b"")), None, None, 0, ())}, "witness-close"),
        ({"held": Held(Head(1, sha256(b"")), None, None, 0, (), WITNESS.public)}, "witness-close"),
    ],
    ids=["of another owner", "of a witness that was not closed", "towards another witness"],
)
def test_moving_with_a_close_that_is_not_this_moves_is_refused(changes: dict[str, Any], rule: str) -> None:
    owner = with_a_witness("another close")
    with refused(rule, AuthorityError):
        moved(owner, a_close(owner, OTHER_WITNESS.public, **changes).decode())


def test_moving_with_a_close_that_the_old_witness_did_not_sign_is_refused() -> None:
    owner = with_a_witness("forged close")
    genuine = dsse.peek(a_close(owner, OTHER_WITNESS.public), ANSWER_TYPE).payload
    for signer in (OTHER_WITNESS, THIEF, owner.control):
        with refused("witness-signature", AuthorityError):
            moved(owner, dsse.sign(ANSWER_TYPE, genuine, signer).decode())
    with refused("malformed", FormatError):
        moved(owner, "closed")


def test_a_log_without_a_witness_has_no_pseudonym() -> None:
    with refused("witness-missing"):
        ANNA.state.pseudonym()


# -- log-grant ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "changes",
    [
        {"not_before_ms": NOW_MS, "until_ms": NOW_MS},
        {"not_before_ms": NOW_MS + 1, "until_ms": NOW_MS},
        {"to_ms": NOW_MS},
        {"from_ms": NOW_MS + 1000},
        {"streams": {}},
        {"streams": None},
        {"parameters": None},
        {"streams": {"location": ()}},
        {"streams": {"location": ("ts_ms",), "battery": ()}},
        {"streams": {"location": ("ts_ms", "lat_e7")}},  # not in its one form
        {"until_ms": None},
        {"last_ms": 0},
        {"algorithm": None},
        {"rows": 5},
        {"store_as": "location"},
        {"store_as": " "},
    ],
    ids=str,
)
def test_a_grant_of_no_time_or_no_columns_is_refused(changes: dict[str, Any]) -> None:
    with refused("log-grant", AuthorityError):
        graft(ANNA, ANNA.entry(a_grant(**changes), ANNA.device))


@pytest.mark.parametrize("runs", [0, -1, 100_001])
def test_a_grant_of_no_runs_or_too_many_is_refused(runs: int) -> None:
    with refused("malformed", FormatError):
        graft(ANNA, ANNA.entry(a_grant(runs=runs), ANNA.device))


# -- resumes -----------------------------------------------------------------------------------------------------------


def test_a_resume_uses_up_every_grant_before_it_and_none_after_it() -> None:
    owner, number = granting("resumed")
    owner.add(a_grant())
    owner.add(an_approval())
    owner.add(Withdrawn(number))
    state = owner.add(Resumed(None, None), owner.device)
    assert (state.grants, list(state.approvals), state.resumed) == ({}, [number + 2], (number + 4,))
    assert state.ended == {
        number: Ended("grant-withdrawn", number + 3),
        number + 1: Ended("grant-used-up", number + 4),
    }
    assert list(owner.add(a_grant()).grants) == [number + 5]


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


def test_a_thief_who_fills_the_log_locks_nobody_out() -> None:
    """The bounds count from the last rotation on, however full the log was."""
    owner = an_owner("filled")
    state = owner.state
    for number in range(63):
        owner.envelopes.append(owner.entry(DeviceAdded(key(f"thief {number}").public, "of a thief")))
        state = ownerlog.fold(state, owner.envelopes[-1:])
    with refused("log-limit", AuthorityError):
        ownerlog.fold(state, [owner.entry(DeviceAdded(key("mine").public, "mine"))])
    owner.rotate(7)
    mine = owner.entry(DeviceAdded(key("mine").public, "mine"))
    assert list(ownerlog.fold(owner.state, [mine]).devices) == [key("mine").public]
    owner.envelopes.append(mine)
    folded(owner, owner.envelopes)  # and all at once
    assert list(owner.state.devices) == [key("mine").public]


def test_more_than_16_rotations_are_refused() -> None:
    owner = born("many rotations")
    for _ in range(16):
        owner.add(a_grant())
        owner.rotate(len(owner.envelopes) - 1)
    assert len(owner.state.rotations) == 16
    with refused("log-limit", AuthorityError):
        owner.rotate()


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


def test_an_entry_whose_signature_is_of_other_bytes_is_refused() -> None:
    envelope = msgspec.json.decode(ANNA.entry(an_approval(), ANNA.device))
    other = msgspec.json.decode(ANNA.entry(an_approval(name="another"), ANNA.device))
    envelope["payload"] = other["payload"]
    with refused("signature-invalid", AuthorityError):
        graft(ANNA, encode_json(envelope))


@pytest.mark.parametrize(
    "respell",
    [
        lambda e: msgspec.json.format(e, indent=1),
        lambda e: e + b"\n",
        lambda e: b" " + e,
        lambda e: e.replace(b'"payloadType":"', b'"payloadType":"\\u0061', 1).replace(b"\\u0061a", b"\\u0061", 1),
        lambda e: e.replace(b'{"payload":', b'{"payload":"","payload":', 1),
        lambda e: encode_json(dict(reversed(msgspec.json.decode(e).items()))),
    ],
    ids=["indented", "line end", "space", "escape", "a key twice", "another order"],
)
def test_statement_spelling_other_than_the_signers_is_refused(respell: Callable[[bytes], bytes]) -> None:
    """The same statement under the same signature, but not the bytes that a chain's digests cover."""
    genuine = ANNA.entry(an_approval(), ANNA.device)
    graft(ANNA, genuine)
    with refused("statement-spelling", AuthorityError):
        graft(ANNA, respell(genuine))


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
