"""Replay protection within one process, without a clock and in bounded memory.

With fresh evidence a client is given a session: 16 random bytes. Each request carries the nonce ``<session>.<counter>``
inside its signature. A counter is taken once; the newest `WINDOW` may come out of order (RFC 6479 does the same for
IPsec). A session that was pushed out by newer ones is unknown, and the client attests again. Anybody may ask for
evidence, so sessions that were never used push out each other, not those in use.
"""

from __future__ import annotations

import re
from collections import OrderedDict

from waykeep.errors import ChannelError
from waykeep.formats.ids import b64

SESSION_BYTES = 16
WINDOW = 64
MAX_SESSIONS = 1024
_NONCE = re.compile(r"([A-Za-z0-9_-]{22})\.([1-9][0-9]{0,14})")


class Sessions:
    """The sessions of one process."""

    def __init__(self) -> None:
        self._fresh: OrderedDict[str, tuple[int, int]] = OrderedDict()
        self._seen: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def open(self, random: bytes) -> str:
        """A new session's name from 16 random bytes."""
        session = b64(random)
        self._fresh[session] = (0, 0)
        _bound(self._fresh)
        return session

    def take(self, nonce: str) -> None:
        """Take a nonce, once. Call it only after the request's signature was verified.

        Raises:
            ChannelError: ``nonce-malformed``, ``session-unknown``, ``request-replayed`` (all 401).
        """
        match = _NONCE.fullmatch(nonce)
        if match is None:
            raise ChannelError("nonce-malformed", "found a nonce that is not '<session>.<counter>'", status=401)
        session, counter = match[1], int(match[2])
        state = self._seen.get(session) or self._fresh.get(session)
        if state is None:
            raise ChannelError("session-unknown", "found a session of another time", hint="attest again", status=401)
        newest, taken = state
        if counter > newest:
            taken = (taken << (counter - newest) if counter - newest < WINDOW else 0) & ((1 << WINDOW) - 1)
            newest = counter
        if newest - counter >= WINDOW or taken >> (newest - counter) & 1:
            raise ChannelError("request-replayed", "found a request that was made before", status=401)
        self._fresh.pop(session, None)
        self._seen[session] = (newest, taken | 1 << (newest - counter))
        self._seen.move_to_end(session)
        _bound(self._seen)


def _bound(sessions: OrderedDict[str, tuple[int, int]]) -> None:
    while len(sessions) > MAX_SESSIONS:
        sessions.popitem(last=False)
