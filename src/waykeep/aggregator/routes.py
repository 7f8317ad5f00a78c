"""An aggregator's HTTP. The researcher's requests are signed for this very process; members' messages are signed
themselves, and bound to the query.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from waykeep.aggregator import members
from waykeep.aggregator.query import Gathering
from waykeep.aggregator.turns import Turns
from waykeep.attestation import claims as claims_buffer
from waykeep.attestation.claims import Claims
from waykeep.attestation.evidence import AGGREGATOR
from waykeep.authority import dsse, keys, queries, studies
from waykeep.authority.keys import SigningKey
from waykeep.authority.queries import Published, Query
from waykeep.authority.studies import Signed
from waykeep.channel import trust
from waykeep.channel.server import AttestedServer, Attester, json, read_body
from waykeep.channel.trust import Trust
from waykeep.errors import AggregatorError
from waykeep.formats import agefile
from waykeep.formats.frames import AssignAggregator
from waykeep.formats.messages import Intending, StartQuery
from waykeep.formats.wire import MAX_JSON, MIB, decode_json, encode_json

AT_ONCE = 4
"""Messages that are appraised or opened at once; the others wait."""
WAITING = 512
"""So many are there at most; more are sent away, and come again."""


class _Begun(NamedTuple):
    """A query with its keys, which lie here and nowhere else. ``trust`` is what members have to prove."""

    signed: Signed
    envelope: str
    trust: Trust
    gathering: Gathering
    secret: str
    key: SigningKey


class Routes:
    """Handlers over one query.

    Args:
        clock: The machine's, in ms. It says how long to wait for members, who judge times by their witnesses.
    """

    def __init__(
        self, attester: Attester, server: AttestedServer, assigned: AssignAggregator, clock: Callable[[], int]
    ) -> None:
        self._attester, self._server, self._assigned, self._clock = attester, server, assigned, clock
        self._begun: _Begun | None = None
        self._published = b""
        self._turns = Turns(AT_ONCE, WAITING)
        self.on_stop: Callable[[], None] = lambda: None

    def all(self) -> list[Route]:
        return [
            Route("/v1/query", self.start, methods=["POST"]),
            Route("/v1/query", self.status, methods=["GET"]),
            Route("/v1/intents", self.intend, methods=["POST"]),
            Route("/v1/contributions", self.contribute, methods=["POST"]),
            Route("/v1/release", self.release, methods=["GET"]),
            Route("/v1/freeze", self.freeze, methods=["POST"]),
            Route("/v1/stop", self.stop, methods=["POST"]),
        ]

    @property
    def started(self) -> bool:
        return self._begun is not None

    @property
    def over(self) -> bool:
        """Whether nothing will happen to the query any more."""
        return self._begun is not None and self._begun.gathering.phase in (queries.RELEASED, queries.ENDED)

    @property
    def released(self) -> bool:
        return bool(self._published)

    def pass_time(self) -> None:
        """Do what is due by now."""
        if self._begun is None or self._published:
            return
        gathering = self._begun.gathering
        gathering.pass_time(self._clock())
        if gathering.release is not None:
            self._published = self._publish(self._begun, gathering.release)

    def _publish(self, begun: _Begun, release: queries.Release) -> bytes:
        query, key = release.query, begun.key
        claims = claims_buffer.encode(Claims(keys.spki_digest(key.public), query.nonce))
        envelope = dsse.sign(queries.RELEASE_TYPE, encode_json(release), key)
        evidence = self._attester.evidence(claims, ())
        return encode_json(Published(begun.envelope, envelope.decode(), evidence, claims))

    # -- the researcher's ----------------------------------------------------------------------------------------------

    async def start(self, request: Request) -> Response:
        """Begin with the study that this process is bound to. Raises: AggregatorError: ``study-mismatch``."""
        body = await read_body(request, MAX_JSON)
        asked = decode_json(body, StartQuery, what="a start request")
        signed = studies.open_(asked.study.encode())
        self._server.verify(request, body, {signed.researcher})
        repetition = self._assigned.repetition
        if signed.digest != self._assigned.study or repetition >= signed.study.repetitions:
            raise AggregatorError(
                "study-mismatch", "found another study or repetition than this aggregator is bound to", status=409
            )
        if self._begun is None:
            self._begun = self._begin(signed, asked)
        return json(self._query.gathering.status())

    def _begin(self, signed: Signed, asked: StartQuery) -> _Begun:
        now_ms = self._clock()
        secret, recipient = agefile.generate()
        key = SigningKey(secrets.token_bytes(32))
        period = studies.period_at(signed.study, now_ms)
        query = Query(signed.digest, self._assigned.repetition, period, recipient, key.public)
        gathering = Gathering(signed.study, query, now_ms)
        gathering.note(((AGGREGATOR, self._server.measurement),))
        return _Begun(signed, asked.study, trust.from_message(asked.appraisal), gathering, secret, key)

    async def freeze(self, request: Request) -> Response:
        """Wait for nobody else: with too few, the query ends."""
        body = await read_body(request, MIB)
        self._server.verify(request, body, {self._query.signed.researcher})
        self._query.gathering.freeze()
        return json(self._query.gathering.status())

    async def stop(self, request: Request) -> Response:
        """Release nothing, if nothing was released yet; and end this process."""
        body = await read_body(request, MIB)
        self._server.verify(request, body, {self._query.signed.researcher})
        if not self.over:
            self._query.gathering.stop()
        self.on_stop()
        return json(self._query.gathering.status())

    # -- everybody's ---------------------------------------------------------------------------------------------------

    async def status(self, _: Request) -> Response:
        self.pass_time()
        return json(self._query.gathering.status())

    async def release(self, _: Request) -> Response:
        """The release. Raises: AggregatorError: ``release-missing`` (409) while or where there is none."""
        self.pass_time()
        if not self._published:
            raise AggregatorError("release-missing", "found a query without a release", status=409)
        return Response(self._published, media_type="application/json")

    # -- members' ------------------------------------------------------------------------------------------------------

    async def intend(self, request: Request) -> Response:
        """A member takes part; or asks whether the cohort is frozen."""
        asked = decode_json(await read_body(request, MAX_JSON), Intending, what="an intent")
        begun, now_ms = self._query, self._clock()
        query, study = begun.gathering.query, begun.signed.study
        member = await self._turns.take(lambda: members.appraise(asked, query, study, begun.trust, now_ms))
        self.pass_time()
        begun.gathering.intend(member.owner, member.key, member.measured)
        self.pass_time()
        return json(begun.gathering.status(member.owner))

    async def contribute(self, request: Request) -> Response:
        """A member's answer, encrypted to this query's recipient."""
        begun = self._query
        query, study = begun.gathering.query, begun.signed.study
        body = await read_body(request, members.sealed_bytes(study))
        said, key, digest = await self._turns.take(lambda: members.open_answer(body, begun.secret, query, study))
        self.pass_time()
        begun.gathering.contribute(key, digest, said)
        self.pass_time()
        return json(begun.gathering.status())

    @property
    def _query(self) -> _Begun:
        """Raises: AggregatorError: ``query-unstarted`` (409)."""
        if self._begun is None:
            raise AggregatorError("query-unstarted", "found an aggregator that was not given its study yet", status=409)
        return self._begun
