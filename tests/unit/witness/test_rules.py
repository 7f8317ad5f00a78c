"""Every rule by which a witness compares and swaps: what each action does, what refuses it, what is a retry."""

from __future__ import annotations

import msgspec
import pytest

from tests.unit.builders import key, refused
from tests.unit.witness.asking import (
    ADVANCE_EPOCH,
    ADVANCE_JOURNAL,
    ADVANCE_OWNER,
    AFTER,
    AFTER_CONTROL,
    ALL,
    BY_CONTROL,
    CLOSE,
    CLOSED,
    CONTROL,
    NAME,
    NEXT,
    NEXT_CONTROL,
    OTHER,
    REGISTER,
    RESUME,
    RETIRE,
    ROTATE,
    SALT,
    STATE,
    TO_NEXT,
    after,
    asked,
    head,
    row,
    signer_of,
)
from waykeep.authority import controls, dsse
from waykeep.authority.keys import SigningKey, commitment
from waykeep.authority.witnessing import (
    MAX_STATE_KEYS,
    Action,
    AdvanceEpoch,
    AdvanceJournal,
    AdvanceOwner,
    Close,
    NameStateKey,
    ReplaceControl,
    RetireStateKeys,
    Rotate,
)
from waykeep.errors import WaykeepError, WitnessError
from waykeep.formats.ids import PublicKey, b64
from waykeep.formats.wire import encode_json
from waykeep.witness.row import Row
from waykeep.witness.rules import MAX_KEYS, decide

replace = msgspec.structs.replace


def kind(action: object) -> str:
    return type(action).__name__


# -- what is done ------------------------------------------------------------------------------------------------------


def test_a_registration_holds_what_it_says() -> None:
    assert after(None, REGISTER) == row()


@pytest.mark.parametrize(
    ("action", "changes"),
    [
        (ADVANCE_OWNER, {"owner": head(4)}),
        (AdvanceOwner(head(3), head(30)), {"owner": head(30)}),
        (ADVANCE_EPOCH, {"epoch": head(2)}),
        (ADVANCE_JOURNAL, {"journal": head(6)}),
        (RESUME, {"journal": head(2), "owner": head(4), "resumes": 1}),
        (replace(RESUME, head=None), {"journal": None, "owner": head(4), "resumes": 1}),
        (replace(RESUME, head=head(9, "fork")), {"journal": head(9, "fork"), "owner": head(4), "resumes": 1}),
        (CLOSE, {"successor": OTHER.public}),
    ],
    ids=lambda value: kind(value) if isinstance(value, msgspec.Struct) else "",
)
def test_an_action_changes_this_and_nothing_else(action: Action, changes: dict[str, object]) -> None:
    assert after(row(), action, signer_of(action)) == row(**changes)


@pytest.mark.parametrize("action", [AdvanceEpoch(None, head(0)), AdvanceJournal(None, head(0), head(3))], ids=kind)
def test_the_first_of_its_kind_extends_nothing(action: Action) -> None:
    made = after(row(epoch=None, journal=None), action, signer_of(action)).held
    assert head(0) in (made.epoch, made.journal)


def test_naming_keeps_keys_in_order() -> None:
    held = row()
    for name in ("a", "b", "c"):
        held = after(held, NameStateKey(key(name).public))
    assert list(held.held.state_keys) == sorted(key(name).public for name in ("a", "b", "c", "state"))


def test_retiring_takes_named_keys_and_such_as_never_were() -> None:
    assert after(row(), RetireStateKeys((STATE.public, OTHER.public))) == replace(
        row(state_keys=()), retired=frozenset((STATE.public, OTHER.public))
    )


@pytest.mark.parametrize("held", [row(), CLOSED], ids=["open", "closed"])
def test_a_rotation_takes_effect_whatever_is_held(held: Row) -> None:
    made = after(held, ROTATE, NEXT)
    assert made == Row(
        NEXT.public,
        AFTER_CONTROL,
        row(owner=head(4, "rotated"), epoch=head(2), state_keys=()).held,
        frozenset((STATE.public,)),
    )
    assert after(held, replace(ROTATE, epoch=None), NEXT).held.epoch == head(1)


# -- who may -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", [action for action in ALL if action is not REGISTER], ids=kind)
def test_witness_unknown(action: Action) -> None:
    with refused("witness-unknown"):
        after(None, action, signer_of(action))


@pytest.mark.parametrize("signer", [STATE, NEXT, OTHER], ids=["state", "next", "stranger"])
@pytest.mark.parametrize("action", BY_CONTROL, ids=kind)
def test_witness_signer_of_what_is_the_control_keys(action: Action, signer: SigningKey) -> None:
    for held in (row(), CLOSED):
        with refused("witness-signer"):
            after(held, action, signer)


