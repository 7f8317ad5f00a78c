"""One query from its first intent to its release. Time is passed in; nothing of it is written down anywhere.

Rules, by their names:

1. ``query-frozen``: an intent comes while intents are gathered; then the cohort stays as it is.
2. ``member-repeated``: an owner id is counted once, with one state key.
3. ``contribution-early``, ``contribution-foreign``: answers come from the cohort, once it is frozen.
4. ``contribution-repeated``: an answer is counted once; the same again changes nothing.
5. ``contribution-bounds`` and what else `queries.open_contribution` refuses: it counts as the default.
6. ``too-few``: fewer intents, or fewer answers, than the study's minimum release nothing.
7. ``query-over``: it was stopped, or released before.

A member who does not answer counts as the default, so the sum is always over the whole cohort. The cohort is frozen
when the target is reached or the time to gather is over, and summed when all have answered or the time to answer is
over."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from waykeep.authority import queries
from waykeep.authority.queries import ANSWERING, ENDED, GATHERING, RELEASED, Answer, Contribution, Phase, Query, Release
from waykeep.authority.studies import Study
from waykeep.errors import AggregatorError
from waykeep.formats.ids import Digest, OwnerId, PublicKey
from waykeep.privacy import bounds, noise

MAX_MEASURED: Final = 64
"""Different measurements of a part that a release names, at most."""


class Gathering:
    """The state of one query.

    Args:
        now_ms: When it begins, by the machine's clock: members judge its times by the witness's.
    """

    def __init__(self, study: Study, query: Query, now_ms: int) -> None:
        self._study, self.query = study, query
        self.phase: Phase = GATHERING
        self.ended = ""
        self._cohort: dict[OwnerId, PublicKey] = {}
        self._owners: dict[PublicKey, OwnerId] = {}
        self._answered: dict[OwnerId, Digest] = {}
        self._sums = [[0] * q.bounds.cells for q in study.questions]
        self._measured: dict[str, set[str]] = {}
        self.release: Release | None = None
        self._gathers_until = study.gathers_until(query.period)
        self._answers_until = study.answers_until(query.period)
        if now_ms >= self._gathers_until:
            self._end("too-few")

    def status(self, owner: OwnerId | None = None) -> queries.QueryStatus:
        """What everybody may know; and to a member whether its answer was counted."""
        cohort, answered = (len(known) - len(known) % 10 for known in (self._cohort, self._answered))
        return queries.QueryStatus(self.query, self.phase, self.ended, cohort, answered, owner in self._answered)

    def freeze(self) -> None:
        """By the researcher: nobody else is waited for."""
        if self.phase == GATHERING:
            self._freeze()

    def pass_time(self, now_ms: int) -> None:
        """Freeze the cohort, or sum up, where that is due."""
        full = len(self._cohort) >= self._study.target
        if self.phase == GATHERING and (full or now_ms >= self._gathers_until):
            self._freeze()
        if self.phase == ANSWERING and (len(self._answered) == len(self._cohort) or now_ms >= self._answers_until):
            self._sum_up()

    def _freeze(self) -> None:
        if len(self._cohort) < self._study.minimum:
            self._end("too-few")
        else:
            self.phase = ANSWERING

    def intend(self, owner: OwnerId, key: PublicKey, measured: Iterable[tuple[str, str]]) -> None:
        """An intent whose signature and evidence were appraised.

        Args:
            measured: The measurements of what the member runs, by part.

        Raises: AggregatorError: ``query-over``, ``query-frozen``, ``member-repeated`` (all 409).
        """
        known = self._cohort.get(owner)
        if known == key and self.phase in (GATHERING, ANSWERING):
            return
        self._require_open()
        if known is not None:
            raise _refused("member-repeated", "found an owner who takes part already, by another user cloud")
        if self.phase != GATHERING:
            raise _refused("query-frozen", "found an intent after the cohort was frozen")
        self._cohort[owner], self._owners[key] = key, owner
        self.note(measured)

    def contribute(self, key: PublicKey, digest: Digest, said: Contribution) -> None:
        """A contribution that `queries.open_contribution` found right.

        Args:
            key: Who signed it. digest: Of its envelope.

        Raises: AggregatorError: ``query-over``, ``contribution-foreign``, ``contribution-early``,
            ``contribution-repeated`` (all 409).
        """
        self._require_open()
        owner = self._owners.get(key)
        if owner is None:
            raise _refused("contribution-foreign", "found a contribution of somebody who is not in the cohort")
        if self.phase != ANSWERING:
            raise _refused("contribution-early", "found a contribution before the cohort was frozen")
        if self._answered.get(owner, digest) != digest:
            raise _refused("contribution-repeated", "found a second contribution of a member")
        if owner in self._answered:
            return
        self._answered[owner] = digest
        for sums, cells in zip(self._sums, said.answers, strict=True):
            for number, value in cells:
                sums[number] += value
        self.note(said.measured.items())

    def stop(self) -> None:
        """By the researcher: nothing is released. What was debited stays so."""
        self._require_open()
        self._end("stopped")

    def _sum_up(self) -> None:
        study, missing = self._study, len(self._cohort) - len(self._answered)
        if len(self._answered) < study.minimum:
            self._end("too-few")
            return
        answers = []
        for question, sums in zip(study.questions, self._sums, strict=True):
            whole = [a + missing * b for a, b in zip(sums, bounds.default(question.bounds), strict=True)]
            noisy = noise.release(whole, question.mechanism, question.bounds)
            least = question.threshold
            shown = tuple(value if least is None or value >= least else None for value in noisy)
            answers.append(Answer(shown, queries.interval(question)))
        cohort = queries.rounded(len(self._cohort), study.minimum)
        measured = {part: tuple(sorted(found)) for part, found in self._measured.items()}
        self.release = Release(self.query, tuple(answers), cohort, study.cost, measured)
        self._forget(RELEASED)

    def _end(self, rule: str) -> None:
        self.ended = rule
        self._forget(ENDED)

    def _forget(self, phase: Phase) -> None:
        self.phase = phase
        self._sums, self._cohort, self._owners, self._answered = [], {}, {}, {}

    def _require_open(self) -> None:
        if self.phase in (RELEASED, ENDED):
            raise _refused("query-over", "found a query that has ended")

    def note(self, measured: Iterable[tuple[str, str]]) -> None:
        """Keep measurements of parts that took part, for the release."""
        for part, value in measured:
            known = self._measured.setdefault(part, set())
            if len(known) < MAX_MEASURED:
                known.add(value)


def _refused(rule: str, found: str) -> AggregatorError:
    return AggregatorError(rule, found, hint="nothing of it was counted", status=409)
