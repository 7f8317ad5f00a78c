"""What crosses the wires: bodies of HTTP requests and answers, and frames between the processes of a node.

``docs/spec.md`` gives the same as tables. Every type is frozen and refuses unknown fields; bounds that a type cannot
say are checked by the function that uses it.
"""

from __future__ import annotations

from typing import Annotated

import msgspec

from waykeep.formats.ids import Digest, OwnerId, PublicKey

Small = Annotated[str, msgspec.Meta(max_length=256)]
Recipient = Annotated[str, msgspec.Meta(max_length=128)]
"""An age recipient."""
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


class Doorbell(_Message, frozen=True):
    """Sent to the host by somebody who is on no key list: envelopes of introductions that lead to their key."""

    introductions: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=16)]


class Ring(_Message, frozen=True, tag="ring"):
    """A study asks: passed on by the host, and not believed. Whoever listens there is appraised.

    Attributes:
        repetition: Which of the study's. aggregator: Where the query's aggregator listens.
    """

    study: Digest
    repetition: Number
    aggregator: Address


class Rung(_Message, frozen=True, tag="rung"):
    """What a ring came to: ``gathering``, ``answered``, ``refused``, or the rule by which the aggregator was not
    reached or not believed. What an owner allows, and what is left of a budget, it does not tell."""

    outcome: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9-]{0,63}$")]


class Rings(_Message, frozen=True):
    """Sent to the host by a study's researcher, to have all who take part rung."""

    repetition: Number
    aggregator: Address


class RungAll(_Message, frozen=True):
    """What became of the rings of a round so far, by outcome; ``waiting`` are still to be rung."""

    outcomes: dict[str, int]
    waiting: int


class OpenQuery(_Message, frozen=True):
    """Sent to an aggregator's host: have an aggregator started for one query of a study."""

    study: Digest
    repetition: Number


class Listing(_Message, frozen=True):
    """Names in ascending order; ``more`` says that others follow (ask again with ``after`` the last name)."""

    names: tuple[str, ...]
    more: bool = False


class Stored(_Message, frozen=True):
    """``new`` is false when the same bytes lay there already."""

    digest: Digest
    new: bool


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
    """Keys for the user cloud: log secrets, oldest first, epoch secrets by number; and the head the device knows."""

    log_secrets: Annotated[
        tuple[Annotated[str, msgspec.Meta(max_length=128)], ...], msgspec.Meta(min_length=1, max_length=64)
    ]
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
    """What the user cloud knows.

    Attributes:
        spent: By the number of a grant's entry, runs and bits that were debited.
        learned: By study, units of the ledger that were debited.
    """

    owner: OwnerId
    streams: tuple[StreamStatus, ...]
    runs: int
    approvals: int
    journal: Head | None
    owner_head: Head
    epochs: tuple[int, ...]
    epochs_missing: tuple[int, ...]
    spent: dict[str, tuple[int, int]]
    learned: dict[Digest, int]


class Suspend(_Message, frozen=True):
    """Stop at once. ``forget``: also delete the sealed state, so that only the owner can start the user cloud again."""

    forget: bool = False


class Suspended(_Message, frozen=True):
    """``journal`` is the newest record, and ``wakes`` says whether a sealed state lies ready for this node."""

    journal: Head | None
    wakes: bool


Value = int | str | bool


class Run(_Message, frozen=True):
    """Run an approved algorithm.

    Attributes:
        from_ms, to_ms: Observation times; None leaves them as they are approved.
        time_ms: The device's clock, by which approvals and evidence of others are judged.
        reviews: As in a holder's request.
    """

    run_id: Annotated[str, msgspec.Meta(min_length=22, max_length=22)]
    digest: Digest
    parameters: Annotated[dict[str, Value], msgspec.Meta(max_length=64)]
    from_ms: Millis | None
    to_ms: Millis | None
    time_ms: Millis
    reviews: Annotated[tuple[str, ...], msgspec.Meta(max_length=64)] = ()


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


class SpendResult(_Message, frozen=True):
    """``sealed`` is an age file to the recipient of the chain: a `GrantedRows` frame, padded; nobody else reads it."""

    sealed: bytes


class GrantedRows(_Message, frozen=True):
    """What a holder gets. MessagePack.

    Attributes:
        rows: Of an algorithm.
        tables: Of a read: per stream an Arrow IPC stream.
        receipt, salt: The receipt's envelope by the state key, and what opens its commitment to rows or tables.
        failed: There is no result; nobody but the owner is told why.
    """

    request_id: str
    rows: list[dict[str, Value]]
    tables: dict[str, bytes]
    receipt: bytes
    salt: str
    failed: bool


# -- aggregator, over HTTP on the attested channel -----------------------------------------------------------------


class StartQuery(_Message, frozen=True):
    """By the researcher: the study's envelope, and what the members' user clouds have to prove."""

    study: Annotated[str, msgspec.Meta(max_length=65536)]
    appraisal: Appraisal


class Intending(_Message, frozen=True):
    """A member's intent (an envelope), and evidence over the state key that signed it and the query's id."""

    intent: Annotated[str, msgspec.Meta(max_length=8192)]
    evidence: Annotated[bytes, msgspec.Meta(max_length=65536)]
    claims: Annotated[bytes, msgspec.Meta(max_length=4096)]


# -- algorithm service, over HTTP on the attested channel ----------------------------------------------------------


class Compute(_Message, frozen=True):
    """One computation: parameters, and per stream an Arrow IPC stream of the granted rows. MessagePack."""

    parameters: dict[str, Value]
    tables: dict[str, bytes]


class Computed(_Message, frozen=True):
    rows: list[dict[str, Value]]
