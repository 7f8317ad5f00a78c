"""Counterexample: a count of resumes that log and witness do not share outlives a rotation, and each new resume.

Whoever has the control key may resume at the witness alone, whoever has a device's key in the log alone. What an honest
device does then, `settle` says.
"""

from __future__ import annotations

import pytest

from tests.model.clouds import Cloud
from tests.model.owners import Device, a_grant, a_request, born, rotate, settle
from tests.model.world import World, control, key
from waykeep.authority import spending
from waykeep.authority.statements import Resumed
from waykeep.authority.witnessing import Resume
from waykeep.errors import AuthorityError
from waykeep.formats.messages import Head


def rotated(*, at_the_witness: bool) -> tuple[World, Device]:
    world = World()
    laptop, _ = born(world)
    held = laptop.held()
    assert held is not None
    branch, void_from = laptop.branch, None
    if at_the_witness:
        made_up = Head(held.owner.number + 1, held.owner.digest)
        world.ask(laptop.witness, Resume(None, None, held.owner, made_up, 1), control(0))
    else:
        branch, void_from = world.put(branch, Resumed(None, None), key("phone")), len(branch)
    device = rotate(world, branch, void_from, "new")
    device.name_state_key(key("state-1"))
    return world, device


@pytest.mark.parametrize("at_the_witness", [True, False])
def test_counts_that_a_thief_moved_stop_spends_after_a_rotation_too(at_the_witness: bool) -> None:
    world, device = rotated(at_the_witness=at_the_witness)
    device.append(a_grant())
    device.advance()
    cloud, held = Cloud(world, device.log, (), key("state-1")), device.held()
    assert held is not None
    with pytest.raises(AuthorityError) as caught:
        spending.standing(cloud.log, cloud.journal, held, cloud.key.public)
    assert caught.value.rule == "resume-pending"


@pytest.mark.parametrize("at_the_witness", [True, False])
def test_the_owner_brings_them_together(at_the_witness: bool) -> None:
    world, device = rotated(at_the_witness=at_the_witness)
    settle(device)
    device.append(a_grant())
    device.advance()
    cloud = Cloud(world, device.log, (), key("state-1"))
    cloud.ask(a_request(device.log.head.number, 1), key("holder").public)
    for _ in range(5):
        cloud.step()
    assert len(world.effects) == 1


def test_a_resume_of_which_the_witness_got_the_entry_only_needs_an_entry_that_is_none() -> None:
    """Another device may have advanced the owner head to the entry; one more resume would stay one behind for ever."""
    world = World()
    laptop, phone = born(world)
    laptop.append(Resumed(None, None))
    phone.look(laptop.branch)
    phone.advance()
    held = laptop.held()
    assert held is not None
    assert (held.resumes, len(laptop.log.resumed), held.owner) == (0, 1, laptop.log.head)
    settle(laptop)
    held = laptop.held()
    assert held is not None
    assert (held.resumes, len(laptop.log.resumed), held.owner) == (1, 1, laptop.log.head)
