"""A forked process's own supervisor socket: all that it inherits, and its way to evidence and to its sealed state."""

from __future__ import annotations

import socket
import threading

from waykeep.authority.sealing import MAX_SEALED, Sealed
from waykeep.errors import AuthorityError, SupervisorError
from waykeep.formats.frames import (
    AssignAlgorithm,
    AssignCloud,
    Event,
    EvidenceReply,
    EvidenceRequest,
    FromChild,
    OpenSealed,
    Ready,
    Refused,
    Sleeping,
    Unsealed,
)
from waykeep.formats.wire import decode_frame, encode_frame, frame_length


class Link:
    """The child's end. Blocking; an exchange takes about a millisecond. Fulfils `waykeep.channel.server.Attester`."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._lock, self._sending = threading.Lock(), threading.Lock()

    def assignment(self) -> AssignCloud | AssignAlgorithm:
        """What this process is bound to for its life; sent once, first."""
        return decode_frame(self._receive(), AssignCloud | AssignAlgorithm)  # type: ignore[arg-type]

    def evidence(self, claims: bytes, sandbox: tuple[str, ...]) -> bytes:
        """Evidence over a claims buffer. Raises: SupervisorError: ``supervisor-gone``."""
        with self._lock:
            self._send(EvidenceRequest(claims, sandbox))
            return decode_frame(self._receive(), EvidenceReply).evidence

    def unseal(self, data: bytes) -> Sealed:
        """What lies in a sealed state, if it is for this very process on this node.

        Raises:
            AuthorityError: As `waykeep.authority.sealing.open_`; the supervisor names the rule.
            SupervisorError: ``supervisor-gone``.
        """
        if len(data) > MAX_SEALED:  # the supervisor would end this process
            raise AuthorityError("sealed-malformed", f"found a sealed state over {MAX_SEALED} bytes", status=409)
        with self._lock:
            self._send(OpenSealed(data))
            reply: Unsealed | Refused = decode_frame(self._receive(), Unsealed | Refused)  # type: ignore[arg-type]
        if isinstance(reply, Refused):
            raise AuthorityError(reply.rule, reply.message, hint=reply.hint, status=reply.status)
        return Sealed(reply.header, reply.payload)

    def sleeping(self) -> None:
        """This process takes no new request any more; it has to end within 10 seconds, or is killed."""
        self._send(Sleeping())

    def ready(self, port: int) -> None:
        self._send(Ready(port))

    def event(self, name: str) -> None:
        """A line for the supervisor's log: the name of an event or rule, nothing else."""
        self._send(Event(name))

    def _send(self, message: FromChild) -> None:
        try:
            with self._sending:  # a frame may take several writes
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
