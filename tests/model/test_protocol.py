"""The promises hold, whatever the host does, and whatever a thief does before and after the owner's answer to it."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.model.machine import Protocol
from tests.model.thief import WithThief


class WithControl(WithThief):
    CONTROL = True


MACHINES = (Protocol, WithThief, WithControl)


def run(machine: type[Protocol], examples: int, steps: int) -> None:
    run_state_machine_as_test(
        machine,
        settings=settings(
            derandomize=True,
            database=None,
            deadline=None,
            max_examples=examples,
            stateful_step_count=steps,
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        ),
    )


@pytest.mark.parametrize("machine", MACHINES)
def test_promises_hold(machine: type[Protocol]) -> None:
    run(machine, 150, 30)


@pytest.mark.soak
@pytest.mark.parametrize("machine", MACHINES)
def test_promises_hold_for_long(machine: type[Protocol]) -> None:
    run(machine, 5_000, 60)
