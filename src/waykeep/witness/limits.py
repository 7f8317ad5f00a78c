"""Bounds of a witness's server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """Bounds of a server, so that strangers cannot fill it. The body's is `MAX_REQUEST`.

    Attributes:
        connections: At once. Up to twice as many are told to come again, further ones are dropped.
        head_bytes: Of a head.
        head_s: From a connection, or the first byte of a next head, to the head's end, in seconds.
        body_s: From a head's end to its body's, in seconds.
        idle_s: Between two requests, in seconds.
        write_s: In which a peer takes nothing of an answer, in seconds.
        linger_s: In which what a refused peer still sends is read and thrown away, so that it gets the refusal.
    """

    connections: int = 1000
    head_bytes: int = 16384
    head_s: float = 10.0
    body_s: float = 10.0
    idle_s: float = 75.0
    write_s: float = 10.0
    linger_s: float = 2.0
