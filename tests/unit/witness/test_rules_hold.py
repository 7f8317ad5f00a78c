"""What holds whatever is asked, in whatever order: sequences of requests, most of which fit what is held."""

from __future__ import annotations

from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.unit.builders import key
from tests.unit.witness.asking import SALT, after, head, row
from waykeep.authority import controls
from waykeep.authority.keys import commitment
from waykeep.authority.witnessing import (
    Action,
    AdvanceEpoch,
    AdvanceJournal,
    AdvanceOwner,
    Close,
    NameStateKey,
    Resume,
    RetireStateKeys,
    Rotate,
)
from waykeep.errors import WitnessError
from waykeep.formats.messages import Head
from waykeep.witness.row import Row

CONTROLS = [key(name) for name in ("control", "next", "after", "last")]
_ROTATIONS = tuple(
    controls.rotation(turned, SALT, commitment(SALT, then.public))
    for turned, then in zip(CONTROLS, (*CONTROLS[1:], CONTROLS[-1]), strict=True)
)
STATES = [key(name) for name in ("state", "second", "third")]
HEADS = st.builds(head, st.integers(0, 8), st.sampled_from(("", "fork")))
STEPS = 25


def number(found: Head | None) -> int:
    return -1 if found is None else found.number


@st.composite
def asked(draw: st.DrawFn, held: Row) -> Action:
    """An action, which fits what is held if no draw says otherwise."""

    def now(found: Head | None) -> Head | None:
        return found if draw(st.integers(0, 4)) else draw(st.none() | HEADS)

    def following(found: Head | None) -> Head:
        return (
            draw(st.builds(head, st.integers(0, 2).map(lambda more: number(found) + more + 1)))
            if draw(st.integers(0, 4))
            else draw(HEADS)
        )

    h = held.held
    state = draw(st.sampled_from(STATES)).public
    # To the one that the row has committed to, most times, or the one after it.
    at = [control.public for control in CONTROLS].index(held.control)
    new = min(at + draw(st.integers(0, 2)), len(CONTROLS) - 1)
    choices: list[Action] = [
        AdvanceOwner(now(h.owner) or head(0), following(h.owner)),
        AdvanceEpoch(now(h.epoch), following(h.epoch)),
        AdvanceJournal(now(h.journal), following(h.journal), now(h.owner) or head(0)),
        NameStateKey(state),
        RetireStateKeys((state,)),
        Resume(now(h.journal), now(h.journal), now(h.owner) or head(0), following(h.owner), h.resumes + 1),
        Rotate(_ROTATIONS[draw(st.integers(0, at)) : new + 1], draw(HEADS), now(h.epoch)),
        *([] if draw(st.integers(0, 3)) else [Close(state)]),
    ]
    return draw(st.sampled_from(choices))


def check(before: Row, action: Action, made: Row) -> None:
    """What an accepted action may change."""
    old, new = before.held, made.held
    rotated, resumed = isinstance(action, Rotate), isinstance(action, Resume)
    assert rotated or before.retired <= made.retired
    assert made.retired.isdisjoint(new.state_keys)
    assert list(new.state_keys) == sorted(set(new.state_keys)) and made.control not in new.state_keys
    assert rotated or number(new.owner) >= number(old.owner)
    assert rotated or number(new.epoch) >= number(old.epoch)
    assert resumed or number(new.journal) >= number(old.journal)
    assert new.resumes == old.resumes + (made != before and resumed)
    assert rotated or old.successor is None or made == before
    assert made.control == before.control or (rotated and new.state_keys == ())
    if isinstance(action, AdvanceJournal):
        assert new.owner == old.owner == action.owner_head


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_forward_only_and_no_request_ever_does_something_twice(data: st.DataObject) -> None:
    held = row(owner=head(1), journal=None, epoch=None)
    accepted: list[tuple[Action, int]] = []
    signers = [*CONTROLS, *STATES]
    for _ in range(STEPS):
        action = data.draw(asked(held))
        right = [k for k in signers if k.public in _may(held, action)]
        signer = (
            data.draw(st.sampled_from(right or signers))
            if data.draw(st.integers(0, 5))
            else data.draw(st.sampled_from(signers))
        )
        try:
            made = after(held, action, signer)
        except WitnessError as refusal:
            event(refusal.rule)
        else:
            event(f"{type(action).__name__} accepted")
            check(held, action, made)
            assert after(made, action, signer) is made, "a retry"
            accepted.append((action, signers.index(signer)))
            held = made
        for old, by in accepted:
            try:
                assert after(held, old, signers[by]) is held, f"a replay of {type(old).__name__}"
            except WitnessError:
                continue


def _may(held: Row, action: Action) -> tuple[str, ...]:
    if isinstance(action, AdvanceJournal):
        return held.held.state_keys
    return (controls.open_(action.rotations[-1]).control,) if isinstance(action, Rotate) else (held.control,)
