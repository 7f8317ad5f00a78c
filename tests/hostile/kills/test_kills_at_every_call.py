"""Kills at each durable system call of sleep, wake, spend, resume and recovery, with all that then is repeated.

As `tests/hostile/durability`, for an owner with a witness and a holder: user cloud, supervisor, witness, host and the
commands of owner and holder are killed in turn at each of their durable calls of each step, what died is started again,
and the step is repeated. Then nothing that was acknowledged may be lost or doubled, no grant may have given more than
it says, and everybody goes on.
"""

from __future__ import annotations

import pytest

from tests.hostile.durability.points import Lines
from tests.hostile.kills.lives import STORIES, Lives, Story
from tests.support.durability_life import Commands, Recordings
from tests.support.stages import Watched
from tests.support.witness import Witness

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing")]

SHORT = {
    "witness": ("witness", "fsync", "register.sqlite-wal"),
    "grant": ("device", "rename", "pending"),
    "upload": ("cloud", "link", "sealed"),
    "spend": ("witness", "write", "register.sqlite-wal"),
    "suspend": ("cloud", "link", "snapshots"),
    "spend, asleep": ("cloud", "link", "journal"),
    "forget": ("cloud", "unlink", "sealed"),
    "status": ("host", "link", "owner-log"),
}
"""Process, call and place of the kill in each step of one life: that of `make test`."""

NAMELESS = ("write", "fsync")
"""What threads of a process may race for, so that a point is missed each time. In a store it is done to a file that has
no name yet: a kill there leaves what a kill at the link after it leaves, which is never missed.
"""


@pytest.fixture(scope="module")
def lives(
    stage: Watched,
    witness: Witness,
    commands: Commands,
    recordings: Recordings,
    tmp_path_factory: pytest.TempPathFactory,
    lines: Lines,
) -> Lives:
    return Lives(stage, witness, commands, recordings, tmp_path_factory.mktemp("traces"), lines)


def test_one_life_with_a_kill_in_each_step(lives: Lives, lines: Lines) -> None:
    story = STORIES[0]
    found = {(i.point.verb, (i.point.process, i.point.call, i.point.place)): i for i in lives.points(story)}
    chosen = [found[step, point] for step, point in SHORT.items()]
    missed = lives.all(story, chosen)
    assert not lives.failures, "\n\n".join(lives.failures)
    assert not missed
    assert not [key for key, line in lines.items() if any(line.wrong)]


@pytest.mark.soak
@pytest.mark.timeout(1500)
@pytest.mark.parametrize("story", STORIES, ids=lambda story: story.name)
def test_at_every_point(lives: Lives, story: Story, lines: Lines) -> None:
    found = lives.points(story)
    assert {injection.point.process for injection in found} == story.must
    missed = lives.all(story, found)
    assert not lives.failures, "\n\n".join(lives.failures)
    assert not [i for i in missed if i.point.call not in NAMELESS], missed
    assert not [key for key, line in lines.items() if any(line.wrong)]
