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
    LaunchAlgorithm,
    LaunchCloud,
    Launched,
    ListClouds,
    Refused,
)
from waykeep.formats.ids import Digest, OwnerId
from waykeep.formats.wire import decode_frame, encode_frame, frame_length

_FAMILIES = {kind.family: kind for kind in WaykeepError.__subclasses__()}
_PREFIX_BYTES = 4
R = TypeVar("R", Launched, Clouds)


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

    async def launch_algorithm(self, digest: Digest, bundle: bytes) -> Launched:
        """Where a new algorithm service for one run of this bundle listens. Raises as `_ask` does."""
        return await self._ask(LaunchAlgorithm(digest, bundle), Launched)

    async def clouds(self) -> Clouds:
        """What runs on this node. Raises as `_ask` does."""
        return await self._ask(ListClouds(), Clouds)

    async def _ask(self, request: ControlRequest, kind: type[R]) -> R:
        """One request and its answer.

        Raises:
            HostError: ``supervisor-unreachable`` (503), ``supervisor-timeout`` (504), ``supervisor-malformed`` (502).
            WaykeepError: What the supervisor itself refused, under the rule that it names.
        """
        frame = encode_frame(request)
        try:
            async with asyncio.timeout(self._timeout_s):
                body = await self._exchange(frame)
        except TimeoutError:
            raise HostError(
                "supervisor-timeout",
                f"the supervisor did not answer within {self._timeout_s:g} seconds",
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
