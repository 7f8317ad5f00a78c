"""Counterexamples, mended: a revoked device was out of the log, and had the control key all the same.

With it and the host it undid its revocation at the witness, or set the journal back without any entry of the log. So
the owner replaces the control key there, retires what state keys no log names, and grants of before count as used up.
"""

from __future__ import annotations

import pytest

from tests.model.clouds import Cloud
from tests.model.machine import Protocol
from tests.model.owners import HOUR_MS, STRANGER, a_grant, a_request, retire_unknown, rotate
from tests.model.world import Broken, control, key
from waykeep.authority.statements import StateKeyNamed
from waykeep.authority.witnessing import AdvanceJournal, AdvanceOwner, NameStateKey
from waykeep.errors import AuthorityError, WitnessError
from waykeep.formats.messages import Head

THIEF = key("thief-state")


def begun() -> Protocol:
    machine = Protocol()
    machine.stolen = machine.laptop.log.head.number
    machine.world.exempt = True
    return machine


def revoke(machine: Protocol, *, control_too: bool = True, state_keys_too: bool = True) -> None:
    """As an honest device does it; or leaving out what the counterexamples need."""
    machine.revokes_the_phone(2)
    if control_too:
        machine.laptop.replace_control(key("control-new"))
    if state_keys_too:
        retire_unknown(machine.laptop)
    machine.world.exempt = False


def spend(cloud: Cloud, grant: int, request: int, *, holder: str = "holder") -> None:
    cloud.ask(a_request(grant, request), key(holder).public)
    for _ in range(5):
        cloud.step()


def copies(machine: Protocol, state: str = "state-0") -> tuple[int, Cloud]:
    """One copy spends a grant; the other has a journal that goes further, without that."""
    laptop = machine.laptop
    grant = max(laptop.log.grants)
    one, other = (Cloud(machine.world, laptop.log, (), key(state)) for _ in range(2))
    spend(one, grant, 1)
    assert len(machine.world.effects) == 1
    for name in ("a.age", "b.age"):
        other.upload(name)
    return grant, other


def names_a_state_key(machine: Protocol) -> None:
    machine.world.ask(machine.laptop.witness, NameStateKey(THIEF.public), control(0))


def rewinds(machine: Protocol, other: Cloud) -> None:
    """The thief sets the witness back to the journal of the other copy, by a state key that no log names."""
    held = machine.laptop.held()
    assert held is not None and other.journal.head is not None
    machine.world.ask(machine.laptop.witness, AdvanceJournal(held.journal, other.journal.head, held.owner), THIEF)


def forks(machine: Protocol, before: tuple[bytes, ...]) -> Cloud:
    """The thief leads the witness to a log that lacks the revocation, and a copy that has it spends there."""
    branch, held = before, machine.laptop.held()
    assert held is not None
    for _ in range(2):
        branch = machine.world.put(branch, a_grant(holder=STRANGER, until_ms=HOUR_MS), key("phone"))
    branch = machine.world.put(branch, StateKeyNamed(key("state-9").public), key("phone"))
    branch = machine.world.put(branch, a_grant(holder=STRANGER, until_ms=HOUR_MS), key("phone"))
    machine.world.ask(machine.laptop.witness, AdvanceOwner(held.owner, machine.world.log(branch).head), control(0))
    machine.world.ask(machine.laptop.witness, NameStateKey(key("state-9").public), control(0))
    return Cloud(machine.world, machine.world.log(branch), (), key("state-9"))


def test_with_the_control_key_a_revoked_device_undoes_its_revocation() -> None:
    """Why revoking is not done before the witness has another control key."""
    machine = begun()
    before = machine.laptop.branch
    revoke(machine, control_too=False)
    cloud = forks(machine, before)
    with pytest.raises(Broken, match="by-revoked-device"):
        spend(cloud, cloud.log.head.number, 1, holder="stranger")


def test_a_revoked_device_does_not_lead_the_witness_to_a_log_without_its_revocation() -> None:
    machine = begun()
    before = machine.laptop.branch
    revoke(machine)
    with pytest.raises(WitnessError) as caught:
        forks(machine, before)
    assert caught.value.rule == "witness-signer"


@pytest.mark.parametrize("retired", [False, True])
def test_a_state_key_that_a_thief_named_sets_the_journal_back_until_it_is_retired(retired: bool) -> None:
    machine = begun()
    names_a_state_key(machine)
    revoke(machine, state_keys_too=retired)
    machine.laptop.name_state_key(key("state-1"))
    machine.grants(1, 1, 0, HOUR_MS)
    grant, other = copies(machine, "state-1")
    if retired:
        with pytest.raises(WitnessError) as caught:
            rewinds(machine, other)
        assert caught.value.rule == "witness-state-key"
        spend(other, grant, 2)
        assert len(machine.world.effects) == 1
    else:
        rewinds(machine, other)
        with pytest.raises(Broken, match="spends-beyond-grant"):
            spend(other, grant, 2)


@pytest.mark.parametrize("by_paper", [False, True])
def test_grants_of_before_are_used_up_where_the_journal_may_have_been_set_back(by_paper: bool) -> None:
    machine = begun()
    names_a_state_key(machine)
    grant, other = copies(machine)
    rewinds(machine, other)
    if by_paper:
        device = rotate(machine.world, machine.laptop.branch, None, "new")
        device.name_state_key(key("state-1"))
    else:
        revoke(machine)
        device = machine.laptop
    cloud = Cloud(machine.world, device.log, other.records, key("state-1" if by_paper else "state-0"))
    with pytest.raises(AuthorityError) as caught:
        spend(cloud, grant, 2)
    assert caught.value.rule == "grant-used-up"


def test_the_head_that_a_thief_made_up_stops_spends_until_the_paper_rotates() -> None:
    machine = begun()
    held = machine.laptop.held()
    assert held is not None
    made_up = Head(held.owner.number + 1, held.owner.digest)
    machine.world.ask(machine.laptop.witness, AdvanceOwner(held.owner, made_up), control(0))
    machine.request(0, 0, 1, 0, 5)
    assert not machine.world.effects
    machine.teardown()
    assert len(machine.world.effects) == 1
