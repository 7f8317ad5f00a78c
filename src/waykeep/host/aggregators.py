"""The way to an aggregator: a process of its own for each query, started by this machine's supervisor.

Whoever runs this passes on where it listens, and no more. It is appraised by the researcher and by each member.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.responses import Response

from waykeep.formats.messages import Address, OpenQuery
from waykeep.formats.wire import decode_json
from waykeep.host.answers import JSON, answer
from waykeep.host.app import application
from waykeep.host.inbound import Inbound
from waykeep.host.openapi import Described
from waykeep.host.ports import Health, HostLimits
from waykeep.host.supervisor import Supervisor

MAX_OPEN = 4096


class Aggregators:
    """Starts aggregators through the supervisor."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor

    async def open(self, inbound: Inbound) -> Response:
        """``POST /v1/queries``"""
        asked = decode_json(await inbound.read(MAX_OPEN), OpenQuery, what="a request for an aggregator")
        launched = await self._supervisor.launch_aggregator(asked.study, asked.repetition)
        return answer(Address(launched.host, launched.port, launched.started), 201)

    async def healthz(self, _: Inbound) -> Response:
        """``GET /healthz``"""
        return answer(Health("ok"))


def create_app(supervisor: Supervisor, *, limits: HostLimits | None = None) -> Starlette:
    """The front of an aggregator's node as an ASGI application. It keeps nothing."""
    made = Aggregators(supervisor)
    table = [
        (
            Described("POST", "/v1/queries", "Launch an aggregator for one query of a study.", {201: Address}, JSON),
            made.open,
        ),
        (Described("GET", "/healthz", "The process answers.", {200: Health}), made.healthz),
    ]
    return application(table, limits or HostLimits(), "http")
