"""A recovery is cut off, and its owner tries the papers they have on another machine, in either order."""

from __future__ import annotations

import os
import signal

import pytest

from tests.support.durability_keeper import Keeper
from tests.support.durability_life import Commands, Recordings
from tests.support.stages import Watched
from tests.support.waiting import until
from tests.support.witness import Witness

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing")]


@pytest.mark.parametrize("newest_first", [False, True], ids=["oldest first", "newest first"])
def test_one_of_the_papers_takes_the_id_back(
    stage: Watched, witness: Witness, commands: Commands, recordings: Recordings, newest_first: bool
) -> None:
    witness.admit(1)
    life = Keeper(stage, witness, commands, recordings, 1 + newest_first)
    for verb in ("init", "publish", "import", "witness", "grant", "upload"):
        life.do(verb)
    listed = list((life.home / "access").iterdir())
    pid = life.start("recover")
    until(lambda: list((life.home / "access").iterdir()) != listed, "the host was told of the recovery")
    os.kill(pid, signal.SIGKILL)
    assert not life.end("recover") and len(life.papers) == 2
    assert any(_tried(life, paper) for paper in (life.papers if newest_first else life.papers[::-1]))
    for verb in ("status", "grant", "spend"):
        life.do(verb)


def _tried(life: Keeper, paper: dict[str, str]) -> bool:
    life.another_machine()
    life.use_paper(paper)
    life.start("recover")
    return life.end("recover")
