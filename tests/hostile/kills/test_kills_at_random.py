"""Kills at random times, while owners upload, grant, are spent, sleep, wake, lose records, resume and recover.

Which process dies when is drawn from a seed. What then happens depends on the machine, so the counts must be 0 for any.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.hostile.durability.points import Lines
from tests.hostile.kills.lives import Lives
from tests.support.durability_keeper import Keeper
from tests.support.durability_life import Amiss, Commands, Recordings
from tests.support.stages import Watched
from tests.support.witness import Witness

pytestmark = [pytest.mark.root, pytest.mark.usefixtures("tracing")]

VICTIMS = ("cloud", "supervisor", "host", "witness", "device")
WHEN = "at random"
BEGIN = ("init", "publish", "import", "witness", "grant", "approve", "upload")
OFTEN = {"spend": 6, "suspend": 4, "upload again": 2, "run": 2, "status": 2, "forget": 1, "lose": 1, "recover": 1}
OFTEN |= {"revoke": 1}
SHORT_KILLS, LONG_KILLS, OF_ONE = 20, 300, 25
"""Kills in `make test`, in `make soak`, and of one owner at most."""
USUAL_S = 0.4
"""How long a verb takes that nobody has timed yet."""


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


class Storm:
    """Kills during the verbs of one owner after the other."""

    def __init__(self, lives: Lives, seed: int) -> None:
        self._lives, self._random = lives, random.Random(seed)
        self._usual: dict[str, float] = {}
        self.killed: Counter[str] = Counter()
        self._told: list[str] = []

    def owner(self, kills: int) -> None:
        """Steps of an owner, each with a kill, until so many processes were killed."""
        life, before, self._told = self._lives.new(), self.killed.total(), []
        try:
            for verb in self._verbs(life):
                self._step(life, verb)
                if self.killed.total() - before >= kills and "upload" in life.acknowledged:
                    break
            life.do("upload again")  # what was imported last may still wait
            assert self._lives.end(life, services=False) == (Amiss(), 0), life.said
        except AssertionError as error:
            raise AssertionError(f"{error}\nafter {'; '.join(self._told)}") from error

    def _verbs(self, life: Keeper) -> Iterator[str]:
        yield from BEGIN
        while True:
            verb = self._random.choices(list(OFTEN), list(OFTEN.values()))[0]
            if verb == "upload again":
                yield "import again"
            if verb == "lose":
                if not life.left:
                    yield "grant"
                self._lose(life)
                yield "resume"
            elif verb == "spend" and not life.left:
                yield "grant"
            else:
                if verb == "revoke":
                    for beforehand in ("enroll", "add", "enroll, finish"):
                        life.do(beforehand)
                yield verb
            if verb in ("forget", "recover", "revoke"):
                yield "status"  # nobody but the owner can start the user cloud again

    def _lose(self, life: Keeper) -> None:
        """The host loses what was spent last."""
        copy = life.copied()
        life.do("spend")
        life.do("suspend")
        self._lives.stage.forgets(life.owner)
        life.rewind(copy)

    def _step(self, life: Keeper, verb: str) -> None:
        """A verb with a kill at some time of it, and again what a user does again."""
        started, victim = time.monotonic(), self._random.choice(VICTIMS)
        delay = self._random.uniform(0, 1.1) * self._usual.get(verb, USUAL_S)
        device = os.pidfd_open(life.start(verb))
        try:
            time.sleep(delay)
            hit = self._kill(life, victim, device)
            done = life.end(verb) or (verb == "init" and verb in life.acknowledged)
        finally:
            os.close(device)
        self._told.append(f"{verb}{'' if done else ' cut off'}{f' by a kill of {victim}' if hit else ''}")
        line = self._lives.lines[victim, WHEN, verb]
        if hit:
            self.killed[victim] += 1
            line.hit["kill"] += 1
            if victim != "device":
                self._lives.restart(life, victim)
        elif done:
            self._usual[verb] = (self._usual.get(verb, USUAL_S) + time.monotonic() - started) / 2
        line.most(life.check())
        if not done:
            self._lives.repeat(life, verb, elsewhere=verb == "recover" and self._random.random() < 0.5)
            line.most(life.check())
        elif victim == "witness" and life.grants and verb not in ("spend", "recover"):
            self._lives.tell(life)

    def _kill(self, life: Keeper, victim: str, device: int) -> bool:
        """Whether there was one to be killed."""
        try:
            if victim == "device":
                signal.pidfd_send_signal(device, signal.SIGKILL)
                return True
            if victim == "cloud":
                clouds = [process for process in self._lives.stage.forked() if process.is_cloud]
                if not clouds:
                    return False
                os.kill(clouds[0].pid, signal.SIGKILL)
                return True
        except ProcessLookupError:
            return False
        pids = {
            "host": self._lives.stage.host_pid,
            "supervisor": self._lives.stage.supervisor_pid,
            "witness": self._lives.witness.process.pid,
        }
        os.kill(pids[victim], signal.SIGKILL)
        return True


def _assert_nothing_amiss(lines: Lines) -> None:
    wrong = {key: line.wrong for key, line in lines.items() if key[1] == WHEN and any(line.wrong)}
    assert not wrong, wrong


def test_some_kills_at_random_times(lives: Lives, lines: Lines) -> None:
    storm = Storm(lives, seed=1)
    storm.owner(SHORT_KILLS)
    assert storm.killed.total() >= SHORT_KILLS
    _assert_nothing_amiss(lines)


@pytest.mark.soak
@pytest.mark.timeout(1200)
def test_many_kills_at_random_times(lives: Lives, lines: Lines) -> None:
    storm = Storm(lives, seed=2)
    while storm.killed.total() < LONG_KILLS:
        storm.owner(min(OF_ONE, LONG_KILLS - storm.killed.total()))
    assert set(storm.killed) == set(VICTIMS)
    _assert_nothing_amiss(lines)
