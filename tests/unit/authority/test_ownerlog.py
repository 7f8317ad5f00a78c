"""The fold of the owner log, over any valid log: however it is cut, it comes to the same. Attacks are in `hostile`."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.authority.entries import a_grant
from tests.unit.builders import NOW_MS, an_approval, born, key, refused
from waykeep.authority import ownerlog
from waykeep.authority.keys import SigningKey
from waykeep.authority.ownerstate import FOREVER, Named, OwnerState
from waykeep.authority.permissions import Withdrawn
from waykeep.authority.statements import (
    WAIVER,
    Body,
    DeviceAdded,
    EpochOpened,
    NodeApproved,
    RecipientsNamed,
    Resumed,
    StateKeyNamed,
    WitnessNamed,
    WitnessWaived,
    WriterAdded,
)
from waykeep.errors import WaykeepError
from waykeep.formats.ids import sha256
from waykeep.formats.messages import Head

OWNER = born("any log")
KINDS = ("device", "writer", "recipients", "epoch", "state-key", "approval")
ALSO = (*KINDS, "grant", "withdrawn", "node", "resumed", "witness", "waived", "rotation", "void rotation")
STEPS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 9)), max_size=20)
ANY_STEPS = st.lists(st.tuples(st.sampled_from(ALSO), st.integers(0, 9)), max_size=20)


def a_log(steps: Iterable[tuple[str, int]]) -> list[bytes]:
    """The envelopes of a valid log of these kinds; the number chooses who signs, among those who may."""
    owner = OWNER.again()
    devices: list[SigningKey] = []
    epochs = 0
    for at, (kind, choice) in enumerate(steps, 1):
        new = key(f"{owner.name}/{at}")
        body: Body
        match kind:
            case "device":
                body = DeviceAdded(new.public, "one more")
            case "writer":
                body = WriterAdded(new.public, "one more", "signed")
            case "recipients":
                body = RecipientsNamed(*owner.log_recipients)
            case "epoch":
                epochs += 1
                body = EpochOpened(epochs, sha256(b"%d" % epochs), owner.log_recipients[0])
            case "state-key":
                body = StateKeyNamed(new.public)
            case "grant":
                body = a_grant(runs=1 + choice)
            case "withdrawn":
                in_force = [*owner.state.grants, *owner.state.approvals]
                if not in_force:
                    continue
                body = Withdrawn(in_force[choice % len(in_force)])
            case "node":
                body = NodeApproved(f"age1{choice}", "a node")
            case "resumed":
                body = Resumed(None, None)
            case "witness":
                body = owner.witness(new)
            case "waived":
                body = WitnessWaived(WAIVER)
            case "rotation" | "void rotation":
                last, end = owner.state.rotated, len(owner.envelopes)
                owner.rotate(last + 1 + choice % (end - last) if kind == "void rotation" else None)
                devices = []
                continue
            case _:
                body = an_approval(to_ms=NOW_MS + 1 + choice)
        certifies = isinstance(body, _BY_AUTHORITY)
        signers = [owner.authority, *([] if certifies else devices)]
        owner.envelopes.append(owner.entry(body, signers[choice % len(signers)]))
        if isinstance(body, DeviceAdded):
            devices.append(new)
    return owner.envelopes


_BY_AUTHORITY = DeviceAdded | WriterAdded | RecipientsNamed | EpochOpened | WitnessNamed | WitnessWaived


def at_once(log: list[bytes]) -> OwnerState:
    return ownerlog.fold(ownerlog.begin(OWNER.id, log[0]), log[1:])


@settings(max_examples=60, deadline=None)
@given(ANY_STEPS, st.data())
def test_a_log_comes_to_the_same_however_it_is_cut(steps: list[tuple[str, int]], data: st.DataObject) -> None:
    log = a_log(steps)
    cuts = sorted(data.draw(st.lists(st.integers(1, len(log)), max_size=5)))
    state = ownerlog.begin(OWNER.id, log[0])
    for first, end in zip([1, *cuts], [*cuts, len(log)], strict=True):
        state = ownerlog.fold(state, log[first:end])
    assert state == at_once(log)
    assert state.head.number == len(log) - 1
    assert [state.digest_at(number) for number in range(len(log))] == [sha256(envelope) for envelope in log]


@settings(max_examples=40)
@given(STEPS)
def test_a_fold_counts_every_entry_once(steps: list[tuple[str, int]]) -> None:
    state = at_once(a_log(steps))
    kinds = [kind for kind, _ in steps]
    found = (state.devices, state.writers, state.epochs, state.state_keys, state.approvals)
    wanted = ("device", "writer", "epoch", "state-key", "approval")
    assert [len(part) for part in found] == [kinds.count(kind) for kind in wanted]
    assert len(state.recipients) == kinds.count("recipients")
    assert sorted(state.approvals) == [number for number, kind in enumerate(kinds, 1) if kind == "approval"]
    lives = [Named(number, FOREVER) for number, kind in enumerate(kinds, 1) if kind == "state-key"]
    assert list(state.state_keys.values()) == lives


@settings(max_examples=60, deadline=None)
@given(ANY_STEPS, st.data())
def test_no_entry_changes_what_was_in_force_before_it(steps: list[tuple[str, int]], data: st.DataObject) -> None:
    """But a rotation, and that from its own place on: what a log said up to a head, its beginning says."""
    log = a_log(steps)
    whole = at_once(log)
    cut = data.draw(st.integers(1, len(log)))
    part = at_once(log[:cut])
    assert whole.entries[: cut - 1] == part.entries
    assert part.head.number == cut - 1 and whole.holds(part.head)
    # What is void was not added, and may be added anew.
    assert whole.known >= part.known or "void rotation" in {kind for kind, _ in steps}
    assert whole.resumed[: len(part.resumed)] == part.resumed
    assert whole.rotations[: len(part.rotations)] == part.rotations
    for state_key, life in part.state_keys.items():
        later = whole.state_keys[state_key]
        # A key that was retired stays so; one that was not is retired by an entry that came after the cut.
        assert later.since == life.since
        assert later.until == life.until if life.until != FOREVER else later.until >= cut
        assert later.void or not life.void
    for number, ended in part.ended.items():
        # What ended before stays ended, unless the entry that ended it has no effect: then it ends with the rotation.
        assert number not in whole.grants
        assert whole.ended.get(number, ended).since >= ended.since
    for number in part.grants:
        # Whatever was in force at the cut counts as in force there for good (a journal is folded the same later).
        assert number in whole.grants or whole.ended[number].since >= cut


@settings(max_examples=40)
@given(STEPS, st.data())
def test_a_fold_leaves_the_state_that_it_was_given(steps: list[tuple[str, int]], data: st.DataObject) -> None:
    """A user cloud keeps its state when what the host adds to the log is refused."""
    log = a_log(steps)
    cut = data.draw(st.integers(1, len(log)))
    state, kept = at_once(log[:cut]), at_once(log[:cut])
    ownerlog.fold(state, log[cut:])
    assert state == kept
    out_of_turn = OWNER.entry(an_approval(), number=len(log) + 1)  # by the authority; the number is too high by one
    with refused("log-order"):
        ownerlog.fold(state, [*log[cut:], out_of_turn])
    assert state == kept


@settings(max_examples=40)
@given(STEPS.filter(bool), st.data())
def test_a_tampered_envelope_anywhere_is_refused(steps: list[tuple[str, int]], data: st.DataObject) -> None:
    log = a_log(steps)
    at = data.draw(st.integers(0, len(log) - 1))
    bit = data.draw(st.integers(0, len(log[at]) * 8 - 1))
    damaged = bytearray(log[at])
    damaged[bit // 8] ^= 1 << bit % 8
    with pytest.raises(WaykeepError):
        at_once([*log[:at], bytes(damaged), *log[at + 1 :]])


def test_two_branches_of_a_log_do_not_join() -> None:
    """Each is valid by itself, by the same keys, and has the other's number: the chain tells them apart."""
    log = a_log([("device", 0), ("approval", 1)])
    one, other = a_log([("device", 0), ("approval", 2)]), a_log([("device", 0), ("state-key", 0), ("approval", 0)])
    assert {at_once(branch).digest_at(1) for branch in (log, one, other)} == {at_once(log).digest_at(1)}
    for head, tail in ((log, other[3:]), (one, other[3:])):
        with refused("log-order"):
            at_once([*head, *tail])


def test_an_entry_spelled_otherwise_does_not_pass() -> None:
    """JSON with a space in it is the same statement with the same signature, but not the envelope that follows."""
    log = a_log([("device", 0), ("approval", 1)])
    spelled = msgspec.json.format(log[1], indent=1)
    with refused("statement-spelling"):
        at_once([log[0], spelled, log[2]])


def test_a_log_holds_its_own_heads_and_no_other() -> None:
    state = at_once(a_log([("device", 0), ("approval", 1), ("approval", 2)]))
    heads = [Head(number, state.digest_at(number)) for number in range(4)]
    assert all(state.holds(head) for head in heads)
    assert not state.holds(Head(4, state.head.digest))
    assert not any(state.holds(Head(one.number, other.digest)) for one in heads for other in heads if one != other)
