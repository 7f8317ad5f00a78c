"""A rotation of the authority, which only the owner's paper makes: it undoes whatever a thief did since a number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.authority.entries import (
    BITS,
    OTHER_WITNESS,
    RECIPIENT,
    WITNESS,
    a_close,
    a_debit,
    a_grant,
    a_run,
    an_outcome,
)
from tests.unit.builders import Owner, a_line, a_record, an_approval, an_owner, born, control_salt, key, refused
from waykeep.authority import controls, dsse, journal, ownerlog
from waykeep.authority.journalstate import EMPTY, JournalState
from waykeep.authority.keys import SigningKey
from waykeep.authority.ownerstate import FOREVER, Ended, Named, OwnerState
from waykeep.authority.permissions import Lifted, Withdrawn, Withheld
from waykeep.authority.records import Detail, SegmentsAccepted
from waykeep.authority.statements import (
    ROTATION_TYPE,
    WAIVER,
    Body,
    DeviceAdded,
    EpochOpened,
    KeyRevoked,
    NodeApproved,
    NodeWithdrawn,
    RecipientsNamed,
    Resumed,
    Rotation,
    StateKeyNamed,
    StateKeyRetired,
    WitnessWaived,
    WriterAdded,
)
from waykeep.errors import AuthorityError, WaykeepError
from waykeep.formats.ids import sha256
from waykeep.formats.messages import Head
from waykeep.formats.wire import encode_json

THIEF, THIEFS_PHONE, THIEFS_STATE = key("thief"), key("thief's phone"), key("thief's state key")
IN_FORCE = ("writers", "wrote", "nodes", "epochs", "approvals", "witness", "waived", "recipients")
"""What a rotation with ``void_from`` leaves as it was before that entry."""


def _before() -> Owner:
    owner = an_owner("robbed")
    for body in (owner.witness(WITNESS), NodeApproved(RECIPIENT, "a node"), an_approval(), a_grant()):
        owner.add(body)
    return owner


HONEST = _before()


def before_the_theft() -> Owner:
    """Entries 7 to 10: a witness, a node, an approval and a grant."""
    return HONEST.again()


THEFT = 11
"""The number of the thief's first entry."""


def the_thief(owner: Owner) -> list[tuple[Body, SigningKey]]:
    """All that a thief of the authority and of a device does, and who signs it."""
    recipients = RecipientsNamed(RECIPIENT, RECIPIENT)
    return [
        (DeviceAdded(THIEF.public, "new laptop"), owner.authority),
        (Withdrawn(9), THIEF),
        (Withdrawn(10), THIEF),
        (StateKeyRetired(owner.state_key.public), THIEF),
        (NodeWithdrawn(RECIPIENT), THIEF),
        (KeyRevoked(owner.device.public), owner.authority),
        (KeyRevoked(owner.phone.public), owner.authority),
        (WriterAdded(THIEFS_PHONE.public, "new phone", "signed"), owner.authority),
        (recipients, owner.authority),
        (EpochOpened(2, sha256(b"the thief's"), RECIPIENT), owner.authority),
        (a_grant(holder=THIEF.public), THIEF),
        (an_approval(store_as=""), THIEF),
        (StateKeyNamed(THIEFS_STATE.public), THIEF),
        (owner.witness(OTHER_WITNESS, a_close(owner, OTHER_WITNESS.public).decode()), owner.authority),
        (Resumed(None, None), THIEF),
        (WitnessWaived(WAIVER), owner.authority),
    ]


def robbed() -> Owner:
    owner = before_the_theft()
    for body, signer in the_thief(owner):
        owner.add(body, signer)
    return owner


def in_force(state: OwnerState) -> tuple[object, ...]:
    return tuple(getattr(state, name) for name in IN_FORCE)


# -- what it undoes ----------------------------------------------------------------------------------------------------


