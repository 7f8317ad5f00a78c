"""What a supervisor gives a process that it forked: evidence, and the sealed state that is this process's own."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from waykeep.attestation.evidence import USER_CLOUD
from waykeep.errors import AuthorityError
from waykeep.formats.frames import EvidenceReply, EvidenceRequest, OpenSealed, Refused, Unsealed
from waykeep.formats.ids import OwnerId
from waykeep.supervisor.kept import NodeKey
from waykeep.supervisor.signer import Signer


@dataclass(eq=False)
class Process:
    """A forked process.

    Attributes:
        binding: What it is bound to for its life.
        ready: Its port, once it listens.
        rung: What the ring that was passed on came to; None while there is none.
        sleeping: It said that it takes no new request any more.
    """

    workload: str
    binding: str
    pid: int
    claims: tuple[str, ...]
    writer: asyncio.StreamWriter
    ready: asyncio.Future[int]
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    sleeping: bool = False
    rung: asyncio.Future[str] | None = None


class Answers:
    """Answers requests of processes. What a process is, this object knows from its fork; no frame says it.

    Attributes:
        signer: Signs evidence; replaced when the quote is renewed.
    """

    def __init__(self, signer: Signer, key: NodeKey) -> None:
        self.signer, self._key = signer, key

    @property
    def node(self) -> str:
        """The recipient of this node's key."""
        return self._key.recipient

    def answer(self, process: Process, request: EvidenceRequest | OpenSealed) -> EvidenceReply | Unsealed | Refused:
        """The answer, which is for this process only."""
        if isinstance(request, EvidenceRequest):
            return EvidenceReply(
                self.signer.evidence(process.workload, process.binding, request.claims, process.claims, request.sandbox)
            )
        try:
            return self._unseal(process, request.data)
        except AuthorityError as error:
            return Refused(error.family, error.rule, error.message, error.hint, error.status)

    def _unseal(self, process: Process, data: bytes) -> Unsealed:
        """Raises: AuthorityError: ``sealed-workload`` unless the process is a user cloud; and as `NodeKey.open_`."""
        if process.workload != USER_CLOUD:
            raise AuthorityError("sealed-workload", "found a process that has no sealed state", status=403)
        # Bound, measured and forked here; at most 1 MiB, a few milliseconds.
        measurement = self.signer.measurements[process.workload]
        found = self._key.open_(data, OwnerId(process.binding), process.workload, measurement)
        return Unsealed(found.header, found.payload)
