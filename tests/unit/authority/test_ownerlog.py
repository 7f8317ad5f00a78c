"""The fold of the owner log, over any valid log: however it is cut, it comes to the same. Attacks are in `hostile`."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.builders import NOW_MS, Owner, an_approval, born, key, refused
from waykeep.authority import dsse, ownerlog
from waykeep.authority.keys import SigningKey
from waykeep.authority.ownerlog import OwnerState
from waykeep.authority.statements import (
    OWNER_ENTRY_TYPE,
    Body,
    DeviceAdded,
    EpochOpened,
    RecipientsNamed,
    StateKeyNamed,
    WriterAdded,
)
from waykeep.errors import WaykeepError
from waykeep.formats.ids import sha256

OWNER = born("any log")
KINDS = ("device", "writer", "recipients", "epoch", "state-key", "approval")
STEPS = st.lists(st.tuples(st.sampled_from(KINDS), st.integers(0, 9)), max_size=20)


def a_log(steps: Iterable[tuple[str, int]]) -> list[bytes]:
    """The envelopes of a valid log of these kinds; the number chooses who signs, among those who may."""
    owner = Owner(OWNER.name, OWNER.log_secret, OWNER.recovery_secret, {}, [OWNER.envelopes[0]])
    devices: list[SigningKey] = []
    epochs = 0
    for at, (kind, choice) in enumerate(steps):
        signers = [owner.authority, *devices]
        new = key(f"{owner.name}/{at}")
        body: Body
        match kind:
            case "device":
                body, signers = DeviceAdded(new.public, "one more"), [owner.authority]
                devices.append(new)
            case "writer":
                body, signers = WriterAdded(new.public, "one more", "signed"), [owner.authority]
            case "recipients":
                body, signers = RecipientsNamed(*owner.log_recipients), [owner.authority]
            case "epoch":
                epochs += 1
                body = EpochOpened(epochs, sha256(b"%d" % epochs), owner.log_recipients[0])
            case "state-key":
                body = StateKeyNamed(new.public)
            case _:
                body = an_approval(to_ms=NOW_MS + 1 + choice)
        owner.envelopes.append(owner.entry(body, signers[choice % len(signers)]))
    return owner.envelopes


def at_once(log: list[bytes]) -> OwnerState:
    return ownerlog.fold(ownerlog.begin(OWNER.id, log[0]), log[1:])


@settings(max_examples=40)
@given(STEPS, st.data())
def test_a_log_comes_to_the_same_however_it_is_cut(steps: list[tuple[str, int]], data: st.DataObject) -> None:
    log = a_log(steps)
    cuts = sorted(data.draw(st.lists(st.integers(1, len(log)), max_size=5)))
    state = ownerlog.begin(OWNER.id, log[0])
    for first, end in zip([1, *cuts], [*cuts, len(log)], strict=True):
        state = ownerlog.fold(state, log[first:end])
    assert state == at_once(log)
    assert state.head.number == len(steps)
    assert [state.digest_at(number) for number in range(len(log))] == [sha256(envelope) for envelope in log]


@settings(max_examples=40)
@given(STEPS)
def test_a_fold_counts_every_entry_once(steps: list[tuple[str, int]]) -> None:
    state = at_once(a_log(steps))
    kinds = [kind for kind, _ in steps]
    found = (state.devices, state.writers, state.epochs, state.state_keys, state.approvals)
    wanted = ("device", "writer", "epoch", "state-key", "approval")
    assert [len(part) for part in found] == [kinds.count(kind) for kind in wanted]
    assert (state.recipients is not None) == ("recipients" in kinds)
    assert sorted(state.approvals) == [number for number, kind in enumerate(kinds, 1) if kind == "approval"]
    assert sorted(state.state_keys.values()) == [n for n, kind in enumerate(kinds, 1) if kind == "state-key"]


@settings(max_examples=40)
@given(STEPS, st.data())
def test_a_fold_leaves_the_state_that_it_was_given(steps: list[tuple[str, int]], data: st.DataObject) -> None:
    """A user cloud keeps its state when what the host adds to the log is refused."""
    log = a_log(steps)
    cut = data.draw(st.integers(1, len(log)))
    state, kept = at_once(log[:cut]), at_once(log[:cut])
    ownerlog.fold(state, log[cut:])
    assert state == kept
    out_of_turn = OWNER.entry(an_approval(), number=len(log) + 1)
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


def test_an_entry_spelled_otherwise_has_another_digest_and_breaks_the_chain() -> None:
    """JSON with a space in it is the same statement with the same signature, but not the envelope that follows."""
    log = a_log([("device", 0), ("approval", 1)])
    spelled = msgspec.json.format(log[1], indent=1)
    assert dsse.peek(spelled, OWNER_ENTRY_TYPE) == dsse.peek(log[1], OWNER_ENTRY_TYPE)
    with refused("log-order"):
        at_once([log[0], spelled, log[2]])
