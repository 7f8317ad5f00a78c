"""A stage for faults, and the table of what came of them, printed when all tests are done."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import pytest

from tests.hostile.durability.points import Line, Lines, table
from tests.support.durability_life import Commands, Recordings
from tests.support.durability_strace import require_strace
from tests.support.stages import ROOT, Watched, running

_LINES: Lines = defaultdict(Line)


@pytest.fixture(scope="session")
def lines() -> Lines:
    """What came of each point, by process, call and place."""
    return _LINES


@pytest.fixture(scope="session")
def tracing() -> None:
    """What these tests need; without it they fail, as nothing else shows what they show."""
    require_strace()
    if not ROOT:
        pytest.fail("processes of other uids are traced: run this as root", pytrace=False)


@pytest.fixture(scope="module")
def stage(tracing: None) -> Iterator[Watched]:
    """A node and a host, which are traced. At its end it is checked that nothing is left behind."""
    with running() as found:
        yield found


@pytest.fixture(scope="module")
def commands() -> Iterator[Commands]:
    with Commands() as found:
        yield found


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Recordings:
    return Recordings(tmp_path_factory.mktemp("recordings"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _LINES:
        terminalreporter.section("durability: faults put in, and what was lost")
        for line in table(_LINES):
            terminalreporter.write_line(line)
