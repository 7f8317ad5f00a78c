"""A user cloud's HTTP.

Every request but the one for evidence is signed by a device of its owner, for this very process.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress

import anyio
import anyio.to_thread
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from waykeep.authority import links
from waykeep.authority.asking import Spend
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.permissions import Granted
from waykeep.authority.plans import own_reading
from waykeep.channel.server import AttestedServer, json, read_body
from waykeep.errors import AuthorityError, UserCloudError, VaultError, WaykeepError
from waykeep.formats import streams, table
from waykeep.formats.messages import Accept, Run, Suspend, Unlock
from waykeep.formats.wire import MAX_JSON, decode_json
from waykeep.usercloud import reading
from waykeep.usercloud.cloud import Cloud
from waykeep.usercloud.runs import Runner
from waykeep.usercloud.sleeping import Bed
from waykeep.usercloud.spends import Spender
from waykeep.usercloud.uploads import accept, accept_left

SPENDS_AT_ONCE = 8
_MILLIS = re.compile(r"[0-9]{1,13}")


class Routes:
    """Handlers over one cloud. Work that blocks runs in a worker thread, under the cloud's lock."""

    def __init__(self, server: AttestedServer, cloud: Cloud, runner: Runner, spender: Spender, bed: Bed) -> None:
        self._server, self._cloud, self._runner, self._spender, self._bed = server, cloud, runner, spender, bed
        self.on_suspend: Callable[[], None] = lambda: None
        # A slow witness, or many holders, leave threads for the owner.
        self._spending = anyio.CapacityLimiter(SPENDS_AT_ONCE)

    def all(self) -> list[Route]:
        return [
            Route("/v1/unlock", self.unlock, methods=["POST"]),
            Route("/v1/status", self.status, methods=["GET"]),
            Route("/v1/segments", self.accept, methods=["POST"]),
            Route("/v1/runs", self.run, methods=["POST"]),
            Route("/v1/rows", self.rows, methods=["GET"]),
            Route("/v1/spends", self.spend, methods=["POST"]),
            Route("/v1/suspend", self.suspend, methods=["POST"]),
        ]

    async def _signed(self, request: Request) -> bytes:
        """The body of a request that a device of the owner signed.

        Raises:
            AuthorityError: ``foreign-request`` (403) when the key is none of this owner's devices; others as `verify`
                does.
        """
        body = await read_body(request, MAX_JSON)
        log = await anyio.to_thread.run_sync(self._cloud.refresh)
        self._verify(request, body, set(log.devices))
        return body

    def _verify(self, request: Request, body: bytes, devices: set[str]) -> None:
        named = request.headers.get("signature-input", "")
        if named and not any(f'keyid="{key}"' in named for key in devices):
            raise AuthorityError(
                "foreign-request",
                "found a request by a key that is no device of this user cloud's owner",
                hint="each owner has a user cloud of their own",
                status=403,
            )
        self._server.verify(request, body, devices)

    async def unlock(self, request: Request) -> Response:
        """The one request that brings its own proof: it opens the owner log that names its signer."""
        body = await read_body(request, MAX_JSON)
        if "signature-input" not in request.headers:
            raise AuthorityError("request-unsigned", "found a request without a signature", status=401)
        asked = decode_json(body, Unlock, what="an unlock request")
        log = await anyio.to_thread.run_sync(self._cloud.look, asked)
        self._verify(request, body, set(log.devices))
        unlocked = await anyio.to_thread.run_sync(self._cloud.unlock, asked, log)
        # A failing store is no reason to stay locked: only waking would need the owner again.
        with suppress(AuthorityError, VaultError):
            await anyio.to_thread.run_sync(self._bed.seal)
            await anyio.to_thread.run_sync(accept_left, self._cloud)
        return json(unlocked)

    async def status(self, request: Request) -> Response:
        await self._signed(request)
        return json(await anyio.to_thread.run_sync(self._cloud.status))

    async def accept(self, request: Request) -> Response:
        asked = decode_json(await self._signed(request), Accept, what="an accept request")
        return json(await anyio.to_thread.run_sync(accept, self._cloud, asked.names))

    async def run(self, request: Request) -> Response:
        asked = decode_json(await self._signed(request), Run, what="a run request")
        return json(await anyio.to_thread.run_sync(self._runner.run, asked))

    async def spend(self, request: Request) -> Response:
        """A holder's request: signed by the key that its chain of links ends with, or that its grant names."""
        body = await read_body(request, MAX_JSON)
        log = await anyio.to_thread.run_sync(self._cloud.refresh)
        asked = decode_json(body, Spend, what="a spend request")
        holder = self._server.verify(request, body, _claimed(log, asked))
        return json(await anyio.to_thread.run_sync(self._spender.spend, asked, holder, limiter=self._spending))

    async def suspend(self, request: Request) -> Response:
        """Write down what waking needs, answer, and end."""
        asked = decode_json(await self._signed(request), Suspend, what="a suspend request")
        suspended = await anyio.to_thread.run_sync(lambda: self._bed.sleep(forget=asked.forget))
        self.on_suspend()
        return json(suspended)

    async def rows(self, request: Request) -> Response:
        """A stream's rows within a window, as Parquet: the owner's own timeline, for their own device."""
        await self._signed(request)
        stream = streams.parse_stream(request.query_params.get("stream", ""))
        window = [request.query_params.get(name, "") for name in ("from_ms", "to_ms")]
        if not all(_MILLIS.fullmatch(text) for text in window):
            raise UserCloudError("window-malformed", "found no window of time (from_ms, to_ms) in the request")
        plan = own_reading(stream, int(window[0]), int(window[1]))
        found = await anyio.to_thread.run_sync(reading.read, self._cloud, plan)
        headers = {"waykeep-epochs-missing": ",".join(map(str, found.epochs_missing))}
        return Response(
            table.to_parquet(found.tables[stream]), media_type="application/vnd.apache.parquet", headers=headers
        )


def _claimed(log: OwnerState, asked: Spend) -> set[str]:
    """Who has to have signed a request if all that it claims holds; that it does, `Spender` finds out."""
    if asked.links:
        try:
            return {links.holder_of(asked.links[-1].encode())}
        except WaykeepError:
            return set()
    entry = log.entries[asked.grant - 1][1].body if 1 <= asked.grant <= len(log.entries) else None
    return {entry.holder} if isinstance(entry, Granted) else set()
