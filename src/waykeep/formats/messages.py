"""What crosses the wires: bodies of HTTP requests and answers, and frames between the processes of a node.

``docs/spec.md`` gives the same as tables. Every type is frozen and refuses unknown fields; bounds that a type cannot
say are checked by the function that uses it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from waykeep.formats.ids import Digest, OwnerId, PublicKey

Small = Annotated[str, msgspec.Meta(max_length=256)]
Port = Annotated[int, msgspec.Meta(ge=1, le=65535)]
Number = Annotated[int, msgspec.Meta(ge=0, le=10**10 - 1)]
Millis = Annotated[int, msgspec.Meta(ge=0, le=4_102_444_800_000)]


class _Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


# -- host, over HTTP ----------------------------------------------------------------------------------------------


class Address(_Message, frozen=True):
    """Where a process listens; ``started`` says whether this request started it."""

    host: Small
    port: Port
    started: bool = False


class Listing(_Message, frozen=True):
    """Names in ascending order; ``more`` says that others follow (ask again with ``after`` the last name)."""

    names: tuple[str, ...]
    more: bool = False


class Stored(_Message, frozen=True):
    """``new`` is false when the same bytes lay there already."""

    digest: Digest
    new: bool


# -- host and supervisor, frames over a Unix socket ---------------------------------------------------------------


class LaunchCloud(_Message, frozen=True, tag="launch-cloud"):
    """Start the owner's user cloud, or name the one that runs. ``host_url`` is where it finds the host."""

    owner: OwnerId
    host_url: Small


class LaunchAlgorithm(_Message, frozen=True, tag="launch-algorithm"):
    """Start one algorithm service for one run of this bundle."""

    digest: Digest
    bundle: bytes


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


ControlRequest = LaunchCloud | LaunchAlgorithm | ListClouds
ControlReply = Launched | Clouds | Refused


# -- supervisor and the processes that it forked, frames over their own socket -------------------------------------


class AssignCloud(_Message, frozen=True, tag="assign-cloud"):
    """Binds a user cloud to one owner id, for its life."""

    owner: OwnerId
    store: str
    host_url: Small
    listen: Small


class AssignAlgorithm(_Message, frozen=True, tag="assign-algorithm"):
    """Binds an algorithm service to one bundle, for its one run."""

    digest: Digest
    bundle: bytes
    listen: Small


class EvidenceRequest(_Message, frozen=True, tag="evidence"):
    """Asks for workload evidence over a claims buffer (`waykeep.attestation.claims`) and the sandbox's report."""

    claims: Annotated[bytes, msgspec.Meta(max_length=4096)]
    sandbox: Annotated[tuple[Small, ...], msgspec.Meta(max_length=32)] = ()


class EvidenceReply(_Message, frozen=True, tag="evidence-reply"):
    evidence: bytes


class Ready(_Message, frozen=True, tag="ready"):
    port: Port


class Event(_Message, frozen=True, tag="event"):
    """A line for the supervisor's log: the name of a rule or an event, never text from outside."""

    name: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,63}$")]


Assignment = AssignCloud | AssignAlgorithm
FromChild = EvidenceRequest | Ready | Event


# -- user cloud, over HTTP on the attested channel -----------------------------------------------------------------


class Head(_Message, frozen=True):
    """The newest record of a chain: its number and the digest of its envelope."""

    number: Number
    digest: Digest


class Attested(_Message, frozen=True):
    """Fresh evidence over the asker's nonce, and the session that its requests will name."""

    evidence: bytes
    claims: bytes
    session: Annotated[str, msgspec.Meta(min_length=22, max_length=22)]


class Appraisal(_Message, frozen=True):
    """What the owner's user cloud shall demand of the evidence of others: roots, reference values, policy, as JSON."""

    roots: dict[str, str]
    references: bytes
    policy: bytes


class Unlock(_Message, frozen=True):
    """Keys for the user cloud: the log secret, epoch secrets by number; and the owner-log head the device knows."""

    log_secret: Annotated[str, msgspec.Meta(max_length=128)]
    epochs: Annotated[dict[str, str], msgspec.Meta(max_length=1200)]
    owner_head: Head
    appraisal: Appraisal


class Unlocked(_Message, frozen=True):
    """``named``: whether the owner log names the state key already. Until it does, nothing is written."""

    state_key: PublicKey
    named: bool
    journal: Head | None
    epochs: tuple[int, ...]


class Accept(_Message, frozen=True):
    """Ask to accept uploaded segments by name."""

    names: Annotated[tuple[Small, ...], msgspec.Meta(min_length=1, max_length=256)]


class Accepted(_Message, frozen=True):
    """Per name: ``accepted``, ``known`` (its rows are here already) or the name of the rule that refused it.

    ``head`` is the journal's head envelope signed by the state key, and includes all that was accepted.
    """

    outcome: dict[str, str]
    detail: dict[str, str]
    rows_new: int
    head: bytes


class StreamStatus(_Message, frozen=True):
    stream: str
    segments: int
    rows: int
    first_ms: int
    last_ms: int


class Status(_Message, frozen=True):
    owner: OwnerId
    streams: tuple[StreamStatus, ...]
    runs: int
    approvals: int
    journal: Head | None
    owner_head: Head
    epochs: tuple[int, ...]
    epochs_missing: tuple[int, ...]


Value = int | str | bool


class Run(_Message, frozen=True):
    """Run an approved algorithm. ``time_ms`` is the device's clock, by which evidence of others is judged."""

    run_id: Annotated[str, msgspec.Meta(min_length=22, max_length=22)]
    digest: Digest
    parameters: Annotated[dict[str, Value], msgspec.Meta(max_length=64)]
    from_ms: Millis
    to_ms: Millis
    time_ms: Millis


class RunResult(_Message, frozen=True):
    """``rows`` as the algorithm's output schema has them; ``receipt`` a DSSE envelope by the state key.

    ``salt`` opens the receipt's commitment to the rows; ``stages`` are milliseconds of each stage. ``head`` is the
    journal's signed head, which includes the run: whoever holds it notices when the record is withheld.
    """

    rows: list[dict[str, Value]]
    receipt: bytes
    salt: str
    stages: dict[str, float]
    head: bytes


# -- algorithm service, over HTTP on the attested channel ----------------------------------------------------------


class Compute(_Message, frozen=True):
    """One computation: parameters, and per stream an Arrow IPC stream of the granted rows. MessagePack."""

    parameters: dict[str, Value]
    tables: dict[str, bytes]


class Computed(_Message, frozen=True):
    rows: list[dict[str, Value]]
