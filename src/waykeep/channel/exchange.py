"""Plain HTTP with one peer that need not be trusted: what is sent is ciphertext or signed, and so is what comes back.

Every exchange is bounded, in bytes and in time. Neither proxies nor redirects nor encodings of content: what was not
asked for is not done, and no answer grows when it is unpacked.
"""

from __future__ import annotations

from collections.abc import Iterable

import httpcore

from waykeep.channel.deadline import Deadline

# What httpcore raises where no answer comes, or none that is HTTP; and for an address that is none.
_FAILED = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError)
_NO_ADDRESS = (httpcore.UnsupportedProtocol, ValueError, TypeError)


class Unanswered(Exception):
    """No answer; the text is the kind of failure. ``address`` where what was asked for is no address."""

    def __init__(self, kind: str, *, address: bool = False) -> None:
        super().__init__(kind)
        self.address = address


class TooLarge(Exception):
    """An answer over the limit; it was not read to its end."""


class Exchanges:
    """Exchanges with one peer over one connection, which is kept open between them; one at a time.

    Args:
        step_s: How long to wait for each step of an answer, in seconds.
        total_s: How long for all of it, in seconds, however slowly it comes.
    """

    def __init__(self, *, step_s: float, total_s: float) -> None:
        self._deadline, self._total_s = Deadline(), total_s
        self._pool = httpcore.ConnectionPool(max_connections=1, retries=1, network_backend=self._deadline)
        self._timeout = {"timeout": dict.fromkeys(("connect", "read", "write", "pool"), step_s)}

    def close(self) -> None:
        self._pool.close()

    def exchange(
        self, method: str, url: str, headers: Iterable[tuple[str, str]] = (), content: bytes = b"", *, limit: int
    ) -> tuple[int, bytes]:
        """Status and body of the answer.

        Args:
            limit: Of the body, in bytes.

        Raises:
            Unanswered: TooLarge.
        """
        self._deadline.within(self._total_s)
        try:
            with self._pool.stream(
                method, url, headers=list(headers), content=content or None, extensions=self._timeout
            ) as response:
                return response.status, bounded(response.iter_stream(), limit)
        except _FAILED as error:
            raise Unanswered(type(error).__name__) from None
        except _NO_ADDRESS as error:
            raise Unanswered(type(error).__name__, address=True) from None


def bounded(chunks: Iterable[bytes], limit: int) -> bytes:
    """All of a body. Raises: TooLarge: Over so many bytes."""
    parts, size = [], 0
    for chunk in chunks:
        size += len(chunk)
        if size > limit:
            raise TooLarge
        parts.append(chunk)
    return b"".join(parts)
