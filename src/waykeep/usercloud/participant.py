"""Taking part in a study's query, in the order that `waykeep.authority.participating` gives.

The host rings, and says where the aggregator listens; this user cloud dials it and appraises it, proves itself by its
own evidence over its state key, and does what can be done now: it sends an intent, or once the cohort is frozen its
answer. A ring that is repeated does the same again: no second debit, and the same answer.

After the debit an answer of the same length is sent at the same time, whatever came of it: without data, and where the
algorithm failed, it is the default that the study declares. Each question has the study's time for itself, from when
its service is there: so nobody's answer depends on how many others wait for services.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import NamedTuple, Protocol

import msgspec

from waykeep.attestation import claims as claims_buffer
from waykeep.attestation.claims import Claims
from waykeep.attestation.evidence import AGGREGATOR
from waykeep.authority import contributing, keys, participating, queries, questions, studies
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.participating import Debit
from waykeep.authority.participation import Contributed
from waykeep.authority.plans import ReadPlan
from waykeep.authority.queries import Contribution, Query, QueryStatus
from waykeep.authority.studies import Question, Signed
from waykeep.channel.client import AttestedClient
from waykeep.errors import UserCloudError, WaykeepError, rule_of
from waykeep.formats import agefile, answers
from waykeep.formats.bundle import Bundle
from waykeep.formats.ids import Digest, query_binding
from waykeep.formats.messages import Intending, Ring
from waykeep.formats.wire import decode_json, encode_json
from waykeep.privacy import bounds
from waykeep.usercloud import reading
from waykeep.usercloud.cloud import Cloud
from waykeep.usercloud.computing import Computer, Service, Watch
from waykeep.usercloud.efforts import Effort
from waykeep.usercloud.outside import fetch_bundle
from waykeep.usercloud.witnessing import Witnessing

LATE = "run-late"
NO_DATA = "no-data"
_TOLD = frozenset({"attestation", "channel", "witness", "host", "vault", "aggregator"})
"""Families whose rules the host may learn: what an owner allows, or has left, is none of them."""


class Attester(Protocol):
    """Whoever makes evidence for this process."""

    def evidence(self, claims: bytes, sandbox: tuple[str, ...]) -> bytes: ...


class Came(msgspec.Struct, frozen=True):
    """What came of one question. ``failed`` is the rule by which it is the default, or empty."""

    vector: list[int]
    rows_in: dict[str, int]
    measured: dict[str, str]
    failed: str = ""


class _Aggregator(NamedTuple):
    """One that was appraised, and its query. ``counts``: it took the intent to take part, on this connection."""

    ring: Ring
    client: AttestedClient
    query: Query
    counts: bool


class _Job(NamedTuple):
    """A debit that was witnessed, and what is needed to do it; ``first`` is the service of the first question."""

    signed: Signed
    debit: Debit
    bundles: Mapping[Digest, Bundle]
    first: Service
    time_ms: int


class Participant:
    """Takes part in queries for one owner.

    Args:
        born: When this process began, on the clock of `Watch`: what passed until now was its waking.
    """

    def __init__(
        self, cloud: Cloud, computer: Computer, witnessing: Witnessing, attester: Attester, born: float
    ) -> None:
        waking = Watch(born)
        waking.lap("wake")
        self._before = waking.stages
        self._cloud, self._computer, self._witnessing, self._attester = cloud, computer, witnessing, attester
        self.event: Callable[[str], None] = lambda name: None
        self._kept: _Aggregator | None = None

    def answer(self, ring: Ring) -> str:
        """Do what a ring asks; what it came to, as `waykeep.formats.messages.Rung` says it. Raises nothing."""
        try:
            return self._take_part(ring)
        except WaykeepError as error:
            return error.rule if error.family in _TOLD else "refused"
        except Exception as error:  # noqa: BLE001 - whoever rings learns no more than that it failed
            self.event(rule_of(error))
            return "failed"

    def _take_part(self, ring: Ring) -> str:
        cloud, watch = self._cloud, Watch()
        log = cloud.refresh()
        # Before the witness or anybody else is asked.
        _, signed = contributing.membership(log, ring.study)
        time_ms = self._witnessing.stand(log)
        watch.lap("stand")
        kept, self._kept = self._kept, None
        found = kept if kept is not None and kept.ring == ring else None
        if kept is not None and found is None:
            kept.client.close()
        if found is None:
            found = self._dial(ring, signed, time_ms)
            watch.lap("appraise")
            self._before["appraise"] = watch.stages["appraise"]
        try:
            outcome = self._asked(found, log, signed, time_ms, watch)
        except BaseException:
            found.client.close()
            raise
        if outcome in (queries.GATHERING, queries.ANSWERING):
            # The next ring is for the same query: the peer is the one that was appraised, on the connection that is.
            self._kept = found._replace(counts=True)
        else:
            found.client.close()
        return outcome

    def _dial(self, ring: Ring, signed: Signed, time_ms: int) -> _Aggregator:
        """The aggregator of a ring, appraised. Raises: AttestationError; UserCloudError: ``query-mismatch``."""
        parts = signed.study.aggregator
        client = AttestedClient(
            ring.aggregator,
            workload=AGGREGATOR,
            binding=query_binding(ring.study, ring.repetition),
            trust=self._cloud.keys.trust.only(AGGREGATOR, parts.supervisors, parts.aggregators),
            clock=lambda: time_ms,
        )
        try:
            query = _status(client.request("GET", "/v1/query")).query
            if (query.study, query.repetition) != (ring.study, ring.repetition):
                raise UserCloudError("query-mismatch", "found a query of another study or repetition", status=409)
        except BaseException:
            client.close()
            raise
        return _Aggregator(ring, client, query, counts=False)

    def _asked(self, found: _Aggregator, log: OwnerState, signed: Signed, time_ms: int, watch: Watch) -> str:
        """Say that this owner takes part, or once the cohort is frozen answer."""
        client, query = found.client, found.query
        new = self._cloud.intend(log, query, time_ms)
        if found.counts and not new:
            status = _status(client.request("GET", "/v1/query"))
        else:
            status = _status(client.request("POST", "/v1/intents", self._intending(query, signed)))
        watch.lap("intend")
        if status.counted:
            return "answered"
        if new or status.phase != queries.ANSWERING:
            # Also whoever completed the cohort: the others are rung again once this round has ended.
            return status.phase
        client.request("POST", "/v1/contributions", self._answered(log, signed, query, time_ms, watch))
        return "answered"

    def _intending(self, query: Query, signed: Signed) -> bytes:
        key = self._cloud.state_key
        claims = claims_buffer.encode(Claims(keys.spki_digest(key.public), query.nonce))
        intent = queries.intent(query, signed.study, key)
        return encode_json(Intending(intent.decode(), self._attester.evidence(claims, ()), claims))

    # -- once the cohort is frozen -------------------------------------------------------------------------------------

    def _answered(self, log: OwnerState, signed: Signed, query: Query, time_ms: int, watch: Watch) -> bytes:
        """The sealed answer, once everything that it rests on is durable, witnessed and recorded."""
        cloud, asked = self._cloud, signed.study.questions
        bundles = {q.algorithm: fetch_bundle(self._computer.host_url, q.algorithm) for q in asked}
        for question in asked:
            questions.check(question, bundles[question.algorithm])
        watch.lap("fetch")
        # Before the debit: what this machine has no room for costs nobody anything, and is tried again.
        with self._computer.service(bundles[asked[0].algorithm], cloud.keys.trust, time_ms, watch) as first:
            inputs = [questions.inputs(bundles[q.algorithm]) for q in asked]
            debit, head = cloud.debit_study(log, query, inputs, time_ms)
            time_ms = self._witnessing.witness(log, head)
            participating.still(log, debit.made, time_ms)
            watch.lap("debit")
            known = cloud.journal.contributed(query.id)
            if known is None:
                came = self._came(_Job(signed, debit, bundles, first, time_ms), watch)
                known = _contributed(signed, query, came, time_ms, self._before | watch.stages)
                cloud.append(known)
            else:
                time.sleep(len(asked) * signed.study.deadline_ms / 1000)
        said = queries.contribution(Contribution(query.id, known.answers, known.measured), cloud.state_key)
        padded = answers.pad(said, queries.contribution_size(signed.study))
        return agefile.seal(padded, [query.recipient])

    def _came(self, job: _Job, watch: Watch) -> list[Came]:
        """What came of each question, in their order; nobody who leaves meanwhile stops it: the cohort is frozen."""
        found: list[Came] = []
        for question, plan in zip(job.signed.study.questions, job.debit.plans, strict=True):
            bundle = job.bundles[question.algorithm]
            if not found:
                found.append(self._in_time(question, bundle, plan, job, job.first, watch))
                continue
            try:
                with self._computer.service(bundle, self._cloud.keys.trust, job.time_ms, Watch()) as service:
                    found.append(self._in_time(question, bundle, plan, job, service, watch))
            except WaykeepError as error:
                found.append(_default(question, error.rule))
                time.sleep(job.signed.study.deadline_ms / 1000)
        return found

    def _in_time(
        self, question: Question, bundle: Bundle, plan: ReadPlan | None, job: _Job, service: Service, watch: Watch
    ) -> Came:
        """What came of a question in the time that it has, at the end of that time. Raises nothing."""
        ends = time.monotonic() + job.signed.study.deadline_ms / 1000
        ran = Watch()
        effort = Effort[Came](lambda effort: self._question(question, bundle, plan, job, service, effort))
        effort.wait(ends)
        ran.lap("run")
        watch.stages["run"] = watch.stages.get("run", 0.0) + ran.stages["run"]
        try:
            came = effort.result() or _default(question, LATE)
        except Exception as error:  # noqa: BLE001 - the default is sent, and the owner is told the kind
            came = _default(question, rule_of(error))
        time.sleep(max(0.0, ends - time.monotonic()))
        return came

    def _question(
        self,
        question: Question,
        bundle: Bundle,
        plan: ReadPlan | None,
        job: _Job,
        service: Service,
        effort: Effort[Came],
    ) -> Came:
        made = job.debit.made
        until = -1 if made.read_to is None else made.read_to.number
        # Where there is nothing to read, the same is done with no rows: it looks the same from outside.
        tables = questions.empty(bundle)
        if plan is not None:
            tables = reading.read(self._cloud, plan, until, made.epochs).tables
        rows = service.compute(question.parameters, tables, effort.stopped_by)
        counts = {stream: found.num_rows for stream, found in tables.items()}
        if not any(counts.values()):
            return msgspec.structs.replace(_default(question, NO_DATA), measured=service.measured)
        return Came(bounds.clamp(questions.vector(question, rows), question.bounds), counts, service.measured)


def _status(body: bytes) -> QueryStatus:
    return decode_json(body, QueryStatus, what="a query's status")


def _default(question: Question, rule: str) -> Came:
    return Came(bounds.default(question.bounds), {}, {}, rule)


def _contributed(signed: Signed, query: Query, came: list[Came], time_ms: int, stages: dict[str, float]) -> Contributed:
    rows_in: dict[str, int] = {}
    measured: dict[str, str] = {}
    for each in came:
        measured |= each.measured
        for stream, count in each.rows_in.items():
            rows_in[stream] = rows_in.get(stream, 0) + count
    return Contributed(
        study=signed.digest,
        repetition=query.repetition,
        query=query.id,
        answers=tuple(studies.sparse(each.vector) for each in came),
        defaulted=tuple(each.failed for each in came),
        rows_in=rows_in,
        time_ms=time_ms,
        measured=measured,
        stages=stages,
    )
