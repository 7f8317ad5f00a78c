"""Counterexample, mended: the bounds of the log counted what a thief had added, so an owner was locked out for good."""

from __future__ import annotations

from tests.model.owners import born, rotate
from tests.model.world import World, authority, key
from waykeep.authority.statements import DeviceAdded


def test_an_owner_adds_a_device_after_a_thief_added_all_that_fit() -> None:
    world = World()
    laptop, _ = born(world)
    stolen_at, branch = laptop.log.head.number, laptop.branch
    for number in range(62):
        branch = world.put(branch, DeviceAdded(key(f"thief-{number}").public, "thief"), authority(0))
    device = rotate(world, branch, stolen_at + 1, "new")
    assert set(device.log.devices) == {device.key.public}
