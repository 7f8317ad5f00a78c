"""Fixtures of kills: those of `tests/hostile/durability`, and a witness; and the table of what came of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

import pytest

from tests.hostile.durability.conftest import commands as commands
from tests.hostile.durability.conftest import recordings as recordings
from tests.hostile.durability.conftest import stage as stage
from tests.hostile.durability.conftest import tracing as tracing
from tests.hostile.durability.points import Line, Lines, table
from tests.support.witness import Witness, running_witness

_LINES: Lines = defaultdict(Line)


@pytest.fixture(scope="session")
def lines() -> Lines:
    """What came of each point, by process, call and place."""
    return _LINES


@pytest.fixture(scope="module")
def witness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Witness]:
    with running_witness(tmp_path_factory.mktemp("witness"), tokens=0) as found:
        yield found


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if _LINES:
        terminalreporter.section("kills in sleep, wake, spend, resume and recovery, and what was lost")
        for line in table(_LINES):
            terminalreporter.write_line(line)
