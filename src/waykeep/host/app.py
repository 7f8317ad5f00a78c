"""The host's HTTP application: the table of routes, and the one place where a refusal becomes an answer."""

from __future__ import annotations

import errno
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from waykeep.errors import HostError, WaykeepError
from waykeep.formats.messages import Address, Listing, RungAll, Stored
from waykeep.formats.wire import encode_json
from waykeep.host.answers import JSON, OCTETS, refusal
from waykeep.host.bundles import Bundles
from waykeep.host.clouds import Clouds
from waykeep.host.directory import Directory
from waykeep.host.inbound import Budget, Inbound
from waykeep.host.metrics import LOG, Meter, Metrics
from waykeep.host.objects import Objects
from waykeep.host.openapi import Described, document
from waykeep.host.ports import Access, Health, HostLimits, Registered, Store
from waykeep.host.probes import METRICS_TYPE, Probes
from waykeep.host.studies import Studies
from waykeep.host.supervisor import Supervisor

Handler = Callable[[Inbound], Awaitable[Response]]
Table = Sequence[tuple[Described, Handler]]
INTERFACE_VERSION = "1"


def create_app(
    store: Store, supervisor: Supervisor, access: Access, *, host_url: str, limits: HostLimits | None = None
) -> Starlette:
    """The host as an ASGI application. It keeps no state but the store.

    Args:
        host_url: Where user clouds reach this host; its scheme is part of what clients sign.
        limits: Bounds; the defaults of `HostLimits` when left out.
    """
    limits = limits or HostLimits()
    directory = Directory(store, access, limits)
    bundles = Bundles(store, limits)
    metrics = Metrics()
    probes = Probes(store, supervisor, metrics)
    table = routes(
        directory,
        Objects(store, directory, limits),
        bundles,
        Clouds(supervisor, directory, bundles, limits, host_url),
        Studies(store, supervisor, directory, access, limits, host_url),
        probes,
    )
    probes.openapi = encode_json(document([described for described, _ in table], INTERFACE_VERSION))
    return application(table, limits, urlsplit(host_url).scheme or "http", metrics)


def application(table: Table, limits: HostLimits, scheme: str, metrics: Metrics | None = None) -> Starlette:
    """Handlers by their routes, every refusal as a problem document.

    Args:
        scheme: ``http`` or ``https``, as clients see it.
    """
    budget = Budget(limits.pending_bytes)

    def endpoint(described: Described, handler: Handler) -> Callable[[Request], Awaitable[Response]]:
        async def serve_one(request: Request) -> Response:
            inbound = Inbound(request, limits, budget, scheme)
            try:
                inbound.check(described.query, body=bool(described.body))
                return await handler(inbound)
            except WaykeepError as error:
                refused = error
            except OSError as error:
                LOG.error("event=store-failed errno=%s", errno.errorcode.get(error.errno or 0, "none"))
                refused = HostError(
                    "store-failed", "the host's store failed", hint="nothing was acknowledged; try again", status=503
                )
            finally:
                inbound.release()
            return refusal(refused, close=not await inbound.discard())

        return serve_one

    app = Starlette(
        routes=[Route(d.path, endpoint(d, handler), methods=[d.method]) for d, handler in table],
        middleware=[Middleware(Meter, metrics=metrics or Metrics())],
        exception_handlers={HTTPException: _no_route, 500: _failed},
    )
    app.router.redirect_slashes = False
    return app


