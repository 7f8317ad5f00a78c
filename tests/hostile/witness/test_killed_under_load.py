"""``kill -9`` of a witness at random moments under load: every advance that it answered is there after a restart."""

from __future__ import annotations

import random
import threading
from pathlib import Path

import pytest

from tests.support.witness import Party, Witness, running_witness
from waykeep.errors import ChannelError

LOADS, ROUNDS, SOAK_ROUNDS = 8, 5, 100


class Load(threading.Thread):
    """One owner's journal, advanced again and again, until the witness is gone."""

    def __init__(self, party: Party, done: threading.Semaphore) -> None:
        super().__init__()
        self._party, self._done = party, done
        self.answered = 0
        self.failed: str = ""

    def run(self) -> None:
        with Party(self._party.witness, self._party.name) as mine:
            try:
                while True:
                    mine.ask(mine.journal(self.answered, self.answered + 1))
                    self.answered += 1
                    self._done.release()
            except ChannelError as error:
                self.failed = error.rule


def killed_under_load(witness: Witness, parties: list[Party], at: dict[str, int], chance: random.Random) -> int:
    """Kill a witness after a random number of answers, start it again, and compare; how many were answered."""
    done = threading.Semaphore(0)
    loads = [Load(party, done) for party in parties]
    for load, party in zip(loads, parties, strict=True):
        load.answered = at[party.name]
        load.start()
    for _ in range(chance.randrange(1, 200)):
        assert done.acquire(timeout=20)
    witness.kill()
    for load in loads:
        load.join()
    witness.start()
    answered = 0
    for load, party in zip(loads, parties, strict=True):
        assert load.failed == "witness-unreachable"
        held = party.client.read().held.journal
        # What was answered is there; what was asked and not answered may be.
        assert held in (party.head(load.answered), party.head(load.answered + 1)), (held, load.answered)
        answered += load.answered - at[party.name]
        at[party.name] = held.number
    return answered


def kills(folder: Path, rounds: int, seed: int) -> None:
    with running_witness(folder, tokens=LOADS) as witness:
        parties = [Party(witness, f"party {number}") for number in range(LOADS)]
        for party in parties:
            party.register()
            party.ask(party.journal(None, 0))
        at, chance, answered = dict.fromkeys((party.name for party in parties), 0), random.Random(seed), 0
        for _ in range(rounds):
            answered += killed_under_load(witness, parties, at, chance)
        for party in parties:
            party.client.close()
    print(f"{rounds} kills under load (seed {seed}), {answered} advances answered, lost: 0")


def test_killed_at_random_under_load(tmp_path: Path) -> None:
    kills(tmp_path, ROUNDS, 1)


@pytest.mark.soak
def test_killed_at_random_under_load_often(tmp_path: Path) -> None:
    kills(tmp_path, SOAK_ROUNDS, 2)
