"""Counterexample, mended: folded onto a state at hand, a rotation that makes entries void lost all before it."""

from __future__ import annotations

from tests.model.owners import a_grant, born, rotate
from tests.model.world import FIRST, World
from waykeep.authority import ownerlog


def two_steps_are_one(void_from: int | None) -> None:
    world = World()
    laptop, _ = born(world)
    laptop.append(a_grant())
    laptop.append(a_grant())
    branch = rotate(world, laptop.branch, void_from, "new").branch
    whole = ownerlog.fold(world.log((FIRST,)), branch[1:])
    for cut in range(1, len(branch)):
        state = ownerlog.fold(ownerlog.fold(world.log((FIRST,)), branch[1:cut]), branch[cut:])
        assert state == whole


def test_a_rotation_that_makes_nothing_void_folds_in_two_steps_as_in_one() -> None:
    two_steps_are_one(None)


def test_a_rotation_that_makes_entries_void_folds_in_two_steps_as_in_one() -> None:
    two_steps_are_one(6)
