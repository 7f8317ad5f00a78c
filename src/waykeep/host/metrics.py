"""Counts and durations by route template, and one log line a request: no id, no digest, no path, no body in either."""

from __future__ import annotations

import logging
import time
import traceback
from bisect import bisect_left
from collections import Counter

from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOG = logging.getLogger("waykeep.host")
BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper ends of the histogram's buckets, in seconds."""
UNMATCHED = "unmatched"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})


class Metrics:
    """The host's counters, in memory."""

    def __init__(self) -> None:
        self._requests: Counter[tuple[str, str, int]] = Counter()
        self._buckets: dict[str, list[int]] = {}
        self._seconds: Counter[str] = Counter()

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        self._requests[method if method in _METHODS else "OTHER", route, status] += 1
        buckets = self._buckets.setdefault(route, [0] * (len(BOUNDS_S) + 1))
        buckets[bisect_left(BOUNDS_S, seconds)] += 1
        self._seconds[route] += seconds  # type: ignore[assignment]  # a Counter adds what it is given

    def render(self) -> str:
        """The Prometheus text format, version 0.0.4."""
        lines = [
            "# HELP waykeep_host_requests_total Requests answered.",
            "# TYPE waykeep_host_requests_total counter",
        ]
        for (method, route, status), count in sorted(self._requests.items()):
            lines.append(f'waykeep_host_requests_total{{method="{method}",route="{route}",status="{status}"}} {count}')
        name = "waykeep_host_request_seconds"
        lines += [f"# HELP {name} Time from a request's head to its answer.", f"# TYPE {name} histogram"]
        for route, buckets in sorted(self._buckets.items()):
            total = 0
            for bound, count in zip((*BOUNDS_S, "+Inf"), buckets, strict=True):
                total += count
                lines.append(f'{name}_bucket{{route="{route}",le="{bound}"}} {total}')
            lines.append(f'{name}_sum{{route="{route}"}} {self._seconds[route]:.6f}')
            lines.append(f'{name}_count{{route="{route}"}} {total}')
        return "\n".join(lines) + "\n"


class Meter:
    """ASGI middleware that measures and logs each request."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = 500

        async def watching(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        start = time.perf_counter()
        try:
            await self._app(scope, receive, watching)
        except Exception as error:
            # An exception's text can quote a path, and with it an owner id: where it was raised is enough.
            place = traceback.extract_tb(error.__traceback__)[-1]
            LOG.error("event=failed type=%s line=%s:%s", type(error).__name__, place.name, place.lineno)
            raise
        finally:
            seconds = time.perf_counter() - start
            route = scope.get("route")
            template = route.path if isinstance(route, Route) else UNMATCHED
            method = scope["method"] if scope["method"] in _METHODS else "OTHER"
            self._metrics.observe(method, template, status, seconds)
            LOG.info("event=request method=%s route=%s status=%d ms=%.1f", method, template, status, seconds * 1000)
