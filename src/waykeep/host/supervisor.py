"""Asking the supervisor for processes: one connection a request, one frame each way, over its Unix socket.

Nothing is remembered between two requests, so host and supervisor may each be killed and started again on its own.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TypeVar

from waykeep.errors import FormatError, HostError, SupervisorError, WaykeepError
from waykeep.formats.frames import (
    Clouds,
    ControlReply,
    ControlRequest,
    LaunchAggregator,
    LaunchAlgorithm,
    LaunchCloud,
    Launched,
    ListClouds,
    Refused,
    RingCloud,
)
from waykeep.formats.ids import Digest, OwnerId
from waykeep.formats.messages import Ring, Rung
from waykeep.formats.wire import decode_frame, encode_frame, frame_length

_FAMILIES = {kind.family: kind for kind in WaykeepError.__subclasses__()}
_PREFIX_BYTES = 4
R = TypeVar("R", Launched, Clouds, Rung)
RING_S = 1000.0
"""A supervisor waits for a user cloud for less."""


class Supervisor:
    """The supervisor behind a Unix socket.

    Args:
        path: Its socket.
        timeout_s: The longest time that one request may take, in seconds; a launch on some platforms takes several.
    """

    def __init__(self, path: str | Path, *, timeout_s: float = 30.0) -> None:
        self._path = str(path)
        self._timeout_s = timeout_s

    async def launch_cloud(self, owner: OwnerId, host_url: str) -> Launched:
        """Where the owner's user cloud listens, started if none runs. Raises as `_ask` does."""
        return await self._ask(LaunchCloud(owner, host_url), Launched)

    async def launch_algorithm(self, digest: Digest, bundle: bytes, most: int, wait_s: float) -> Launched:
        """Where a new algorithm service for one run of this bundle listens, once fewer than ``most`` run.

        Raises as `_ask` does.
        """
        request = LaunchAlgorithm(digest, bundle, most, wait_s)
        return await self._ask(request, Launched, self._timeout_s + wait_s)

    async def launch_aggregator(self, study: Digest, repetition: int) -> Launched:
        """Where a new aggregator for one query listens. Raises as `_ask` does."""
        return await self._ask(LaunchAggregator(study, repetition), Launched)

    async def ring(self, owner: OwnerId, host_url: str, ring: Ring) -> Rung:
        """What a ring comes to; it takes as long as the user cloud needs. Raises as `_ask` does."""
        return await self._ask(RingCloud(owner, host_url, ring), Rung, RING_S)

    async def clouds(self) -> Clouds:
        """What runs on this node. Raises as `_ask` does."""
        return await self._ask(ListClouds(), Clouds)

    async def _ask(self, request: ControlRequest, kind: type[R], timeout_s: float = 0.0) -> R:
        """One request and its answer.

        Raises:
            HostError: ``supervisor-unreachable`` (503), ``supervisor-timeout`` (504), ``supervisor-malformed`` (502).
            WaykeepError: What the supervisor itself refused, under the rule that it names.
        """
        frame, timeout_s = encode_frame(request), timeout_s or self._timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                body = await self._exchange(frame)
        except TimeoutError:
            raise HostError(
                "supervisor-timeout",
                f"the supervisor did not answer within {timeout_s:g} seconds",
                hint="what it was asked for may still come to be; ask again",
                status=504,
            ) from None
        except (OSError, EOFError):
            raise HostError(
                "supervisor-unreachable",
                "the supervisor of this node does not answer",
                hint="start it with 'waykeep supervisor serve', or look at its log",
                status=503,
            ) from None
        except FormatError:
            raise _malformed() from None
        try:
            # mypy knows no type of a union.
            reply: ControlReply = decode_frame(body, ControlReply, what="the supervisor's answer")  # type: ignore[arg-type]
        except FormatError:
            raise _malformed() from None
        if isinstance(reply, Refused):
            raise _refusal(reply)
        if not isinstance(reply, kind):
            raise _malformed()
        return reply

    async def _exchange(self, frame: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(self._path)
        try:
            writer.write(frame)
            await writer.drain()
            return await reader.readexactly(frame_length(await reader.readexactly(_PREFIX_BYTES)))
        finally:
            writer.transport.abort()  # the answer is complete, or of no use: nothing is left to flush


def _refusal(reply: Refused) -> WaykeepError:
    try:
        return _FAMILIES.get(reply.family, SupervisorError)(
            reply.rule, reply.message, hint=reply.hint, status=reply.status
        )
    except ValueError:
        return _malformed()


def _malformed() -> HostError:
    return HostError(
        "supervisor-malformed", "the supervisor answered with what is no answer to the question", status=502
    )
