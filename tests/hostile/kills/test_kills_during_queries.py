"""Kills at random times during queries: of the aggregator, of user clouds, of the witness.

Members have 1, 2, 4 and 8 rows, and there is hardly any noise: the digits of what is released tell who was counted, and
a second contribution of anybody would carry. What journals say is read from the store alone.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import count

import pytest

from tests.support import stages
from tests.support.asking import Asked, ring
from tests.support.stages import kill
from tests.support.studies import Field
from tests.support.waiting import until
from tests.support.witness import running_witness
from waykeep.authority import queries, studies
from waykeep.authority.participation import Contributed, StudyDebited
from waykeep.authority.queries import ANSWERING, ENDED, GATHERING, RELEASED, Published
from waykeep.device.account import now_ms
from waykeep.errors import WaykeepError
from waykeep.formats.ids import Digest
from waykeep.formats.wire import decode_json
from waykeep.privacy.bounds import Bounds

pytestmark = pytest.mark.root

ROWS = (1, 2, 4, 8)
VICTIMS = ("aggregator", "user cloud", "witness")
SHORT_KILLS, LONG_KILLS = 8, 200
PERIOD_MS, GATHER_MS, ANSWER_MS = 7000, 3500, 3000
USUAL_S = 1.2
"""From a query's first ring to its release, at first; then it is measured."""
TRIES = 5
"""Periods until a query that nobody disturbs has come to its end."""
AMISS = ("debits lost", "debits double", "contributions double", "releases double", "releases wrong")


class Storm:
    """Queries of one study, one repetition after the other, while processes are killed."""

    def __init__(self, field: Field, seed: int) -> None:
        self._field, self._random = field, random.Random(seed)
        bounds = Bounds(1, 0, max(ROWS))
        self._envelope = field.study(
            title=f"kills {seed}",
            questions=(field.question(bounds=bounds),),
            minimum=2,
            starts_ms=now_ms() - PERIOD_MS,
            period_ms=PERIOD_MS,
            periods=1000,
            repetitions=110,
            gather_ms=GATHER_MS,
            answer_ms=ANSWER_MS,
            deadline_ms=300,
        )
        self._study = studies.open_(self._envelope).study
        self._people = [field.member(f"kills{seed}-{rows}", self._envelope, rows=rows) for rows in ROWS]
        self._debited = [list[Digest]() for _ in ROWS]
        self._released: dict[Digest, bytes] = {}
        self._usual_s, self._last = USUAL_S, -1
        self.killed: Counter[tuple[str, str]] = Counter()
        self.ended: Counter[str] = Counter()
        self.amiss: Counter[str] = Counter()

    # -- queries -------------------------------------------------------------------------------------------------------

    def rage(self, kills: int) -> None:
        """Queries with one to three kills each, and at last one that nobody disturbs: it has to be right."""
        for repetition in count():
            for _ in range(3):
                came = self._query(repetition, self._random.randint(1, 3))
                if self.killed.total() >= kills:
                    self._calm(repetition + 1)
                    return
                if came == RELEASED and self._random.random() < 0.5:
                    break  # else it is asked once more, now that all have been debited

    def _calm(self, repetition: int) -> None:
        for _ in range(TRIES):
            if self._query(repetition, 0) == RELEASED:
                break
        else:
            raise AssertionError(f"nobody disturbed it, and there was no release: {self.ended}")
        for person in self._people:
            with person.account() as device:
                device.status()  # compares logs and witness, and refuses a fork

    def _query(self, repetition: int, kills: int) -> str:
        """One query in a period of its own; the word that it came to."""
        self._await_period()
        conduct = _Conduct(self._field, self._envelope, repetition)
        thread = threading.Thread(target=conduct.run)
        thread.start()
        try:
            for _ in range(kills):
                if self._random.random() < 0.5:
                    until(lambda: conduct.phase == ANSWERING or not conduct.under_way, "answers are awaited", 30)
                time.sleep(self._random.uniform(0, 0.6) * self._usual_s / kills)
                if conduct.under_way:
                    self._kill(conduct)
        finally:
            thread.join()
        if not kills and conduct.came == RELEASED:
            self._usual_s = conduct.took_s
        self.ended[conduct.came] += 1
        self._check(conduct.published)
        return conduct.came

    def _await_period(self) -> None:
        def begun() -> bool:
            period, passed = divmod(now_ms() - self._study.starts_ms, PERIOD_MS)
            return period != self._last and passed < 1000

        until(begun, "a period has just begun", 30)
        self._last = (now_ms() - self._study.starts_ms) // PERIOD_MS

    def _kill(self, conduct: _Conduct) -> None:
        victim, phase = self._random.choice(VICTIMS), conduct.phase
        if victim == "witness":
            self._field.witness.restart()
        else:
            stage, person = self._field.stage, self._random.choice(self._people)
            try:
                kill(stage.cloud(person.owner) if victim == "user cloud" else stage.listener(conduct.port))
            except (StopIteration, ProcessLookupError, FileNotFoundError):
                return  # it sleeps, or has ended by itself
        self.killed[victim, phase] += 1

    # -- what came of them ---------------------------------------------------------------------------------------------

    def _check(self, published: list[bytes]) -> None:
        """Compare what was released with all journals, and these with what they said before."""
        counted = self._counted(published)
        for number, (person, rows) in enumerate(zip(self._people, ROWS, strict=True)):
            details = person.details()
            debits = [d.query for d in details if isinstance(d, StudyDebited)]
            sent = [d for d in details if isinstance(d, Contributed)]
            self.amiss["debits double"] += _more_than_one(query.repetition for query in debits)
            self.amiss["contributions double"] += _more_than_one(d.repetition for d in sent)
            ids, before = [query.id for query in debits], self._debited[number]
            # What is durable stays, what is sent was debited, and what was counted was both.
            self.amiss["debits lost"] += ids[: len(before)] != before
            self.amiss["debits lost"] += len({d.query for d in sent} - set(ids))
            self._debited[number] = ids
            told = {d.query: d.answers for d in sent}
            for query, digits in counted.items():
                if digits & rows:
                    self.amiss["debits lost"] += query not in ids
                    self.amiss["releases wrong"] += told.get(query) != (((0, rows),),)

    def _counted(self, published: list[bytes]) -> dict[Digest, int]:
        """Per query what was released: in binary digits, who was counted."""
        found = {}
        for data in published:
            release = queries.open_release(decode_json(data, Published, what="a release")).release
            self.amiss["releases double"] += self._released.setdefault(release.query.id, data) != data
            (value,) = release.answers[0].values
            self.amiss["releases wrong"] += value not in range(sum(ROWS) + 1)
            found[release.query.id] = value or 0
        return found

    def table(self) -> str:
        """How many were killed when, and what came of it."""
        lines = [f"{victim} killed while {phase}: {n}" for (victim, phase), n in sorted(self.killed.items())]
        lines += [f"queries that came to {word}: {n}" for word, n in sorted(self.ended.items())]
        return "\n".join([*lines, *(f"{what}: {self.amiss[what]}" for what in AMISS)])