def test_witness_signer_of_an_advance_of_the_journal_by_the_control_key() -> None:
    with refused("witness-signer"):
        after(row(), ADVANCE_JOURNAL, CONTROL)


@pytest.mark.parametrize("signer", [STATE, CONTROL, OTHER], ids=["state", "control", "stranger"])
def test_witness_signer_of_a_rotation(signer: SigningKey) -> None:
    with refused("witness-signer"):
        after(row(), ROTATE, signer)


def test_witness_signer_of_a_registration() -> None:
    with refused("witness-signer"):
        after(None, REGISTER, OTHER)


def test_witness_pseudonym() -> None:
    with refused("witness-pseudonym"):
        after(None, replace(REGISTER, control=OTHER.public), OTHER)


def test_witness_state_key_of_an_advance() -> None:
    retired = after(row(), RETIRE)
    for held, signer in ((row(), OTHER), (retired, STATE), (row(state_keys=()), STATE)):
        with refused("witness-state-key"):
            after(held, ADVANCE_JOURNAL, signer)


def test_witness_state_key_of_a_key_that_may_not_be_named() -> None:
    never_named = after(row(), RetireStateKeys((OTHER.public,)))
    for held, name in ((after(row(), RETIRE), STATE), (never_named, OTHER), (row(), CONTROL)):
        with refused("witness-state-key"):
            after(held, NameStateKey(name.public))
    with refused("witness-state-key"):
        rotated = after(row(), ROTATE, NEXT)
        decide(rotated, asked(NameStateKey(STATE.public)), NEXT.public)


# -- compare and swap --------------------------------------------------------------------------------------------------

EXTENDING = (ADVANCE_OWNER, ADVANCE_EPOCH, ADVANCE_JOURNAL)


@pytest.mark.parametrize("action", EXTENDING, ids=kind)
def test_witness_head(action: AdvanceOwner | AdvanceEpoch | AdvanceJournal) -> None:
    assert action.extends is not None
    number = action.extends.number
    wrong = {"behind": head(number - 1), "beside": head(number, "fork"), "ahead": head(number + 1)}
    for where, extends in wrong.items():
        with pytest.raises(WitnessError, match=where) as caught:
            after(row(), replace(action, extends=extends, head=head(number + 40)), signer_of(action))
        assert caught.value.rule == "witness-head"


@pytest.mark.parametrize("action", [ADVANCE_EPOCH, ADVANCE_JOURNAL], ids=kind)
def test_witness_head_that_extends_nothing(action: AdvanceEpoch | AdvanceJournal) -> None:
    with pytest.raises(WitnessError, match="none, which is behind"):
        after(row(), replace(action, extends=None), signer_of(action))


@pytest.mark.parametrize("action", EXTENDING, ids=kind)
def test_witness_not_forward(action: AdvanceOwner | AdvanceEpoch | AdvanceJournal) -> None:
    assert action.extends is not None
    for number in (action.extends.number, action.extends.number - 1):
        with refused("witness-not-forward"):
            after(row(), replace(action, head=head(number, "other")), signer_of(action))


def test_witness_owner_head() -> None:
    for quoted in (head(2), head(4), head(3, "fork")):
        with refused("witness-owner-head"):
            after(row(), replace(ADVANCE_JOURNAL, owner_head=quoted), STATE)


def test_witness_owner_head_of_a_retry_after_a_revocation() -> None:
    revoked = after(after(row(), ADVANCE_JOURNAL, STATE), ADVANCE_OWNER)
    with refused("witness-owner-head"):
        after(revoked, ADVANCE_JOURNAL, STATE)


@pytest.mark.parametrize(
    "wrong",
    [
        {"replaces": head(5, "fork")},
        {"replaces": head(4)},
        {"replaces": None},
        {"resumes": 0},
        {"resumes": 2},
    ],
    ids=str,
)
def test_witness_resume(wrong: dict[str, object]) -> None:
    with refused("witness-resume"):
        after(row(), replace(RESUME, **wrong))


def test_a_resume_moves_the_owner_head_by_the_same_rules() -> None:
    with refused("witness-head"):
        after(row(), replace(RESUME, owner_extends=head(2)))
    with refused("witness-not-forward"):
        after(row(), replace(RESUME, owner_head=head(3, "other")))
    with refused("witness-not-forward"):  # its owner entry is new: the head that is held is none
        after(row(), replace(RESUME, owner_head=head(3)))


