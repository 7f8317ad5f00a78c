"""What a cloud journal says up to a head. `waykeep.authority.journal` has the rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import msgspec

from waykeep.authority.chains import Used
from waykeep.authority.participation import Contributed, StudyDebited
from waykeep.authority.records import Debited, RunDone, SegmentEntry, Spent
from waykeep.formats.ids import Digest
from waykeep.formats.messages import Head


class Base(Protocol):
    """What a snapshot holds of the records up to it; passed in, so that nothing of it need be in memory before it is
    asked for."""

    def digest(self, number: int) -> Digest | None: ...
    def segment(self, name: str) -> SegmentEntry | None: ...
    def ran(self, run_id: str) -> bool: ...
    def debit(self, request_id: str) -> Debited | None: ...
    def spent(self, request_id: str) -> bool: ...
    def intended(self, study: Digest, period: int) -> Digest | None: ...
    def contributing(self, study: Digest, repetition: int) -> StudyDebited | None: ...
    def contributed(self, query: Digest) -> Contributed | None: ...


class Nothing:
    """The base of a journal that is folded from its first record."""

    def digest(self, number: int) -> Digest | None:
        return None

    def segment(self, name: str) -> SegmentEntry | None:
        return None

    def ran(self, run_id: str) -> bool:
        return False

    def debit(self, request_id: str) -> Debited | None:
        return None

    def spent(self, request_id: str) -> bool:
        return False

    def intended(self, study: Digest, period: int) -> Digest | None:
        return None

    def contributing(self, study: Digest, repetition: int) -> StudyDebited | None:
        return None

    def contributed(self, query: Digest) -> Contributed | None:
        return None


class JournalState(msgspec.Struct, frozen=True):
    """What the journal says up to ``head``.

    Attributes:
        quoted: The number of the owner head that the newest record quotes.
        base: What a snapshot knows; the rest is what came after it.
        segments, runs, debits, outcomes: By name, run id and request id. Failures are no outcomes here.
        places: By a segment's name the number of the record that accepted it.
        digests: By number. Whether a head lies on this chain is told by them, never by asking the store again.
        used: Runs and bits that were debited, by digest of a grant's entry or a link, from the first record on.
        intents, contributions, sent: Of studies: by study and period the query's id, by study and repetition, and by
            the query's id.
        learned: Units of the ledger that were debited, by study, from the first record on.
    """

    head: Head | None
    quoted: int
    base: Base
    segments: dict[str, SegmentEntry]
    runs: dict[str, RunDone]
    debits: dict[str, Debited]
    outcomes: dict[str, Spent]
    used: dict[Digest, Used]
    places: dict[str, int]
    digests: dict[int, Digest]
    learned: dict[Digest, int] = {}
    intents: dict[tuple[Digest, int], Digest] = {}
    contributions: dict[tuple[Digest, int], StudyDebited] = {}
    sent: dict[Digest, Contributed] = {}

    def digest_at(self, number: int) -> Digest | None:
        """The digest of a record of this chain, None where it has none of that number."""
        return self.digests.get(number) or self.base.digest(number)

    def segment(self, name: str) -> SegmentEntry | None:
        return self.segments.get(name) or self.base.segment(name)

    def ran(self, run_id: str) -> bool:
        return run_id in self.runs or self.base.ran(run_id)

    def debit(self, request_id: str) -> Debited | None:
        return self.debits.get(request_id) or self.base.debit(request_id)

    def spent(self, request_id: str) -> bool:
        return request_id in self.outcomes or self.base.spent(request_id)

    def intended(self, study: Digest, period: int) -> Digest | None:
        """The id of the query of a period in which the owner takes part."""
        return self.intents.get((study, period)) or self.base.intended(study, period)

    def contributing(self, study: Digest, repetition: int) -> StudyDebited | None:
        return self.contributions.get((study, repetition)) or self.base.contributing(study, repetition)

    def contributed(self, query: Digest) -> Contributed | None:
        """What is sent for a debit of the query of this id."""
        return self.sent.get(query) or self.base.contributed(query)


def begin(
    base: Base | None = None,
    head: Head | None = None,
    quoted: int = 0,
    used: Mapping[Digest, Used] | None = None,
    learned: Mapping[Digest, int] | None = None,
) -> JournalState:
    """The state at a snapshot, or before the first record."""
    known = dict(learned or {})
    return JournalState(head, quoted, base or Nothing(), {}, {}, {}, {}, dict(used or {}), {}, {}, known)


EMPTY = begin()