def test_a_rotation_undoes_all_that_the_thief_did() -> None:
    owner = robbed()
    honest, stolen = before_the_theft().state, owner.state
    assert in_force(stolen) != in_force(honest)
    state = owner.rotate(THEFT)
    assert in_force(state) == in_force(honest)
    assert state.devices == {}
    assert state.authority == owner.turned("authority", 1).public
    assert (state.rotated, len(state.rotations)) == (len(owner.envelopes) - 1, 1)
    # An entry without effect keeps its place: the chain goes on from it.
    assert len(state.entries) == len(owner.envelopes) - 1


def test_grants_from_before_are_used_up_and_those_of_the_thief_void() -> None:
    """Records may be lost, and a witness of the thief's signs anything: what was spent meanwhile is not known."""
    state = (owner := robbed()).rotate(THEFT)
    number = state.rotated
    assert state.grants == {}
    assert state.ended == {
        10: Ended("grant-used-up", number),
        21: Ended("grant-void", number),
        22: Ended("grant-void", number),
    }
    with refused("log-unknown"):
        owner.add(Withdrawn(21))


def test_no_epoch_number_is_used_again() -> None:
    """Writers may have encrypted to the thief's epoch of that number."""
    owner = robbed()
    assert owner.rotate(THEFT).last_epoch == 2
    with refused("log-epoch"):
        ownerlog.fold(owner.state, [owner.entry(EpochOpened(2, sha256(b"mine"), RECIPIENT))])
    assert set(owner.add(EpochOpened(3, sha256(b"mine"), RECIPIENT)).epochs) == {1, 3}


def test_no_state_key_is_left_and_those_of_the_thief_are_void() -> None:
    owner = robbed()
    state = owner.rotate(THEFT)
    named, retired = THEFT + 12, THEFT + 3
    assert state.state_keys == {
        owner.state_key.public: Named(6, retired),
        THIEFS_STATE.public: Named(named, state.rotated, void=True),
    }
    assert not any(state.signs_now(k) for k in state.state_keys)
    new = key("robbed/new state key")
    assert owner.add(StateKeyNamed(new.public)).signs_now(new.public)


def test_a_state_key_from_before_ends_with_the_rotation_and_is_not_void() -> None:
    owner = before_the_theft()
    state = owner.rotate(THEFT - 1)
    assert state.state_keys == {owner.state_key.public: Named(6, state.rotated)}


def test_resumes_are_counted_also_where_they_have_no_effect() -> None:
    """The witness counts them, and takes none back."""
    assert robbed().rotate(THEFT).resumed == (THEFT + 14,)


@pytest.mark.parametrize(
    "made",
    [
        lambda o: DeviceAdded(o.device.public, "again"),
        lambda o: StateKeyNamed(THIEFS_STATE.public),
        lambda o: DeviceAdded(o.turned("authority", 0).public, "the old authority"),
        lambda o: DeviceAdded(o.turned("authority", 1).public, "the new authority"),
    ],
    ids=["owner's device", "state key", "old authority", "new authority"],
)
def test_keys_from_before_are_not_added_again(made: Callable[[Owner], Body]) -> None:
    owner = robbed()
    owner.rotate(THEFT)
    with refused("log-repeat"):
        owner.add(made(owner))


def test_a_writer_whose_entry_is_void_is_added_anew_and_what_it_wrote_counts() -> None:
    """It may be the owner's own phone, which was added after the theft."""
    owner = robbed()
    owner.rotate(THEFT)
    assert THIEFS_PHONE.public not in owner.state.wrote
    assert THIEFS_PHONE.public in owner.add(WriterAdded(THIEFS_PHONE.public, "my phone", "signed")).wrote


def test_nobody_from_before_signs_any_more() -> None:
    owner = robbed()
    owner.rotate(THEFT)
    for signer in (owner.turned("authority", 0), owner.device, THIEF, owner.turned("authority", 2)):
        for body in (an_approval(), DeviceAdded(key("one more").public, "one more"), Resumed(None, None)):
            with refused("log-signer", AuthorityError):
                ownerlog.fold(owner.state, [owner.entry(body, signer)])