class _Conduct:
    """A researcher who asks once, in a thread, and rings again until there is a release, a word, or nobody any more.

    Attributes:
        port: The aggregator's, once it is there. phase: As it was last heard of.
        came: The word that it came to; ``lost`` without an aggregator.
        published: The release, as often as it was fetched. took_s: From the first ring on.
        under_way: Until it came to something.
    """

    def __init__(self, field: Field, envelope: bytes, repetition: int) -> None:
        self._field, self._envelope, self._repetition = field, envelope, repetition
        self.port, self.phase, self.came, self.took_s = 0, "starting", "lost", 0.0
        self.published: list[bytes] = []
        self.under_way = True

    def run(self) -> None:
        try:
            asked = Asked(self._field, self._envelope, self._repetition)
        except WaykeepError:
            self.under_way = False
            return
        self.port, begun = asked.address.port, time.monotonic()
        try:
            self.came = self._ask(asked)
            self.took_s = time.monotonic() - begun
        except WaykeepError:
            return
        finally:
            self.under_way = False
            asked.close()

    def _ask(self, asked: Asked) -> str:
        while True:
            before = self.phase = asked.status.phase
            if before == RELEASED:
                self.published = [asked.release() for _ in range(3)]
            if before in (RELEASED, ENDED):
                word = asked.status.ended or before
                asked.stop()  # or it keeps one of the places for aggregators
                return word
            outcomes = ring(self._field, self._envelope, asked.address, self._repetition)
            if before == asked.status.phase == GATHERING and outcomes == {GATHERING: len(ROWS)}:
                asked.freeze()


def _more_than_one(found: Iterable[int]) -> int:
    return sum(number - 1 for number in Counter(found).values())


@pytest.fixture(scope="module")
def field(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Field]:
    with (
        running_witness(tmp_path_factory.mktemp("witness"), tokens=8) as witness,
        stages.running() as stage,
    ):
        yield Field(stage, witness)


def _assert_nothing_amiss(storm: Storm) -> None:
    assert not any(storm.amiss.values()), storm.table()


def test_some_kills_during_queries(field: Field) -> None:
    storm = Storm(field, seed=1)
    storm.rage(SHORT_KILLS)
    _assert_nothing_amiss(storm)


@pytest.mark.soak
@pytest.mark.timeout(3600)
def test_many_kills_during_queries(field: Field, capsys: pytest.CaptureFixture[str]) -> None:
    storm = Storm(field, seed=2)
    storm.rage(LONG_KILLS)
    with capsys.disabled():
        print(f"\n{storm.table()}")
    assert {victim for victim, _ in storm.killed} == set(VICTIMS)
    _assert_nothing_amiss(storm)
