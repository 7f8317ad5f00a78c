"""Fixtures of tests against real processes; a conftest imports them by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.people import Person
from tests.support.stages import Watched, running

Owners = Callable[[], Person]


@pytest.fixture(scope="module")
def stage() -> Iterator[Watched]:
    """A node and a host for the tests of one module. At its end it is checked that nothing is left behind."""
    with running() as found:
        yield found


@pytest.fixture
def owners(stage: Watched) -> Owners:
    """Makes owners of one test's own."""
    return lambda: Person(stage, f"person-{len(list(stage.devices.iterdir()))}")


@pytest.fixture
def owner(owners: Owners) -> Person:
    """An owner of one test's own."""
    return owners()
