"""A real attested server on the loopback interface, and a client that trusts its node."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.support.peers import OwnNode
from waykeep.attestation import insecure
from waykeep.attestation.appraisal import ReferenceValues
from waykeep.attestation.evidence import ALGORITHM, USER_CLOUD
from waykeep.authority.keys import SigningKey
from waykeep.channel.client import AttestedClient
from waykeep.channel.server import AttestedServer, listen, read_body
from waykeep.channel.trust import Trust
from waykeep.device.trusting import default_policy
from waykeep.errors import UserCloudError
from waykeep.formats.ids import sha256
from waykeep.formats.messages import Address

ROOT, NOW_MS, OWNER = os.urandom(32), 1_466_380_800_000, "o" * 52
REFERENCES = ReferenceValues(
    supervisor=(sha256(b"supervisor"),), workloads={USER_CLOUD: (sha256(b"cloud"),), ALGORITHM: (sha256(b"algorithm"),)}
)
TRUST = Trust({insecure.PLATFORM: SigningKey(ROOT).public}, REFERENCES, default_policy())
DEVICE, STRANGER = SigningKey(b"d" * 32), SigningKey(b"x" * 32)


class Echo:
    """Answers what it was sent, to a device; and fails as it is told.

    Attributes:
        bodies: What reached it after the signature was verified.
    """

    def __init__(self) -> None:
        self.server = AttestedServer(OwnNode(ROOT, REFERENCES, OWNER, USER_CLOUD, time_ms=NOW_MS))
        self.bodies: list[bytes] = []
        self.address = Address("127.0.0.1", 1)

    async def echo(self, request: Request) -> Response:
        body = await read_body(request, 1000)
        self.server.verify(request, body, {DEVICE.public})
        self.bodies.append(body)
        return Response(body)

    async def refuse(self, _: Request) -> Response:
        raise UserCloudError("locked", "found no keys", hint="unlock it", status=409)

    async def fail(self, _: Request) -> Response:
        raise ZeroDivisionError("secret-473700000")

    def routes(self) -> list[Route]:
        return [
            Route("/echo", self.echo, methods=["POST"]),
            Route("/refuse", self.refuse),
            Route("/fail", self.fail),
        ]


@contextmanager
def serving() -> Iterator[Echo]:
    """A serving `Echo`."""
    found, listener = Echo(), listen("127.0.0.1")
    listener.listen(16)
    found.address = Address("127.0.0.1", listener.getsockname()[1])
    loop, stop = asyncio.new_event_loop(), asyncio.Event()
    app = found.server.app(found.routes())
    thread = threading.Thread(target=lambda: loop.run_until_complete(found.server.serve(app, listener, stop)))
    thread.start()
    try:
        yield found
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join()
        loop.close()
        listener.close()


def connect(address: Address, signer: SigningKey | None = DEVICE) -> AttestedClient:
    """A client that trusts this node's root and code."""
    return AttestedClient(
        address,
        workload=USER_CLOUD,
        binding=OWNER,
        trust=TRUST,
        clock=lambda: NOW_MS,
        signer=signer,
        timeout_s=10.0,
    )