def test_a_rotation_that_voids_nothing_leaves_all_but_devices_state_keys_and_grants() -> None:
    """A planned one, with the owner's own devices at hand."""
    owner = before_the_theft()
    before, state = owner.state, owner.rotate()
    assert in_force(state) == in_force(before)
    assert (state.grants, state.devices) == ({}, {})
    assert state.ended == {10: Ended("grant-used-up", state.rotated)}
    assert state.state_keys == {owner.state_key.public: Named(6, state.rotated)}


def test_the_revocation_of_a_device_uses_up_every_grant_and_that_of_a_writer_none() -> None:
    """A device knows the control key, and so could have had the witness hold another journal."""
    owner = before_the_theft()
    owner.add(KeyRevoked(next(iter(owner.state.writers))), owner.authority)
    assert 10 in owner.state.grants
    state = owner.add(KeyRevoked(owner.device.public), owner.authority)
    assert (state.grants, state.ended) == ({}, {10: Ended("grant-used-up", state.head.number)})


def test_the_revocation_of_a_device_retires_every_state_key_however_many_a_thief_named() -> None:
    owner = before_the_theft()
    for at in range(20):
        owner.add(StateKeyNamed(key(f"thief's {at}").public))
    state = owner.add(KeyRevoked(owner.device.public), owner.authority)
    assert not any(state.signs_now(k) for k in state.state_keys)
    assert owner.add(StateKeyNamed(key("the new one").public), owner.authority).signs_now(key("the new one").public)


def test_a_node_that_is_withdrawn_takes_every_state_key_with_it() -> None:
    """It holds one in a sealed state."""
    state = before_the_theft().add(NodeWithdrawn(RECIPIENT))
    assert not any(state.signs_now(k) for k in state.state_keys)


# -- again and again ---------------------------------------------------------------------------------------------------


def test_a_second_rotation_undoes_what_came_after_the_first() -> None:
    owner = robbed()
    owner.rotate(THEFT)
    owner.add(DeviceAdded(key("mine").public, "mine"))
    first = owner.add(a_grant(runs=5))
    second_theft = len(owner.envelopes)
    owner.add(WriterAdded(key("another thief").public, "of a thief", "signed"))
    owner.add(a_grant(runs=100))
    owner.add(EpochOpened(3, sha256(b"of a thief"), RECIPIENT))
    state = owner.rotate(second_theft)
    assert in_force(state) == in_force(first)
    assert (state.last_epoch, state.grants, state.devices) == (3, {}, {})
    assert state.ended[first.head.number] == Ended("grant-used-up", state.rotated)
    assert state.ended[second_theft + 1] == Ended("grant-void", state.rotated)
    # What the first one made void stays void, and what it ended stays ended as it was.
    assert state.state_keys[THIEFS_STATE.public].void
    assert state.ended | first.ended == state.ended


def test_a_rotation_cannot_void_entries_before_the_last_one() -> None:
    """Or it would bring back what the last one undid."""
    owner = robbed()
    at = owner.rotate(THEFT).rotated
    owner.add(an_approval())
    for void_from in (1, THEFT, at):
        with refused("log-rotation", AuthorityError):
            owner.rotate(void_from)
    assert owner.rotate(at + 1).rotated == at + 2


@pytest.mark.parametrize("void_from", [0, 12, 13, 99])
def test_a_rotation_voids_entries_of_this_log_only(void_from: int) -> None:
    """Not the inception, and nothing that is to come."""
    owner = before_the_theft()
    with refused("log-rotation", AuthorityError):
        owner.rotate(void_from)


def test_a_rotation_that_names_its_own_number_voids_nothing() -> None:
    one, other = before_the_theft(), before_the_theft()
    assert in_force(one.rotate(THEFT)) == in_force(other.rotate())
    assert one.state.ended == other.state.ended != {}


