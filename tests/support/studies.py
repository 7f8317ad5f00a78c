"""Studies on a stage: a researcher, an aggregator's node, and people who take part."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from tests.support import algorithms
from tests.support.grants import HOUR_MS, WINDOW, choose
from tests.support.people import SOME_DAY_MS, Person, points
from tests.support.stages import Watched
from tests.support.witness import Witness
from waykeep.attestation.evidence import AGGREGATOR
from waykeep.authority import studies
from waykeep.authority.keys import SigningKey
from waykeep.authority.permissions import MAX_TOTAL, BudgetSet
from waykeep.authority.queries import Published
from waykeep.authority.scopes import Scope
from waykeep.authority.studies import Parts, Question, Study
from waykeep.device import drafting, memberships, researcher
from waykeep.device.account import now_ms
from waykeep.device.researcher import Places, Progress
from waykeep.formats.bundle import Bundle
from waykeep.formats.ids import sha256
from waykeep.privacy import mechanisms
from waykeep.privacy.bounds import Bounds
from waykeep.privacy.mechanisms import Mechanism

YEAR_MS = 365 * 86_400_000
MOST = 40
"""Rows that count of one person, at most."""
HARDLY_ANY = Mechanism("laplace", mechanisms.MIN_SCALE)
"""Noise that is 0, but for once in four million times: tells whether a sum is right, and nothing is private."""


class Field:
    """A researcher with a key, and a stage where people can be found.

    The stage's supervisor starts aggregators as well; `witness` is the one that people choose.
    """

    def __init__(self, stage: Watched, witness: Witness, name: str = "researcher") -> None:
        self.stage, self.witness = stage, witness
        self.key = SigningKey(bytes.fromhex(sha256(name.encode()).removeprefix("sha256:")))
        if not stage.aggregator_url:
            stage.start_aggregator()
        self.bundle, self.archive = algorithms.slow()

    def question(self, **changes: Any) -> Question:
        """How many rows everybody has."""
        asked = Question(
            name="rows",
            asks="How many places were recorded?",
            algorithm=self.bundle.digest,
            bundle="slow 1.0.0",
            scope=Scope(
                streams={"location": ("ts_ms",)},
                parameters={"rounds": (0,)},
                from_ms=WINDOW[0],
                to_ms=WINDOW[1],
                stores=False,
            ),
            value="rows",
            keys=(),
            bounds=Bounds(1, 0, MOST),
            mechanism=HARDLY_ANY,
        )
        return msgspec.structs.replace(asked, **changes)

    def study(self, **changes: Any) -> bytes:
        """An envelope; of a new study each time that something is changed."""
        references = self.stage.trust().references
        made = Study(
            version=studies.VERSION,
            title="How much is recorded",
            purpose="To see that it works.",
            ethics="none is needed, since nobody is real",
            consent="You agree to be counted.",
            consent_version="1",
            questions=(self.question(),),
            minimum=2,
            target=1000,
            starts_ms=now_ms() - HOUR_MS,
            period_ms=2 * HOUR_MS,
            periods=3,
            repetitions=1,
            gather_ms=HOUR_MS + 300_000,
            answer_ms=300_000,
            deadline_ms=1500,
            aggregator=Parts(references.supervisor, references.workloads[AGGREGATOR]),
        )
        return drafting.sign(msgspec.structs.replace(made, **changes), self.key)

    def member(
        self,
        name: str,
        *envelopes: bytes,
        rows: int = 10,
        budget: int = MAX_TOTAL,
        asleep: bool = True,
        bundles: Sequence[tuple[Bundle, bytes]] = (),
    ) -> Person:
        """Somebody with rows who joined studies, and whose user cloud sleeps then."""
        person = Person(self.stage, name)
        with person.account() as device:
            if rows:
                device.queue({"location": points(SOME_DAY_MS, rows)}, "imported")
                assert set(device.upload().outcome.values()) == {"accepted"}
            choose(device, self.witness)
            device.status()
            device.owner_log.append(BudgetSet(budget, YEAR_MS, now_ms() - YEAR_MS // 2))
            for bundle, archive in ((self.bundle, self.archive), *bundles):
                device.host.put_bundle(bundle.digest, archive)
            for envelope in envelopes:
                memberships.join(device, envelope)
            device.connect()
            if asleep:
                device.suspend()
        if asleep:
            self.stage.forgets(person.owner)
        return person

    def run(
        self, envelope: bytes, repetition: int = 0, progress: Callable[[Progress], None] = lambda _: None
    ) -> Published:
        places = Places(self.stage.host_url, self.stage.aggregator_url)
        return researcher.run(envelope, repetition, self.key, places, self.stage.trust(), now_ms, progress)


def details_of(person: Person, kind: type) -> Sequence[Any]:
    """Records of a kind in somebody's journal."""
    return [detail for detail in person.details() if isinstance(detail, kind)]
