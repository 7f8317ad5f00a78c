"""What a witness answers over HTTP: paths, statements in and out, and counters. No sockets.

``POST /v1/requests`` takes the envelope of a request, ``POST /v1/read`` a read; both answer with a signed statement.
``GET /v1/key``, ``/healthz``, ``/readyz`` and ``/metrics`` are for whoever operates it. Refusals are problem documents.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Protocol

from waykeep.authority import witnessing
from waykeep.authority.keys import SigningKey
from waykeep.authority.witnessing import MAX_REQUEST, NONCE_BYTES, Read, Request
from waykeep.errors import WaykeepError, WitnessError
from waykeep.formats import problem
from waykeep.formats.ids import b64, sha256
from waykeep.formats.wire import decode_json, encode_json
from waykeep.witness.commits import GroupCommit, Outcome
from waykeep.witness.form import check_form
from waykeep.witness.register import SqliteRegister

JSON = "application/json"
METRICS_TYPE = "text/plain; version=0.0.4; charset=utf-8"
OK = b'{"status":"ok"}'
ACCEPTED = "accepted"
"""What counters call the rule where none refused."""

_NOBODY = Read(sha256(b""), b64(bytes(NONCE_BYTES)))


class Reply(Protocol):
    """Sends an answer; called once for each request."""

    def __call__(self, status: int, media_type: str, body: bytes) -> None: ...


class Service:
    """A witness at work.

    Args:
        key: The witness's key, which signs answers.
        time_ms: The time, in milliseconds since 1970.
    """

    def __init__(
        self, key: SigningKey, register: SqliteRegister, commits: GroupCommit, time_ms: Callable[[], int]
    ) -> None:
        self._key, self._register, self._commits, self._time_ms = key, register, commits, time_ms
        self._counts: Counter[tuple[str, str]] = Counter()
        self._routes = {
            (b"POST", b"/v1/requests"): self._request,
            (b"POST", b"/v1/read"): self._read,
            (b"GET", b"/v1/key"): self._public_key,
            (b"GET", b"/healthz"): self._health,
            (b"GET", b"/readyz"): self._ready,
            (b"GET", b"/metrics"): self._metrics,
        }
        self._paths = {path for _, path in self._routes}

    def handle(self, method: bytes, path: bytes, body: bytes, reply: Reply) -> None:
        """Answer a request, now or when what it asks for is durable."""
        route = self._routes.get((method, path))
        try:
            if route is None:
                raise self._no_route(path)
            route(body, reply)
        except WaykeepError as refusal:
            self.refuse("none", refusal, reply)

    def refuse(self, action: str, refusal: WaykeepError, reply: Reply) -> None:
        """Answer with a problem document, and count it."""
        self._counts[action, refusal.rule] += 1
        reply(refusal.status, problem.MEDIA_TYPE, problem.encode(refusal))

    def _no_route(self, path: bytes) -> WitnessError:
        """``method-not-allowed`` (405) or ``no-such-path`` (404)."""
        if path in self._paths:
            return WitnessError("method-not-allowed", "found a method that this path does not take", status=405)
        return WitnessError("no-such-path", "found a path that a witness does not have", status=404)

    def _request(self, body: bytes, reply: Reply) -> None:
        asked, signer = witnessing.open_request(body, self._key.public)
        check_form(asked)
        self._commits.submit(
            lambda: self._register.apply(asked, signer), lambda outcome: self._answer(asked, body, outcome, reply)
        )

    def _read(self, body: bytes, reply: Reply) -> None:
        asked = decode_json(body, Read, limit=MAX_REQUEST, what="a read")
        check_form(asked)
        self._commits.submit(
            lambda: self._register.read(asked),
            lambda outcome: self._answer(asked, None, outcome, reply),
            writing=False,
        )

    def _answer(self, asked: Request | Read, envelope: bytes | None, outcome: Outcome, reply: Reply) -> None:
        action = "read" if isinstance(asked, Read) else str(asked.action.__struct_config__.tag)
        if isinstance(outcome, WitnessError):
            self.refuse(action, outcome, reply)
            return
        self._counts[action, ACCEPTED] += 1
        reply(200, JSON, witnessing.answer(asked, envelope, outcome, self._time_ms(), self._key))

    def _public_key(self, body: bytes, reply: Reply) -> None:
        reply(200, JSON, encode_json({"key": self._key.public}))

    def _health(self, body: bytes, reply: Reply) -> None:
        reply(200, JSON, OK)

    def _ready(self, body: bytes, reply: Reply) -> None:
        def done(outcome: Outcome) -> None:
            if isinstance(outcome, WitnessError) and outcome.rule == "witness-store":
                self.refuse("none", outcome, reply)
            else:
                reply(200, JSON, OK)

        self._commits.submit(lambda: self._register.read(_NOBODY), done, writing=False)

    def _metrics(self, body: bytes, reply: Reply) -> None:
        name = "waykeep_witness_requests_total"
        lines = [f"# HELP {name} Requests answered, by action and by the rule that refused.", f"# TYPE {name} counter"]
        for (action, rule), count in sorted(self._counts.items()):
            lines.append(f'{name}{{action="{action}",rule="{rule}"}} {count}')
        reply(200, METRICS_TYPE, ("\n".join(lines) + "\n").encode())
