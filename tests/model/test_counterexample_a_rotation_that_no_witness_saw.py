"""Counterexample, mended: a recovery of which the witness was not told, and whose machine was lost.

The next paper gives the control key after the one that the witness has a commitment to, so it could be told of nothing
any more. The owner log holds the rotations of all control keys, and the next one shows them.
"""

from __future__ import annotations

import pytest

from tests.model.machine import Protocol
from waykeep.authority import controls


@pytest.mark.parametrize("missed", [1, 2, 3])
def test_the_newest_paper_takes_the_witness_back(missed: int) -> None:
    machine = Protocol()
    held = machine.laptop.held()
    for _ in range(missed):
        machine.rotates(told=False)
    assert machine.laptop.held() == held
    newest = controls.newest(machine.laptop.log.controls[-1:], machine.laptop.log.inception.next_control)
    assert (newest is None) == (missed > 1)
    machine.teardown()
    assert len(machine.world.effects) == 1