def test_witness_resume_that_was_done_and_gone_on_from() -> None:
    moved = after(after(row(), RESUME), AdvanceJournal(head(2), head(3, "new"), head(4)), STATE)
    with refused("witness-resume"):
        after(moved, RESUME)


AFTER_THAT = commitment(SALT, OTHER.public)
TO_AFTER = controls.rotation(AFTER, SALT, AFTER_THAT)


def to_next(**changes: object) -> str:
    """The rotation to `NEXT`, by itself, with something changed."""
    said = replace(controls.open_(TO_NEXT), **changes)
    return dsse.sign(controls.CONTROL_ROTATION_TYPE, encode_json(said), NEXT).decode()


def rotate(*rotations: str) -> Rotate:
    return replace(ROTATE, rotations=rotations)


@pytest.mark.parametrize(
    "rotation",
    [
        to_next(salt=b64(bytes(15) + b"\1")),
        to_next(next_control=NEXT_CONTROL),
        to_next(salt="A"),
        to_next(next_control="x" * 71),
        to_next(control=OTHER.public),
        TO_NEXT + " ",
        "",
    ],
    ids=["salt", "same next", "no salt", "no digest", "signed by another", "spelling", "none"],
)
def test_witness_rotate(rotation: str) -> None:
    with refused("witness-rotate"):
        after(row(), rotate(rotation), NEXT)


def test_witness_rotate_to_a_key_that_nobody_committed_to() -> None:
    with refused("witness-rotate"):
        after(row(), rotate(controls.rotation(OTHER, SALT, AFTER_CONTROL)), OTHER)


def test_witness_rotate_to_the_same_key() -> None:
    same = replace(row(), next_control=commitment(SALT, CONTROL.public))
    with refused("witness-rotate"):
        after(same, rotate(controls.rotation(CONTROL, SALT, AFTER_CONTROL)), CONTROL)


def test_a_rotation_tells_a_witness_of_those_that_it_missed() -> None:
    """It was down when the paper was used, and that machine was lost: the next paper does not give the key between."""
    missed = rotate(TO_NEXT, TO_AFTER)
    moved = after(row(), missed, AFTER)
    assert (moved.control, moved.next_control) == (AFTER.public, AFTER_THAT)
    assert after(moved, missed, AFTER) is moved
    # One that missed nothing is told the same, and passes over what it knows.
    assert after(after(row(), ROTATE, NEXT), missed, AFTER) == replace(moved, retired=frozenset())


@pytest.mark.parametrize(
    ("rotations", "signer"),
    [
        ((TO_AFTER,), AFTER),
        ((TO_NEXT, TO_NEXT, TO_AFTER), AFTER),
        ((to_next(next_control=AFTER_THAT), TO_AFTER), AFTER),
        ((TO_NEXT, controls.rotation(OTHER, SALT, AFTER_THAT)), OTHER),
        ((controls.rotation(OTHER, SALT, AFTER_CONTROL), TO_AFTER), AFTER),
    ],
    ids=["one left out", "one twice", "another next", "to another", "from another"],
)
def test_witness_rotate_by_rotations_that_do_not_lead_there(rotations: tuple[str, ...], signer: SigningKey) -> None:
    with refused("witness-rotate"):
        after(row(), rotate(*rotations), signer)


def test_witness_signer_of_a_rotation_that_leads_to_another_key() -> None:
    for signer in (NEXT, CONTROL, OTHER):
        with refused("witness-signer"):
            after(row(), rotate(TO_NEXT, TO_AFTER), signer)


@pytest.mark.parametrize(
    "then",
    [
        AdvanceOwner(head(4, "rotated"), head(5)),
        AdvanceEpoch(head(2), head(3)),
        NameStateKey(OTHER.public),
        Close(OTHER.public),
    ],
    ids=kind,
)
def test_witness_rotate_repeated_after_anything_that_it_would_undo(then: Action) -> None:
    moved = after(after(row(), ROTATE, NEXT), then, NEXT)
    with refused("witness-rotate"):
        after(moved, ROTATE, NEXT)


@pytest.mark.parametrize("action", [REGISTER, ADVANCE_JOURNAL, *BY_CONTROL[:-1], Close(AFTER.public)], ids=kind)
def test_witness_closed(action: Action) -> None:
    with refused("witness-closed"):
        after(CLOSED, action, signer_of(action))


def test_a_control_key_that_was_replaced_signs_nothing_more_and_the_paper_rotates_all_the_same() -> None:
    moved = after(row(), ReplaceControl(OTHER.public))
    assert moved == replace(row(), control=OTHER.public)
    assert after(moved, ReplaceControl(OTHER.public), OTHER) is moved
    for action in BY_CONTROL:
        with refused("witness-signer"):
            after(moved, action)
    assert after(moved, ROTATE, NEXT).control == NEXT.public


