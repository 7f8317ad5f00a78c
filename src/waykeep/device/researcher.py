"""A researcher at work: a study on a host's board, a query of it from the first ring to the release, and its check."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from waykeep.attestation import evidence as evidence_format
from waykeep.attestation.appraisal import AttestationResult, Expectation
from waykeep.attestation.evidence import AGGREGATOR
from waykeep.authority import keys, queries, studies
from waykeep.authority.keys import SigningKey
from waykeep.authority.queries import ANSWERING, ENDED, GATHERING, RELEASED, Checked, Published, QueryStatus
from waykeep.authority.studies import Signed
from waykeep.channel.client import AttestedClient
from waykeep.channel.exchange import Exchanges, Unanswered
from waykeep.channel.trust import Trust
from waykeep.device.hostclient import HostClient
from waykeep.errors import DeviceError, HostError
from waykeep.formats import problem
from waykeep.formats.ids import query_binding
from waykeep.formats.messages import Address, OpenQuery, Rings, RungAll, StartQuery
from waykeep.formats.wire import MIB, decode_json, encode_json

MAX_RELEASE = 8 * MIB
WAIT_S = 0.25
AGAIN_S = 5.0
"""Between two rounds of rings."""


class Progress(NamedTuple):
    """Where a query stands, and the host's round of rings."""

    status: QueryStatus
    rung: RungAll


class Places(NamedTuple):
    """Where a query is asked.

    Attributes:
        host: Of the members, as a URL. aggregator: Who starts aggregators, as a URL.
    """

    host: str
    aggregator: str


def publish(host_url: str, envelope: bytes) -> Signed:
    """Put a study on a host's board, where its bundles lie already.

    Raises: as `studies.open_`; HostError: ``bundle-unknown`` for one that was not published there.
    """
    signed = studies.open_(envelope)
    host = HostClient(host_url)
    try:
        for question in signed.study.questions:
            host.bundle(question.algorithm)
        host.put_study(signed.digest, envelope)
    finally:
        host.close()
    return signed


def run(
    envelope: bytes,
    repetition: int,
    key: SigningKey,
    places: Places,
    trust: Trust,
    clock: Callable[[], int],
    progress: Callable[[Progress], None] = lambda _: None,
) -> Published:
    """Ask a study once: an aggregator is started and appraised, all who take part are rung, and the release is checked.

    Args:
        trust: What aggregator and members have to prove.

    Raises:
        DeviceError: ``query-ended``, naming the word with which the aggregator ended it. AttestationError, ChannelError
            for the aggregator; HostError; and as `verify`.
    """
    signed = studies.open_(envelope)
    address = open_query(places.aggregator, OpenQuery(signed.digest, repetition))
    host = HostClient(places.host, None, key)
    binding = query_binding(signed.digest, repetition)
    try:
        with AttestedClient(
            address, workload=AGGREGATOR, binding=binding, trust=trust, clock=clock, signer=key
        ) as aggregator:
            begin = encode_json(StartQuery(envelope.decode(), trust.to_message()))
            aggregator.request("POST", "/v1/query", begin)
            try:
                _conduct(_Query(host, aggregator, signed, Rings(repetition, address)), progress)
            except DeviceError:
                _stop(aggregator)  # there will be nothing to fetch, and its place may be needed
                raise
            published = decode_json(
                aggregator.request("GET", "/v1/release"), Published, limit=MAX_RELEASE, what="a release"
            )
            verify(published, trust)
            _stop(aggregator)
    finally:
        host.close()
    return published


class _Query(NamedTuple):
    host: HostClient
    aggregator: AttestedClient
    signed: Signed
    rings: Rings

    def status(self) -> QueryStatus:
        return _status(self.aggregator.request("GET", "/v1/query"))


def _status(body: bytes) -> QueryStatus:
    return decode_json(body, QueryStatus, what="a query's status")


def _conduct(query: _Query, progress: Callable[[Progress], None]) -> None:
    """Ring until there is a release. A round that nobody answers is repeated: a ring changes nothing by itself."""
    while True:
        query.host.ring(query.signed.digest, query.rings)
        before = query.status()
        while True:
            rung, status = query.host.rung(query.signed.digest), query.status()
            progress(Progress(status, rung))
            if status.phase == RELEASED:
                return
            if status.phase == ENDED:
                raise _ended(status, rung)
            if not rung.waiting:
                break
            time.sleep(WAIT_S)
        if status.phase == GATHERING and before.phase == GATHERING:
            # All who are there have said so; more come only if they are rung again.
            status = _status(query.aggregator.request("POST", "/v1/freeze", b"{}"))
            if status.phase == ENDED:
                raise _ended(status, rung)
        elif status.phase == ANSWERING and before.phase == ANSWERING:
            time.sleep(AGAIN_S)  # somebody could not answer, and is given time


def _stop(aggregator: AttestedClient) -> None:
    aggregator.request("POST", "/v1/stop", b"{}")


def _ended(status: QueryStatus, rung: RungAll) -> DeviceError:
    told = ", ".join(f"{outcome} {count}" for outcome, count in sorted(rung.outcomes.items()))
    return DeviceError(
        "query-ended",
        f"the query ended without a release: {status.ended}; of those rung last: {told or 'none'}",
        hint="nobody learns more of it; a later period may try again what nobody was debited for",
        status=409,
    )


def stop(study: Signed, key: SigningKey, host_url: str) -> None:
    """Have nobody rung for a study any more. Raises: HostError."""
    host = HostClient(host_url, None, key)
    try:
        host.stop_study(study.digest)
    finally:
        host.close()


def verify(published: Published, trust: Trust) -> tuple[Checked, AttestationResult]:
    """A release, and what made it: an aggregator that its study names, bound to it, whose evidence names its keys.

    The evidence's age is not judged: the keys that it names were in that process only, and are gone.

    Raises: AuthorityError: As `queries.open_release`. AttestationError: As `Trust.appraise`.
    """
    checked = queries.open_release(published)
    query, parts = checked.release.query, checked.signed.study.aggregator
    binding = query_binding(query.study, query.repetition)
    expected = Expectation(AGGREGATOR, binding, keys.spki_digest(query.key), query.nonce)
    quoted_ms = evidence_format.decode(published.evidence).platform.binding.time_ms
    demanded = trust.only(AGGREGATOR, parts.supervisors, parts.aggregators)
    return checked, demanded.appraise(published.evidence, published.claims, expected, quoted_ms)


def opened(path: Path) -> Checked:
    """What the release in a file says. Raises as `read` and `queries.open_release`."""
    return queries.open_release(read(path))


def read(path: Path) -> Published:
    """The release in a file. Raises: DeviceError: ``release-missing``; FormatError."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DeviceError("release-missing", f"cannot read the release ({error.strerror})") from None
    return decode_json(data, Published, limit=MAX_RELEASE, what="a release")


def open_query(url: str, asked: OpenQuery) -> Address:
    """Have an aggregator started; where it listens. Raises: HostError: ``aggregator-unreachable``, and its refusals."""
    http = Exchanges(step_s=30.0, total_s=60.0)
    try:
        status, body = http.exchange(
            "POST",
            url.rstrip("/") + "/v1/queries",
            [("content-type", "application/json")],
            encode_json(asked),
            limit=MIB,
        )
    except Unanswered as error:
        raise HostError(
            "aggregator-unreachable", f"found no answer of the aggregator's host ({error})", status=502
        ) from None
    finally:
        http.close()
    if status >= 400:
        raise problem.decode(body)
    return decode_json(body, Address, what="an address")
