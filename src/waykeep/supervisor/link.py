"""A forked process's own supervisor socket: the only descriptor it inherits, and its way to evidence."""

from __future__ import annotations

import socket
import threading

from waykeep.errors import SupervisorError
from waykeep.formats.messages import (
    AssignAlgorithm,
    AssignCloud,
    Event,
    EvidenceReply,
    EvidenceRequest,
    Ready,
)
from waykeep.formats.wire import decode_frame, encode_frame, frame_length


class Link:
    """The child's end. Blocking; an exchange takes about a millisecond. Fulfils `waykeep.channel.server.Attester`."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._lock = threading.Lock()

    def assignment(self) -> AssignCloud | AssignAlgorithm:
        """What this process is bound to for its life; sent once, first."""
        return decode_frame(self._receive(), AssignCloud | AssignAlgorithm)  # type: ignore[arg-type]

    def evidence(self, claims: bytes, sandbox: tuple[str, ...]) -> bytes:
        """Evidence over a claims buffer. Raises: SupervisorError: ``supervisor-gone``."""
        with self._lock:
            self._send(EvidenceRequest(claims, sandbox))
            return decode_frame(self._receive(), EvidenceReply).evidence

    def ready(self, port: int) -> None:
        self._send(Ready(port))

    def event(self, name: str) -> None:
        """A line for the supervisor's log: the name of an event or rule, nothing else."""
        self._send(Event(name))

    def _send(self, message: EvidenceRequest | Ready | Event) -> None:
        try:
            self._socket.sendall(encode_frame(message))
        except OSError:
            raise SupervisorError("supervisor-gone", "found the supervisor's socket closed", status=503) from None

    def _receive(self) -> bytes:
        return self._exactly(frame_length(self._exactly(4)))

    def _exactly(self, count: int) -> bytes:
        parts = []
        while count:
            try:
                part = self._socket.recv(min(count, 1 << 16))
            except OSError:
                part = b""
            if not part:
                raise SupervisorError("supervisor-gone", "found the supervisor's socket closed", status=503)
            parts.append(part)
            count -= len(part)
        return b"".join(parts)
