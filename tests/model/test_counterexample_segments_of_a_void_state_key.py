"""Counterexample: a rotation that makes entries void takes acknowledged segments along, and no head shows it.

A state key that an honest device named after the theft is void as well. Its records keep their places in the chain, so
the head that a device remembers is still there; what they accepted is not, and has to be offered again.
"""

from __future__ import annotations

import pytest

from tests.model.clouds import Cloud
from tests.model.owners import born, offer_again, rotate
from tests.model.world import Broken, World, key
from waykeep.authority.statements import NodeApproved


def test_a_segment_acknowledged_under_a_void_state_key_is_offered_again() -> None:
    world = World()
    laptop, phone = born(world)
    phone.append(NodeApproved("age1thief", "thief"))
    stolen_at = phone.log.head.number
    laptop.look(phone.branch)
    laptop.name_state_key(key("state-1"))
    cloud = Cloud(world, laptop.log, (), key("state-1"))
    head = cloud.upload("a.age")
    assert head is not None
    acknowledged = {"a.age": (head, cloud.key.public)}

    device = rotate(world, laptop.branch, stolen_at, "new")
    device.name_state_key(key("state-2"))
    after = Cloud(world, device.log, cloud.records, key("state-2"))
    assert after.journal.head == head
    world.acknowledged = dict(acknowledged)
    with pytest.raises(Broken, match="acknowledged-lost"):
        world.kept(after.journal)
    offer_again(world, device.log)
    again = after.upload("a.age")
    assert again is not None
    world.acknowledged["a.age"] = (again, after.key.public)
    world.kept(after.journal)