@pytest.mark.parametrize("signer", [STATE, OTHER, NEXT], ids=lambda signer: signer.public[:6])
def test_witness_signer_of_a_control_key_that_somebody_else_would_replace(signer: SigningKey) -> None:
    with refused("witness-signer"):
        after(row(), ReplaceControl(OTHER.public), signer)


def test_witness_state_key_that_would_become_the_control_key() -> None:
    for held in (row(), after(row(), RETIRE)):
        with refused("witness-state-key"):
            after(held, ReplaceControl(STATE.public))


def test_witness_held() -> None:
    for changes in (
        {"successor": OTHER.public},
        {"state_keys": tuple(sorted((STATE.public, OTHER.public), reverse=True))},
        {"state_keys": (STATE.public, STATE.public)},
        {"state_keys": (CONTROL.public,)},
    ):
        with refused("witness-held"):
            after(None, replace(REGISTER, held=row(**changes).held))


def test_witness_registered() -> None:
    for held in (
        row(journal=head(6)),
        row(owner=head(4)),
        row(state_keys=()),
        after(row(), RetireStateKeys((OTHER.public,))),
    ):
        with refused("witness-registered"):
            after(held, REGISTER)
    with refused("witness-registered"):
        after(row(), replace(REGISTER, next_control=AFTER_CONTROL))


# -- limits ------------------------------------------------------------------------------------------------------------


def many(count: int, name: str) -> tuple[PublicKey, ...]:
    return tuple(sorted(PublicKey(b64(f"{name}{number}".encode().ljust(32))) for number in range(count)))


def test_witness_limit_of_named_keys() -> None:
    full = row(state_keys=many(MAX_STATE_KEYS, "named"))
    with refused("witness-limit"):
        after(full, NAME)
    assert after(full, NameStateKey(full.held.state_keys[0])) is full
    assert OTHER.public in after(after(full, RetireStateKeys(full.held.state_keys[:1])), NAME).held.state_keys


def test_witness_limit_of_all_keys_never_keeps_named_ones_from_being_retired() -> None:
    named, retired = many(MAX_STATE_KEYS, "named"), many(MAX_KEYS - MAX_STATE_KEYS, "retired")
    full = replace(row(state_keys=named), retired=frozenset(retired))
    with refused("witness-limit"):
        after(full, RetireStateKeys((OTHER.public,)))
    none_named = after(full, RetireStateKeys(named))
    assert (none_named.held.state_keys, len(none_named.retired)) == ((), MAX_KEYS)
    assert after(full, ROTATE, NEXT).retired == frozenset(named), "a thief's fill is forgotten"
    with refused("witness-limit"):
        after(none_named, NAME)


# -- retries -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("action", ALL, ids=kind)
def test_what_is_held_already_is_answered_again_and_changes_nothing(action: Action) -> None:
    done = after(None if action is REGISTER else row(), action, signer_of(action))
    assert after(done, action, signer_of(action)) is done


@pytest.mark.parametrize("action", ALL, ids=kind)
def test_a_retry_is_for_whom_it_was_done(action: Action) -> None:
    done = after(None if action is REGISTER else row(), action, signer_of(action))
    with pytest.raises(WaykeepError) as caught:
        after(done, action, key("thief"))
    assert caught.value.rule in ("witness-signer", "witness-state-key")


@pytest.mark.parametrize(
    ("action", "differs"),
    [
        (REGISTER, {"next_control": AFTER_CONTROL}),
        (ADVANCE_OWNER, {"head": head(4, "fork")}),
        (ADVANCE_EPOCH, {"head": head(2, "fork")}),
        (ADVANCE_JOURNAL, {"head": head(6, "fork")}),
        (ADVANCE_JOURNAL, {"owner_head": head(4)}),
        (RESUME, {"head": head(3)}),
        (RESUME, {"owner_head": head(4, "fork")}),
        (RESUME, {"resumes": 2}),
        (ROTATE, {"owner_head": head(5)}),
        (ROTATE, {"epoch": head(3)}),
        (ROTATE, {"rotations": (controls.rotation(NEXT, SALT, NEXT_CONTROL),)}),
        (CLOSE, {"successor": AFTER.public}),
    ],
    ids=lambda value: kind(value) if isinstance(value, msgspec.Struct) else ",".join(value),
)
def test_what_would_do_something_else_is_no_retry(action: Action, differs: dict[str, object]) -> None:
    done = after(None if action is REGISTER else row(), action, signer_of(action))
    with pytest.raises(WitnessError):
        after(done, replace(action, **differs), signer_of(action))
