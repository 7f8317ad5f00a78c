"""A study, its queries and what its members sign."""

from __future__ import annotations

from typing import Any

import msgspec

from tests.unit.builders import NOW_MS, Owner, an_owner, key
from waykeep.authority import dsse, studies
from waykeep.authority.keys import SigningKey
from waykeep.authority.participation import Contributed, Intended, Reading, StudyDebited
from waykeep.authority.permissions import MAX_TOTAL, BudgetSet, Joined
from waykeep.authority.queries import Query
from waykeep.authority.scopes import Scope
from waykeep.authority.studies import STUDY_TYPE, Parts, Question, Signed, Study
from waykeep.formats import agefile
from waykeep.formats.ids import Digest, sha256
from waykeep.formats.messages import Head
from waykeep.formats.wire import encode_json
from waykeep.privacy.bounds import Bounds
from waykeep.privacy.mechanisms import Mechanism

HOUR_MS, DAY_MS = 3_600_000, 86_400_000
RESEARCHER = key("researcher")
RECIPIENT = agefile.generate()[1]
BUNDLE = sha256(b"bundle")


def a_question(**changes: Any) -> Question:
    """How many rows: one cell from 0 to 40."""
    asked = Question(
        name="rows",
        asks="How many places were recorded?",
        algorithm=BUNDLE,
        bundle="slow 1.0.0",
        scope=Scope(
            streams={"location": ("ts_ms",)},
            parameters={"rounds": (0,)},
            from_ms=NOW_MS,
            to_ms=NOW_MS + DAY_MS,
            stores=False,
        ),
        value="rows",
        keys=(),
        bounds=Bounds(1, 0, 40),
        mechanism=Mechanism("laplace", 80.0),
    )
    return msgspec.structs.replace(asked, **changes)


def a_study(**changes: Any) -> Study:
    """Three periods of a day from `NOW_MS` on, two repetitions, at least two people."""
    made = Study(
        version=studies.VERSION,
        title="How much is recorded",
        purpose="To see that it works.",
        ethics="none is needed, since nobody is real",
        consent="You agree to be counted.",
        consent_version="1",
        questions=(a_question(),),
        minimum=2,
        target=1000,
        starts_ms=NOW_MS,
        period_ms=DAY_MS,
        periods=3,
        repetitions=2,
        gather_ms=HOUR_MS,
        answer_ms=HOUR_MS,
        deadline_ms=1500,
        aggregator=Parts(("measured-supervisor",), ("measured-aggregator",)),
    )
    return msgspec.structs.replace(made, **changes)


def signed(study: Study, signer: SigningKey = RESEARCHER) -> bytes:
    """An envelope, whatever the study says."""
    return dsse.sign(STUDY_TYPE, encode_json(study), signer)


def opened(study: Study) -> Signed:
    return studies.open_(signed(study))


def a_query(study: Digest, repetition: int = 0, period: int = 0, name: str = "aggregator") -> Query:
    """A query; another one for each name."""
    return Query(study, repetition, period, RECIPIENT, key(name).public)


def a_budget(total: int = MAX_TOTAL, period_ms: int = 365 * DAY_MS, since_ms: int = NOW_MS) -> BudgetSet:
    return BudgetSet(total, period_ms, since_ms)


def joining(study: Study | None = None, name: str = "member", total: int = MAX_TOTAL) -> tuple[Owner, Digest, int]:
    """An owner with a witness who takes part in a study, its digest, and the number of the entry."""
    owner, envelope = an_owner(name), signed(study or a_study())
    owner.add(owner.witness(key("witness")))
    owner.add(a_budget(total))
    state = owner.add(Joined(envelope.decode()), owner.device)
    return owner, sha256(envelope), state.head.number


def an_intent(query: Query) -> Intended:
    return Intended(query.study, query.period, query.id)


def a_study_debit(query: Query, membership: int, read_to: Head | None, **changes: Any) -> StudyDebited:
    made = StudyDebited(
        membership=membership,
        query=query,
        reads=(Reading({"location": ("ts_ms",)}, NOW_MS, NOW_MS + DAY_MS),),
        withheld=(),
        cost=a_study().cost,
        read_to=read_to,
        epochs=(1,),
    )
    return msgspec.structs.replace(made, **changes)


def what_was_sent(query: Query, **changes: Any) -> Contributed:
    made = Contributed(query.study, query.repetition, query.id, (((0, 3),),), ("",), {"location": 3}, NOW_MS, {}, {})
    return msgspec.structs.replace(made, **changes)
