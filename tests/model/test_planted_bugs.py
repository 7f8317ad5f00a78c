"""Each planted bug is found, by its own promise; and the same moves without it break none."""

from __future__ import annotations

import pytest

from tests.model import faults
from tests.model.clouds import Cloud
from tests.model.machine import Protocol, focused
from tests.model.plants import LATE, PLANTS, Plant
from tests.model.search import explore
from tests.model.test_protocol import run
from tests.model.world import Broken

EXCESS = "spends-beyond-grant"


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_a_planted_bug_is_found_by_exhaustive_search(plant: Plant) -> None:
    _, trace, broken = explore(plant.start(planted=True), plant.moves, plant.depth)
    assert broken is not None and trace
    assert broken.promise == plant.promise


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_without_the_bug_the_same_moves_break_no_promise(plant: Plant) -> None:
    seen, trace, broken = explore(plant.start(planted=False), plant.moves, plant.depth + 1)
    assert (trace, broken) == (None, None)
    assert seen > 15


@pytest.mark.soak
@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.name)
def test_without_the_bug_more_of_these_moves_break_no_promise(plant: Plant) -> None:
    assert explore(plant.start(planted=False), plant.moves, plant.depth + 4)[1:] == (None, None)


@pytest.mark.parametrize(
    ("fault", "rules", "promise"),
    [
        (faults.Eager, "wakes_a_copy spends", EXCESS),
        (faults.Forgetful, "wakes_a_copy spends restarts_a_witness", EXCESS),
        (faults.Forgiving, "wakes_a_copy spends resumes", LATE),
        (faults.Careless, "spends withdraws advances_the_owner_head", LATE),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else "",
)
def test_a_planted_bug_is_found_at_random(fault: type, rules: str, promise: str) -> None:
    kind = "CLOUD" if issubclass(fault, Cloud) else "WITNESS"
    machine = focused(Protocol, rules.split(), RECOVERS=False, **{kind: fault})
    with pytest.raises(Broken) as caught:
        run(machine, 400, 20)
    assert caught.value.promise == promise


def test_every_planted_bug_has_a_plant() -> None:
    classes = [value for value in vars(faults).values() if isinstance(value, type)]
    found = {value for value in classes if value.__module__ == faults.__name__}
    assert found == {plant.fault for plant in PLANTS}
