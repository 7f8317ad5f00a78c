"""A request on its way in: path and query in one spelling, what its signature covers, and a body within its bound."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

import anyio
from starlette.requests import Request

from waykeep.errors import FormatError, HostError
from waykeep.host.ports import HostLimits, SignedRequest

# One spelling for each path: a colon may be escaped (generated clients do), and nothing else.
_PATH = re.compile(rb"(?:[A-Za-z0-9/:._-]|%3[Aa])*")
_DRAIN_BYTES = 32 << 20
_DRAIN_S = 2.0


class Budget:
    """The bytes that all bodies together may hold in memory: signatures can be checked only when a body is whole."""

    def __init__(self, limit: int) -> None:
        self._left = limit

    def take(self, count: int) -> None:
        """Raises: HostError: ``host-busy`` (503)."""
        if count > self._left:
            raise HostError("host-busy", "the host receives too much at once", hint="try again in a moment", status=503)
        self._left -= count

    def give(self, count: int) -> None:
        self._left += count


class Inbound:
    """One request.

    Args:
        scheme: ``http`` or ``https``, as clients see this host; it is part of the target that they sign.
    """

    def __init__(self, request: Request, limits: HostLimits, budget: Budget, scheme: str) -> None:
        self._request, self._limits, self._budget, self._scheme = request, limits, budget, scheme
        self._held = 0
        self._broken = False
        headers = request.headers
        self._ended = "transfer-encoding" not in headers and headers.get("content-length", "0").strip("0") == ""

    def check(self, query: tuple[str, ...], *, body: bool) -> None:
        """Refuse what no handler looks at.

        Raises:
            HostError: ``path-malformed``, ``query-malformed``, ``body-unexpected``, ``http-malformed``.
        """
        if {"content-length", "transfer-encoding"} <= set(self._request.headers.keys()):
            self._broken = True  # a proxy in between may see another end of this body (RFC 9112, 6.1): go no further
            raise HostError("http-malformed", "found a body with two lengths")
        if _PATH.fullmatch(self._request.scope["raw_path"]) is None:
            raise HostError("path-malformed", "found a path with escapes or other characters that no name here has")
        self._query = self._parse_query(query)
        if not body and not self._ended:
            raise HostError("body-unexpected", "found a body in a request that takes none")

    @property
    def ended(self) -> bool:
        """Whether there is no body, or no more of it."""
        return self._ended

    def part(self, name: str) -> str:
        """A part of the path, as it was sent."""
        return str(self._request.path_params[name])

    def query(self, name: str) -> str:
        """A value of the query, or an empty string."""
        return self._query.get(name, "")

    def signed(self, body: bytes = b"") -> SignedRequest:
        """The request as its signature covers it.

        Raises:
            HostError: ``host-missing`` for a request of HTTP/1.0 without a Host header.
        """
        headers: dict[str, str] = {}
        for name, value in self._request.headers.items():
            headers[name] = f"{headers[name]}, {value}" if name in headers else value
        if not headers.get("host"):
            raise HostError("host-missing", "found a request without a Host header")
        scope = self._request.scope
        target = scope["raw_path"].decode("ascii")
        if scope["query_string"]:
            target += "?" + scope["query_string"].decode("latin-1")
        return SignedRequest(self._request.method, f"{self._scheme}://{headers['host']}{target}", headers, body)

    async def read(self, limit: int) -> bytes:
        """The whole body.

        Args:
            limit: Its largest length in bytes; not more than one network read beyond it is ever held.

        Raises:
            FormatError: ``too-large`` (413).
            HostError: ``body-timeout`` (408), ``body-truncated``, ``body-empty``, ``host-busy`` (503).
        """
        declared = self._request.headers.get("content-length")
        if declared is not None and int(declared) > limit:
            raise _too_large(limit)
        chunks: list[bytes] = []
        size = 0
        try:
            with anyio.fail_after(self._limits.body_total_s):
                while not self._ended:
                    with anyio.fail_after(self._limits.body_idle_s):
                        chunk = await self._next()
                    size += len(chunk)
                    if size > limit:
                        raise _too_large(limit)
                    self._budget.take(len(chunk))
                    self._held += len(chunk)
                    chunks.append(chunk)
        except TimeoutError:
            self._broken = True
            raise HostError(
                "body-timeout", "found a body that does not end", hint="send it again", status=408
            ) from None
        if not size:
            raise HostError("body-empty", "found no body in a request that needs one")
        return b"".join(chunks)

    def release(self) -> None:
        """Give the body's bytes back to the budget; to be called once the request is answered."""
        self._budget.give(self._held)
        self._held = 0

    async def discard(self) -> bool:
        """Read the rest of a refused body away, so that its sender gets to read the refusal.

        Returns:
            Whether the body ended. If not, the connection must be closed after the answer.
        """
        headers = self._request.headers
        # Under Expect, reading would ask for the very body that the client offered to keep.
        if self._broken or "expect" in headers or int(headers.get("content-length", 0)) > _DRAIN_BYTES:
            return self._ended and not self._broken
        dropped = 0
        with anyio.move_on_after(_DRAIN_S):
            while not (self._ended or self._broken) and dropped < _DRAIN_BYTES:
                try:
                    dropped += len(await self._next())
                except HostError:
                    break
        return self._ended

    async def _next(self) -> bytes:
        message = await self._request.receive()
        if message["type"] == "http.disconnect":
            self._broken = True
            raise HostError("body-truncated", "found a body that ends before its announced length")
        self._ended = not message.get("more_body", False)
        return bytes(message.get("body", b""))

    def _parse_query(self, allowed: tuple[str, ...]) -> dict[str, str]:
        raw = self._request.scope["query_string"].decode("latin-1")
        if not raw:
            return {}
        try:
            pairs = parse_qsl(raw, keep_blank_values=True, strict_parsing=True, max_num_fields=8, errors="strict")
        except ValueError:
            pairs = [("", "")]
        found = dict(pairs)
        if len(found) != len(pairs) or not found.keys() <= set(allowed):
            taken = ", ".join(allowed) or "none"
            raise HostError("query-malformed", f"found a query that does not fit; parameters taken here: {taken}")
        return found


def _too_large(limit: int) -> FormatError:
    return FormatError("too-large", f"found a body of more than {limit} bytes", status=413)
