"""Studies at the host: the board where they hang, and the bell.

Anybody may publish a study, since a digest names it and nobody takes part who did not join. Its researcher has those
rung who said in their key list that they take part. Who that is, the host knows; what comes of it, it does not.
"""

from __future__ import annotations

import asyncio
from collections import Counter

import anyio
from anyio.to_thread import run_sync
from starlette.responses import Response

from waykeep.errors import HostError, VaultError, WaykeepError
from waykeep.formats.ids import Digest, OwnerId, PublicKey, parse_digest, sha256
from waykeep.formats.messages import Listing, Ring, Rings, RungAll, Stored
from waykeep.formats.wire import decode_json
from waykeep.host.answers import answer, octets
from waykeep.host.directory import Directory
from waykeep.host.inbound import Inbound
from waykeep.host.ports import Access, HostLimits, Store
from waykeep.host.supervisor import Supervisor

MAX_RINGS = 4096
"""Bytes of a request to ring."""
TRIES = 3
_KIND = "sha256:"


class _Round:
    """One round of rings: what became of them, and how many wait."""

    def __init__(self, members: list[OwnerId]) -> None:
        self.outcomes, self.waiting = Counter[str](), len(members)
        self.task: asyncio.Task[None] | None = None


class Studies:
    """Puts, gets and rings below ``/v1/studies``."""

    def __init__(
        self,
        store: Store,
        supervisor: Supervisor,
        directory: Directory,
        access: Access,
        limits: HostLimits,
        host_url: str,
    ) -> None:
        self._store, self._supervisor, self._directory, self._access = store, supervisor, directory, access
        self._limits, self._host_url = limits, host_url
        self._counting = anyio.Lock()
        self._rounds: dict[Digest, _Round] = {}

    async def put(self, inbound: Inbound) -> Response:
        """``PUT /v1/studies/{digest}``"""
        digest = parse_digest(inbound.part("digest"))
        body = await inbound.read(self._limits.object_bytes)
        if sha256(body) != digest:
            raise HostError("digest-mismatch", "found a study whose digest is not the one in the path")
        await run_sync(self._access.study, body)
        async with self._counting:
            new = await run_sync(self._put, digest, body)
        return answer(Stored(digest, new), 201 if new else 200)

    async def get(self, inbound: Inbound) -> Response:
        """``GET /v1/studies/{digest}``"""
        return octets(await run_sync(self._load, parse_digest(inbound.part("digest"))))

    async def names(self, inbound: Inbound) -> Response:
        """``GET /v1/studies?after=``: digests in ascending order."""
        after = inbound.query("after")
        last = parse_digest(after).removeprefix(_KIND) if after else ""
        page = self._limits.page
        names = await run_sync(self._store.names, "studies/", last, page + 1)
        return answer(Listing(tuple(_KIND + name for name in names[:page]), more=len(names) > page))

    async def stop(self, inbound: Inbound) -> Response:
        """``POST /v1/studies/{digest}/stop``: nobody is rung for it any more."""
        digest = parse_digest(inbound.part("digest"))
        await self._researcher(inbound, digest, b"")
        new = await run_sync(self._store.put_new, f"stopped/{digest.removeprefix(_KIND)}", b"stopped\n")
        return answer(Stored(digest, new))

    async def ring(self, inbound: Inbound) -> Response:
        """``POST /v1/studies/{digest}/rings``: begin a round; it goes on after the answer."""
        digest = parse_digest(inbound.part("digest"))
        body = await inbound.read(MAX_RINGS)
        await self._researcher(inbound, digest, body)
        asked = decode_json(body, Rings, what="a request to ring")
        under_way = self._rounds.get(digest)
        if under_way is not None and under_way.waiting:
            raise HostError("rings-under-way", "found a round of rings that has not ended", status=409)
        members = await run_sync(self._members, digest)
        found = self._rounds[digest] = _Round(members)
        ring = Ring(digest, asked.repetition, asked.aggregator)
        found.task = asyncio.create_task(self._ring_all(found, members, ring))
        return answer(_said(found), 202)

    async def rung(self, inbound: Inbound) -> Response:
        """``GET /v1/studies/{digest}/rings``: what became of the last round so far."""
        digest = parse_digest(inbound.part("digest"))
        await self._researcher(inbound, digest, b"")
        return answer(_said(self._rounds.get(digest) or _Round([])))

    async def _ring_all(self, found: _Round, members: list[OwnerId], ring: Ring) -> None:
        """Ring all, so many at once as this host allows: the others sleep on until it is their turn."""
        turns = asyncio.Semaphore(self._limits.rings)

        async def one(owner: OwnerId) -> None:
            async with turns:
                outcome = await self._ring(owner, ring)
            found.outcomes[outcome] += 1
            found.waiting -= 1

        await asyncio.gather(*map(one, members))

    async def _ring(self, owner: OwnerId, ring: Ring) -> str:
        """What a ring came to. The key list decides: an index of members is never the newest."""
        try:
            if ring.study not in (await self._directory.keys(owner)).studies:
                return "left"
            for tried in range(1, TRIES + 1):
                try:
                    return (await self._supervisor.ring(owner, self._host_url, ring)).outcome
                except WaykeepError as error:
                    if error.rule not in ("ring-lost", "start-failed", "too-many") or tried == TRIES:
                        raise
                    await asyncio.sleep(tried)
        except WaykeepError as error:
            return error.rule
        except Exception as error:  # noqa: BLE001 - a round goes on, and says that it was not rung
            return f"failed-{type(error).__name__.lower()}"
        return "failed"

    async def _researcher(self, inbound: Inbound, digest: Digest, body: bytes) -> PublicKey:
        """The study's researcher, who signed the request. Raises: AuthorityError with status 401."""
        envelope = await run_sync(self._load, digest)
        researcher = await run_sync(self._access.study, envelope)
        return self._access.authorize(inbound.signed(body), {researcher})

    def _load(self, digest: Digest) -> bytes:
        """Raises: HostError: ``study-unknown`` (404), ``study-stopped`` (410)."""
        name = digest.removeprefix(_KIND)
        if self._store.names("stopped/", limit=self._limits.studies) and self._stopped(name):
            raise HostError("study-stopped", "found a study that its researcher stopped", status=410)
        try:
            return self._store.get(f"studies/{name}")
        except VaultError as error:
            if error.status != 404:
                raise
            raise HostError(
                "study-unknown",
                "this host keeps no such study",
                hint="publish it with 'waykeep study publish'",
                status=404,
            ) from None

    def _stopped(self, name: str) -> bool:
        try:
            self._store.get(f"stopped/{name}")
        except VaultError as error:
            if error.status != 404:
                raise
            return False
        return True

    def _members(self, digest: Digest) -> list[OwnerId]:
        folder, found = f"members/{digest.removeprefix(_KIND)}/", list[OwnerId]()
        while names := self._store.names(folder, found[-1] if found else "", self._limits.page):
            found += map(OwnerId, names)
        return found

    def _put(self, digest: Digest, body: bytes) -> bool:
        name = digest.removeprefix(_KIND)
        names = self._store.names("studies/", limit=self._limits.studies)
        if len(names) >= self._limits.studies and name not in names:
            raise HostError(
                "host-full", f"this host keeps at most {self._limits.studies} studies", hint="ask another", status=507
            )
        self._store.create_members(name)
        return self._store.put_new(f"studies/{name}", body)


def _said(found: _Round) -> RungAll:
    return RungAll(dict(found.outcomes), found.waiting)