def test_sixteen_rotations_are_folded_as_fast_as_they_were_made() -> None:
    """Each undoes something; none is folded again for the next one."""
    owner = born("often")
    for turn in range(16):
        owner.add(an_approval(name=f"kept {turn}"))
        owner.add(an_approval(name=f"void {turn}"))
        owner.rotate(len(owner.envelopes) - 1)
        base = owner.state.base
        assert base is not None and (base.entries, base.base) == ((), None)
    assert [a.name for a in owner.state.approvals.values()] == [f"kept {turn}" for turn in range(16)]


# -- by whom -----------------------------------------------------------------------------------------------------------


def a_rotation(owner: Owner, signer: SigningKey | None = None, /, **changes: Any) -> bytes:
    """The envelope of the public statement of the next rotation, by another signer or with another content."""
    opened = dsse.peek(owner.rotation(), ROTATION_TYPE)
    said = msgspec.structs.replace(msgspec.json.decode(opened.payload, type=Rotation), **changes)
    return dsse.sign(ROTATION_TYPE, encode_json(said), signer or owner.turned("authority", owner.turns + 1))


def rotating(owner: Owner, signer: SigningKey | None = None, **changes: Any) -> OwnerState:
    return ownerlog.fold(
        owner.state, [owner.entry(owner.rotated(**changes), signer or owner.turned("authority", owner.turns + 1))]
    )


@pytest.mark.parametrize("signer", ["authority", "device", "thief", "control", "next but one"])
def test_a_rotation_entry_by_another_key_than_the_next_is_refused(signer: str) -> None:
    owner = before_the_theft()
    keys = {
        "authority": owner.authority,
        "device": owner.device,
        "thief": THIEF,
        "control": owner.turned("control", 1),
        "next but one": owner.turned("authority", 2),
    }
    with refused("log-rotation", AuthorityError):
        rotating(owner, keys[signer])


@pytest.mark.parametrize(
    ("signer", "changes"),
    [
        (THIEF, {}),
        (THIEF, {"authority": THIEF.public}),
        (None, {"authority": THIEF.public}),
        (None, {"number": 2}),
        (None, {"number": 0}),
        (None, {"owner": an_owner("bert").id}),
    ],
    ids=["signed by a thief", "the thief's", "names the thief", "too far", "none", "of another owner"],
)
def test_a_public_rotation_that_the_paper_did_not_make_is_refused(
    signer: SigningKey | None, changes: dict[str, Any]
) -> None:
    owner = before_the_theft()
    forged = a_rotation(owner, signer, **changes)
    for by in (THIEF, owner.turned("authority", 1)):
        with refused("log-rotation", AuthorityError):
            rotating(owner, by, rotation=forged.decode())
    with refused("log-rotation", AuthorityError):
        ownerlog.authority(owner.id, owner.inception, [forged.decode()])


@pytest.mark.parametrize(
    ("control", "salt"),
    [
        (THIEF, control_salt(1)),
        (before_the_theft().turned("control", 1), control_salt(0)),
        (before_the_theft().turned("control", 0), control_salt(0)),
        (before_the_theft().turned("control", 2), control_salt(2)),
    ],
    ids=["another key", "another salt", "the old key", "the next but one"],
)
def test_a_control_key_that_does_not_open_the_commitment_is_refused(control: SigningKey, salt: bytes) -> None:
    turned = controls.rotation(control, salt, before_the_theft().commitment(2))
    with refused("log-rotation", AuthorityError):
        rotating(before_the_theft(), control=turned)


def test_the_rotation_of_before_does_not_pass_again() -> None:
    owner = before_the_theft()
    body, signer = owner.rotated(), owner.turned("authority", 1)
    owner.rotate()
    with refused("log-rotation", AuthorityError):
        ownerlog.fold(owner.state, [owner.entry(body, signer)])


def test_public_rotations_lead_to_the_same_authority_as_the_log() -> None:
    owner = before_the_theft()
    for turn in range(3):
        found = ownerlog.authorities(owner.id, owner.inception, owner.state.rotations)
        assert found == tuple(owner.turned("authority", n).public for n in range(turn + 1))
        assert ownerlog.authority(owner.id, owner.inception, owner.state.rotations) == owner.state.authority
        owner.rotate()