def routes(
    directory: Directory, objects: Objects, bundles: Bundles, clouds: Clouds, studies: Studies, probes: Probes
) -> Table:
    """Every route of the host, with what a caller needs to know of it."""
    owner = "/v1/owners/{owner}"
    any_key, caller = "a device or writer of the newest key list", "a device or caller of the newest key list"
    stored: dict[int, type | str] = {200: Stored, 201: Stored}
    address: dict[int, type | str] = {200: Address, 201: Address}
    return [
        (
            Described(
                "POST", "/v1/owners", "Register an owner by inception.", {200: Registered, 201: Registered}, JSON
            ),
            directory.register,
        ),
        (
            Described(
                "PUT", owner + "/access/{number}", "Put the next key list, signed by the authority.", stored, JSON
            ),
            directory.put_list,
        ),
        (
            Described(
                "PUT",
                owner + "/{room}/{name}",
                "Put a new object: writers to segments, devices also to owner-log, epochs and keys.",
                stored,
                OCTETS,
                any_key,
            ),
            objects.put,
        ),
        (
            Described(
                "GET",
                owner + "/{room}/{name}",
                "Get an object; access and epochs need no signature.",
                {200: OCTETS},
                signed=any_key,
            ),
            objects.get,
        ),
        (
            Described(
                "GET",
                owner + "/{room}",
                "List names; access and epochs need no signature.",
                {200: Listing},
                signed=any_key,
                query=("after",),
            ),
            objects.names,
        ),
        (
            Described(
                "POST",
                owner + "/cloud",
                "Find the owner's user cloud, launch it, or have it wake. Whoever is on no list sends introductions.",
                address,
                JSON,
                signed=caller,
            ),
            clouds.cloud,
        ),
        (
            Described("PUT", "/v1/bundles/{digest}", "Publish an algorithm bundle by its digest.", stored, OCTETS),
            bundles.put,
        ),
        (Described("GET", "/v1/bundles/{digest}", "Get a bundle.", {200: OCTETS}), bundles.get),
        (Described("GET", "/v1/bundles", "List digests of bundles.", {200: Listing}, query=("after",)), bundles.names),
        (
            Described("POST", "/v1/algorithms/{digest}/services", "Launch an algorithm service for one run.", address),
            clouds.algorithm,
        ),
        *_of_studies(studies),
        (Described("GET", "/healthz", "The process answers.", {200: Health}), probes.healthz),
        (Described("GET", "/readyz", "Store and supervisor answer.", {200: Health}), probes.readyz),
        (Described("GET", "/metrics", "Counters in the Prometheus text format.", {200: METRICS_TYPE}), probes.metrics),
        (Described("GET", "/openapi.json", "This document.", {200: JSON}), probes.interface),
    ]


def _of_studies(studies: Studies) -> Table:
    one, researcher = "/v1/studies/{digest}", "the study's researcher"
    stored: dict[int, type | str] = {200: Stored, 201: Stored}
    return [
        (Described("PUT", one, "Publish a study by the digest of its envelope.", stored, JSON), studies.put),
        (Described("GET", one, "Get a study.", {200: OCTETS}), studies.get),
        (Described("GET", "/v1/studies", "List digests of studies.", {200: Listing}, query=("after",)), studies.names),
        (Described("POST", one + "/stop", "Ring nobody for it again.", {200: Stored}, signed=researcher), studies.stop),
        (
            Described("POST", one + "/rings", "Ring all who take part.", {202: RungAll}, JSON, researcher),
            studies.ring,
        ),
        (
            Described("GET", one + "/rings", "What became of the last round.", {200: RungAll}, signed=researcher),
            studies.rung,
        ),
    ]


async def _no_route(request: Request, error: Exception) -> Response:
    """404 and 405 of the router. A body is not read for them, so the connection ends with the answer."""
    headers = getattr(error, "headers", None) or {}
    if getattr(error, "status_code", 404) == 405:
        refused = HostError("method-not-allowed", "found a method that this path does not take", status=405)
    else:
        refused = HostError(
            "no-such-path", "found a path that this host does not have", hint="see /openapi.json", status=404
        )
    body = request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers
    return refusal(refused, close=body, allow=headers.get("Allow", ""))


async def _failed(request: Request, error: Exception) -> Response:
    return refusal(HostError("host-failed", "the host failed; its log has a line about it", status=500), close=True)
