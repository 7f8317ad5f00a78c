"""What a supervisor keeps for good in its state folder: made once, whole, and durable before anybody is told of it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from waykeep.authority import sealing
from waykeep.authority.sealing import Sealed
from waykeep.errors import FormatError, SupervisorError
from waykeep.formats import agefile
from waykeep.formats.ids import OwnerId

NODE_KEY = "node-key"


def kept(path: Path, make: Callable[[], bytes]) -> bytes:
    """The bytes of a secret file, which ``make`` gives if there is none. Durable on return."""
    if not path.exists():
        staging = path.with_suffix(".new")
        with open(staging, "wb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
            file.write(make())
            file.flush()
            os.fsync(file.fileno())
        os.replace(staging, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)  # also for one that a process put which died before it did this
    finally:
        os.close(folder)
    return path.read_bytes()


class NodeKey:
    """This node's age identity, to which user clouds seal what they need to wake without their owner.

    It is never copied to another node, and nothing is lost with it but sleep: a node without one makes a new one, which
    owners approve anew. On platform ``insecure`` it lies in the state folder; on hardware the platform will seal it to
    the supervisor's measurement.
    """

    __slots__ = ("_secret", "recipient")

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self.recipient = agefile.recipient_of(secret)

    def open_(self, data: bytes, owner: OwnerId, workload: str, measurement: str) -> Sealed:
        """A sealed state for the process that is bound to this owner. Raises as `waykeep.authority.sealing.open_`."""
        return sealing.open_(data, self._secret, owner=owner, workload=workload, measurement=measurement)

    def __repr__(self) -> str:
        return f"NodeKey(recipient={self.recipient!r})"


def node_key(state: Path) -> NodeKey:
    """The node's key, made if there is none. Raises: SupervisorError: ``node-key-damaged``."""
    text = kept(state / NODE_KEY, lambda: agefile.generate()[0].encode() + b"\n")
    try:
        return NodeKey(text.decode("ascii", "replace").strip())
    except FormatError:
        raise SupervisorError(
            "node-key-damaged",
            "found a node key that is no age secret key",
            hint=f"delete {NODE_KEY} to make a new one; owners have to approve this node again",
        ) from None