@pytest.mark.parametrize("change", [lambda r: r[1:], lambda r: r[::-1], lambda r: (*r, r[-1])])
def test_public_rotations_out_of_order_are_refused(change: Callable[[tuple[str, ...]], tuple[str, ...]]) -> None:
    owner = born("in order")
    owner.rotate()
    owner.rotate()
    with refused("log-rotation", AuthorityError):
        ownerlog.authority(owner.id, owner.inception, change(owner.state.rotations))


# -- the journal after it ----------------------------------------------------------------------------------------------


class Chain:
    """A journal that is written while the owner log goes on."""

    def __init__(self, owner: Owner) -> None:
        self.owner, self.state = owner, EMPTY
        self.items: list[Any] = []

    def add(self, detail: Detail, signer: SigningKey | None = None) -> JournalState:
        item = a_record(self.owner, self.state, detail, signer)
        self.state = journal.fold(self.state, self.owner.state, [item])
        self.items.append(item)
        return self.state

    def again(self) -> JournalState:
        return journal.fold(EMPTY, self.owner.state, self.items)


def accepted(name: str) -> SegmentsAccepted:
    return SegmentsAccepted((a_line(name),))


def test_a_record_by_a_void_state_key_has_its_place_and_no_effect() -> None:
    owner = before_the_theft()
    chain = Chain(owner)
    chain.add(accepted("mine.age"))
    owner.add(StateKeyNamed(THIEFS_STATE.public), owner.device)
    chain.add(accepted("thiefs.age"), THIEFS_STATE)
    chain.add(a_debit(10, read_to=chain.state.head), THIEFS_STATE)
    chain.add(a_run(), THIEFS_STATE)
    last = chain.add(accepted("also mine.age"), owner.state_key)
    owner.rotate(THEFT)
    state = chain.again()
    assert (state.head, state.quoted) == (last.head, last.quoted)
    assert (list(state.segments), state.runs, state.debits, state.used) == (["mine.age", "also mine.age"], {}, {}, {})
    assert {n: state.digest_at(n) for n in range(5)} == {n: last.digest_at(n) for n in range(5)}


def test_what_a_void_state_key_wrote_is_not_judged() -> None:
    """Nothing that the thief wrote keeps the owner from reading on."""
    owner = before_the_theft()
    owner.add(StateKeyNamed(THIEFS_STATE.public), owner.device)
    bad = a_record(owner, EMPTY, a_debit(1), THIEFS_STATE)
    with refused("journal-debit"):
        journal.fold(EMPTY, owner.state, [bad])
    owner.rotate(THEFT)
    assert journal.fold(EMPTY, owner.state, [bad]).debits == {}


def test_the_outcome_of_a_debit_that_became_void_does_not_break_the_journal() -> None:
    """The debit is by the thief's state key, its outcome by the owner's own, which found it in the journal: both were
    in order then. A thief could else leave a journal that nobody can fold after the rotation."""
    owner = before_the_theft()
    owner.add(StateKeyNamed(THIEFS_STATE.public), owner.device)
    chain = Chain(owner)
    chain.add(a_debit(10), THIEFS_STATE)
    chain.add(an_outcome(), owner.state_key)
    chain.add(accepted("mine.age"), owner.state_key)
    owner.rotate(THEFT)
    state = chain.again()
    assert (state.head, list(state.segments)) == (chain.state.head, ["mine.age"])
    assert (state.debits, state.outcomes) == ({}, {})


def test_debits_that_were_in_order_stay_so_after_a_rotation() -> None:
    """Of a grant that the rotation used up, of one that it made void, and of one that the thief withdrew."""
    owner = before_the_theft()
    chain = Chain(owner)
    chain.add(a_debit(10, "one"))
    owner.add(a_grant(), owner.device)
    chain.add(a_debit(THEFT, "two", read_to=chain.state.head))
    owner.add(Withdrawn(10), owner.device)
    owner.rotate(THEFT)
    assert chain.again().used == {owner.state.digest_at(number): (1, BITS) for number in (10, THEFT)}
    for number in (10, THEFT):
        owner.add(StateKeyNamed(key(f"robbed/{number}").public))
        with refused("journal-debit"):
            chain.add(a_debit(number, "late", read_to=chain.state.head), key(f"robbed/{number}"))


