"""Probes for whoever operates the host: alive, ready, counters, and the interface itself."""

from __future__ import annotations

from anyio.to_thread import run_sync
from starlette.responses import Response

from waykeep.host.answers import JSON, answer
from waykeep.host.inbound import Inbound
from waykeep.host.metrics import Metrics
from waykeep.host.ports import Health, Store
from waykeep.host.supervisor import Supervisor

METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class Probes:
    """Answers that tell nothing of owners."""

    def __init__(self, store: Store, supervisor: Supervisor, metrics: Metrics) -> None:
        self._store, self._supervisor, self._metrics = store, supervisor, metrics
        self.openapi = b"{}"

    async def healthz(self, inbound: Inbound) -> Response:
        """``GET /healthz``: the process answers."""
        return answer(Health("ok"))

    async def readyz(self, inbound: Inbound) -> Response:
        """``GET /readyz``: the store can be read and the supervisor answers; else a problem document says which not."""
        await run_sync(self._store.names, "bundles/", "", 1)
        await self._supervisor.clouds()
        return answer(Health("ok"))

    async def metrics(self, inbound: Inbound) -> Response:
        """``GET /metrics``"""
        return Response(self._metrics.render(), headers={"content-type": METRICS_TYPE})

    async def interface(self, inbound: Inbound) -> Response:
        """``GET /openapi.json``"""
        return Response(self.openapi, media_type=JSON)
