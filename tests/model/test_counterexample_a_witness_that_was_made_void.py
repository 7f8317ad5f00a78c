"""Counterexample, mended: a move to another witness was made void, and that witness knew nothing of it.

A user cloud that was shown the log of before had it witness what was used up. So a rotation is told to both.
"""

from __future__ import annotations

from tests.model.machine import Protocol
from tests.model.thief import WithThief


def test_what_is_used_up_is_spent_at_no_witness() -> None:
    for machine in (Protocol(), WithThief()):
        machine.closes_its_witness(which=1)
        machine.grants(lasts=1, runs=2, starts=0, which=0)
        machine.names_the_next_witness()
        machine.spends(slot=1)
        assert len(machine.world.effects) == 1
        machine.rotates()
        machine.spends(slot=1)
        assert len(machine.world.effects) == 1
        machine.teardown()