def test_a_record_that_quotes_the_rotation_is_not_taken_from_a_key_of_before() -> None:
    owner = before_the_theft()
    before = owner.state.head
    after = owner.rotate()
    with refused("journal-signer"):
        journal.fold(EMPTY, after, [a_record(owner, EMPTY, a_run())])
    assert journal.fold(EMPTY, after, [a_record(owner, EMPTY, a_run(), owner_head=before)]).runs


# -- any thief ---------------------------------------------------------------------------------------------------------

MOVES = st.lists(st.tuples(st.integers(0, 15), st.integers(0, 2)), max_size=25)


def a_move(owner: Owner, at: int, what: int) -> tuple[Body, SigningKey]:
    """One of the thief's moves, with keys that are new."""
    new = key(f"thief {at}")
    body, signer = the_thief(owner)[what]
    if isinstance(body, DeviceAdded | WriterAdded | StateKeyNamed):
        body = msgspec.structs.replace(body, key=new.public)
    if isinstance(body, EpochOpened):
        body = msgspec.structs.replace(body, number=owner.state.last_epoch + 1)
    return body, owner.authority if signer is THIEF else signer


@settings(max_examples=60, deadline=None)
@given(MOVES, st.data())
def test_whatever_a_thief_does_a_rotation_leaves_what_was_in_force_before(
    moves: list[tuple[int, int]], data: st.DataObject
) -> None:
    owner = before_the_theft()
    robbed_again = data.draw(st.booleans())
    if robbed_again:
        owner.add(DeviceAdded(key("between").public, "between"))
        owner.rotate(THEFT)
        owner.add(a_grant())
    honest, theft = owner.state, len(owner.envelopes)
    for at, (what, _) in enumerate(moves):
        envelope = owner.entry(*a_move(owner, at, what))
        try:
            ownerlog.fold(owner.state, [envelope])
        except WaykeepError:
            continue  # the log refuses it, so it lies in no log
        owner.envelopes.append(envelope)
    stolen = owner.state
    state = owner.rotate(theft)
    assert in_force(state) == in_force(honest)
    assert (state.devices, state.last_epoch, state.resumed) == ({}, stolen.last_epoch, stolen.resumed)
    assert not any(state.signs_now(k) for k in state.state_keys)
    assert {k for k, life in state.state_keys.items() if life.void} == set(stolen.state_keys) - set(honest.state_keys)
    assert set(state.state_keys) == set(stolen.state_keys)
    assert state.known >= honest.known | set(state.state_keys)
    assert state.grants == {}
    if len(owner.envelopes) - 1 > theft:
        assert set(state.ended) >= set(honest.grants) | {n for n in (*stolen.grants, *stolen.approvals) if n >= theft}
    assert state.entries[: theft - 1] == honest.entries
    assert FOREVER not in {life.until for life in state.state_keys.values()}
    assert state.holds(Head(theft - 1, honest.head.digest))


def test_what_was_withheld_stays_so_after_a_rotation_also_what_it_makes_void() -> None:
    """Whoever wants it back lifts it; nothing is given because a paper was used."""
    owner = an_owner("withholding")
    kept = owner.add(Withheld(1, 2, None, ""), owner.device).head.number
    lifted = owner.add(Withheld(3, 4, None, ""), owner.device).head.number
    theft = owner.add(Lifted(lifted), owner.device).head.number
    void = owner.add(Withheld(5, 6, None, ""), owner.device).head.number
    owner.rotate(theft)
    assert set(owner.state.withheld) == {kept, lifted, void}
    owner.add(Lifted(void))
    assert set(owner.state.withheld) == {kept, lifted}
