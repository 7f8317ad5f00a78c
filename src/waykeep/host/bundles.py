"""Algorithm bundles by digest.

Anyone may publish: a digest names its bytes, and nothing runs on an owner's data that the owner did not approve.
"""

from __future__ import annotations

import anyio
from anyio.to_thread import run_sync
from starlette.responses import Response

from waykeep.errors import HostError, VaultError
from waykeep.formats.ids import Digest, parse_digest, sha256
from waykeep.formats.messages import Listing, Stored
from waykeep.host.answers import answer, octets
from waykeep.host.inbound import Inbound
from waykeep.host.ports import HostLimits, Store

_FOLDER = "bundles/"
_KIND = "sha256:"


class Bundles:
    """Puts and gets below ``/v1/bundles``."""

    def __init__(self, store: Store, limits: HostLimits) -> None:
        self._store, self._limits = store, limits
        self._counting = anyio.Lock()

    async def put(self, inbound: Inbound) -> Response:
        """``PUT /v1/bundles/{digest}``"""
        digest = parse_digest(inbound.part("digest"))
        body = await inbound.read(self._limits.object_bytes)
        if sha256(body) != digest:
            raise HostError("digest-mismatch", "found a bundle whose digest is not the one in the path")
        async with self._counting:
            new = await run_sync(self._put, digest, body)
        return answer(Stored(digest, new), 201 if new else 200)

    async def get(self, inbound: Inbound) -> Response:
        """``GET /v1/bundles/{digest}``"""
        return octets(await self.load(parse_digest(inbound.part("digest"))))

    async def names(self, inbound: Inbound) -> Response:
        """``GET /v1/bundles?after=``: digests in ascending order."""
        after = inbound.query("after")
        last = parse_digest(after).removeprefix(_KIND) if after else ""
        page = self._limits.page
        names = await run_sync(self._store.names, _FOLDER, last, page + 1)
        return answer(Listing(tuple(_KIND + name for name in names[:page]), more=len(names) > page))

    async def load(self, digest: Digest) -> bytes:
        """Raises: HostError: ``bundle-unknown`` (404)."""
        try:
            return await run_sync(self._store.get, _key(digest))
        except VaultError as error:
            if error.status != 404:
                raise
            raise HostError(
                "bundle-unknown",
                "this host keeps no such bundle",
                hint="publish it with 'waykeep algo publish'",
                status=404,
            ) from None

    def _put(self, digest: Digest, body: bytes) -> bool:
        names = self._store.names(_FOLDER, limit=self._limits.bundles)
        if len(names) >= self._limits.bundles and digest.removeprefix(_KIND) not in names:
            raise HostError(
                "host-full",
                f"this host keeps at most {self._limits.bundles} bundles",
                hint="ask another host",
                status=507,
            )
        return self._store.put_new(_key(digest), body)


def _key(digest: Digest) -> str:
    return _FOLDER + digest.removeprefix(_KIND)
