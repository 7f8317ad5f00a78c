"""Frames between the processes of a node: host and supervisor over a Unix socket, and a process and its supervisor.

``docs/spec.md`` gives the same as tables. Every type is frozen and refuses unknown fields.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from waykeep.formats.ids import Digest, OwnerId
from waykeep.formats.messages import Number, Port, Ring, Rung, Small


class _Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


# -- host and supervisor, frames over a Unix socket ---------------------------------------------------------------


class LaunchCloud(_Message, frozen=True, tag="launch-cloud"):
    """Start the owner's user cloud, or name the one that runs. ``host_url`` is where it finds the host."""

    owner: OwnerId
    host_url: Small


class LaunchAlgorithm(_Message, frozen=True, tag="launch-algorithm"):
    """Start one algorithm service for one run of this bundle.

    Attributes:
        most: Once fewer than this many run; whoever asked first is next.
        wait_s: How long to wait for that, in seconds.
    """

    digest: Digest
    bundle: bytes
    most: Annotated[int, msgspec.Meta(ge=1)]
    wait_s: Annotated[float, msgspec.Meta(ge=0, le=600)]


class LaunchAggregator(_Message, frozen=True, tag="launch-aggregator"):
    """Start an aggregator for one query of a study."""

    study: Digest
    repetition: Number


class RingCloud(_Message, frozen=True, tag="ring-cloud"):
    """Pass a ring on to the owner's user cloud, which is started or woken for it.

    Answered when it has done its part.
    """

    owner: OwnerId
    host_url: Small
    ring: Ring


class ListClouds(_Message, frozen=True, tag="list-clouds"):
    """Ask which user clouds run on this node."""


class Launched(_Message, frozen=True, tag="launched"):
    host: Small
    port: Port
    started: bool


class Clouds(_Message, frozen=True, tag="clouds"):
    owners: tuple[OwnerId, ...]
    algorithms: int


class Refused(_Message, frozen=True, tag="refused"):
    """A typed refusal, as in a problem document."""

    family: Small
    rule: Small
    message: Annotated[str, msgspec.Meta(max_length=1000)]
    hint: Annotated[str, msgspec.Meta(max_length=1000)] = ""
    status: Annotated[int, msgspec.Meta(ge=400, le=599)] = 400


ControlRequest = LaunchCloud | LaunchAlgorithm | LaunchAggregator | RingCloud | ListClouds
ControlReply = Launched | Clouds | Rung | Refused


# -- supervisor and the processes that it forked, frames over their own socket -------------------------------------


class AssignCloud(_Message, frozen=True, tag="assign-cloud"):
    """Binds a user cloud to one owner id, for its life.

    Attributes:
        node: The age recipient of this node, to which it seals what it needs to wake.
        idle_s: After how long without a request it sleeps, in seconds.
        linger_s: The same while nobody but a study asked.
    """

    owner: OwnerId
    store: str
    host_url: Small
    listen: Small
    node: Small
    idle_s: Annotated[float, msgspec.Meta(gt=0)]
    linger_s: Annotated[float, msgspec.Meta(gt=0)]


class AssignAlgorithm(_Message, frozen=True, tag="assign-algorithm"):
    """Binds an algorithm service to one bundle, for its one run."""

    digest: Digest
    bundle: bytes
    listen: Small


class AssignAggregator(_Message, frozen=True, tag="assign-aggregator"):
    """Binds an aggregator to one query of a study, for its life."""

    study: Digest
    repetition: Number
    listen: Small


class EvidenceRequest(_Message, frozen=True, tag="evidence"):
    """Asks for workload evidence over a claims buffer (`waykeep.attestation.claims`) and the sandbox's report."""

    claims: Annotated[bytes, msgspec.Meta(max_length=4096)]
    sandbox: Annotated[tuple[Small, ...], msgspec.Meta(max_length=32)] = ()


class EvidenceReply(_Message, frozen=True, tag="evidence-reply"):
    evidence: bytes


class OpenSealed(_Message, frozen=True, tag="open-sealed"):
    """Asks to open a sealed state. Given only to a process of the owner, workload and measurement in its header."""

    data: Annotated[bytes, msgspec.Meta(max_length=1 << 20)]


class Unsealed(_Message, frozen=True, tag="unsealed"):
    """The header's envelope and the payload (`waykeep.authority.sealing`)."""

    header: bytes
    payload: bytes

    def __repr__(self) -> str:
        return "Unsealed(...)"


class Sleeping(_Message, frozen=True, tag="sleeping"):
    """This process takes no new request any more and ends soon; the next one is for its successor."""


class Ready(_Message, frozen=True, tag="ready"):
    port: Port


class Event(_Message, frozen=True, tag="event"):
    """A line for the supervisor's log: the name of a rule or an event, never text from outside."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,63}$")]


Assignment = AssignCloud | AssignAlgorithm | AssignAggregator
FromChild = EvidenceRequest | OpenSealed | Sleeping | Ready | Event | Rung
ToChild = EvidenceReply | Unsealed | Refused | Ring
