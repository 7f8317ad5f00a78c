"""A forked process's own supervisor socket: all that it inherits, and its way to evidence and to its sealed state."""

from __future__ import annotations

import queue
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from waykeep.authority.sealing import MAX_SEALED, Sealed
from waykeep.errors import AuthorityError, SupervisorError, rule_of
from waykeep.formats.frames import (
    Assignment,
    Event,
    EvidenceReply,
    EvidenceRequest,
    FromChild,
    OpenSealed,
    Ready,
    Refused,
    Sleeping,
    ToChild,
    Unsealed,
)
from waykeep.formats.messages import Ring, Rung
from waykeep.formats.wire import decode_frame, encode_frame, frame_length

Assigned = TypeVar("Assigned", bound=Assignment)


class Link:
    """The child's end. Blocking; an exchange takes about a millisecond. Fulfils `waykeep.channel.server.Attester`."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._lock, self._sending = threading.Lock(), threading.Lock()
        self._replies: queue.SimpleQueue[ToChild | None] | None = None

    def assignment(self, kind: type[Assigned]) -> Assigned:
        """What this process is bound to for its life; sent once, first.

        Raises: SupervisorError: ``assignment-mismatch`` when it is for another kind of process.
        """
        found: Assignment = decode_frame(self._receive(), Assignment)  # type: ignore[arg-type]  # of a union
        if not isinstance(found, kind):
            raise SupervisorError("assignment-mismatch", "found an assignment of another kind of process")
        return found

    @contextmanager
    def telling(self) -> Iterator[None]:
        """What ends this process is told to the supervisor, by its rule's name, before it is raised on."""
        try:
            yield
        except Exception as error:
            self.event(rule_of(error))
            raise

    def listen(self, answer: Callable[[Ring], str]) -> None:
        """Take rings from now on, one after the other, in a thread: ``answer`` does what is asked, and names it."""
        self._replies = queue.SimpleQueue()
        rings = queue.SimpleQueue[Ring | None]()
        for work in (lambda: self._sort(rings), lambda: self._ringing(rings, answer)):
            threading.Thread(target=work, daemon=True).start()

    def _sort(self, rings: queue.SimpleQueue[Ring | None]) -> None:
        """Rings are what nobody here asked for; everything else answers whoever waits."""
        replies = self._replies
        if replies is None:
            raise AssertionError("begun by `listen`")
        try:
            while True:
                found: ToChild = decode_frame(self._receive(), ToChild)  # type: ignore[arg-type]  # of a union
                rings.put(found) if isinstance(found, Ring) else replies.put(found)
        except SupervisorError:
            replies.put(None)
            rings.put(None)

    def _ringing(self, rings: queue.SimpleQueue[Ring | None], answer: Callable[[Ring], str]) -> None:
        while (ring := rings.get()) is not None:
            outcome = answer(ring)
            try:
                self._send(Rung(outcome))
            except SupervisorError:
                return

    def _ask(self, request: FromChild) -> ToChild:
        with self._lock:
            self._send(request)
            if self._replies is None:
                return decode_frame(self._receive(), ToChild)  # type: ignore[arg-type]  # of a union
            found = self._replies.get()
            if found is None:
                self._replies.put(None)
                raise _gone()
            return found

    def evidence(self, claims: bytes, sandbox: tuple[str, ...]) -> bytes:
        """Evidence over a claims buffer. Raises: SupervisorError: ``supervisor-gone``."""
        reply = self._ask(EvidenceRequest(claims, sandbox))
        if not isinstance(reply, EvidenceReply):
            raise _gone()
        return reply.evidence

    def unseal(self, data: bytes) -> Sealed:
        """What lies in a sealed state, if it is for this very process on this node.

        Raises:
            AuthorityError: As `waykeep.authority.sealing.open_`; the supervisor names the rule.
            SupervisorError: ``supervisor-gone``.
        """
        if len(data) > MAX_SEALED:  # the supervisor would end this process
            raise AuthorityError("sealed-malformed", f"found a sealed state over {MAX_SEALED} bytes", status=409)
        reply = self._ask(OpenSealed(data))
        if isinstance(reply, Refused):
            raise AuthorityError(reply.rule, reply.message, hint=reply.hint, status=reply.status)
        if not isinstance(reply, Unsealed):
            raise _gone()
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
            raise _gone() from None

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
                raise _gone()
            parts.append(part)
            count -= len(part)
        return b"".join(parts)


def _gone() -> SupervisorError:
    return SupervisorError("supervisor-gone", "found the supervisor's socket closed", status=503)
