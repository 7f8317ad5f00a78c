"""Processes: the owner's user cloud, found or launched, and algorithm services, one for each run.

The host only passes on where a process listens. Whoever connects appraises it, so a host that lies about an address
gains nothing.
"""

from __future__ import annotations

from starlette.responses import Response

from waykeep.formats.frames import Launched
from waykeep.formats.ids import parse_digest, parse_owner_id
from waykeep.formats.messages import Address, Doorbell
from waykeep.formats.wire import decode_json
from waykeep.host.answers import answer
from waykeep.host.bundles import Bundles
from waykeep.host.directory import Directory
from waykeep.host.inbound import Inbound
from waykeep.host.ports import HostLimits
from waykeep.host.supervisor import Supervisor

MAX_DOORBELL = 64 << 10


class Clouds:
    """Launches through the supervisor."""

    def __init__(
        self, supervisor: Supervisor, directory: Directory, bundles: Bundles, limits: HostLimits, host_url: str
    ) -> None:
        self._supervisor, self._directory, self._bundles = supervisor, directory, bundles
        self._limits, self._host_url = limits, host_url

    async def cloud(self, inbound: Inbound) -> Response:
        """``POST /v1/owners/{owner}/cloud``"""
        owner = parse_owner_id(inbound.part("owner"))
        keys = await self._directory.keys(owner)
        body = b"" if inbound.ended else await inbound.read(MAX_DOORBELL)
        callers = keys.devices + keys.callers
        if body:
            rung = decode_json(body, Doorbell, what="a doorbell")
            callers = (self._directory.introduced(owner, keys, rung),)
        self._directory.authorize(inbound, keys, callers, body)
        return _address(await self._supervisor.launch_cloud(owner, self._host_url))

    async def algorithm(self, inbound: Inbound) -> Response:
        """``POST /v1/algorithms/{digest}/services``"""
        digest = parse_digest(inbound.part("digest"))
        bundle = await self._bundles.load(digest)
        limits = self._limits
        return _address(await self._supervisor.launch_algorithm(digest, bundle, limits.algorithms, limits.queue_s))


def _address(launched: Launched) -> Response:
    found = Address(launched.host, launched.port, launched.started)
    return answer(found, 201 if launched.started else 200)
