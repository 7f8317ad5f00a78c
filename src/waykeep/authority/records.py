"""The statements that a user cloud signs: journal records and what lies beside them, heads, receipts."""

from __future__ import annotations

from typing import Annotated

import msgspec

from waykeep.authority.asking import Ask
from waykeep.authority.participation import Contributed, Intended, StudyDebited
from waykeep.authority.scopes import Bits
from waykeep.formats.ids import Digest, OwnerId, PublicKey
from waykeep.formats.messages import (
    Head,
    Millis,
    Number,
    Recipient,
    Value,
)

_TYPE = "application/vnd.waykeep.{}+json"
JOURNAL_TYPE = _TYPE.format("journal-record")
HEAD_TYPE = _TYPE.format("journal-head")
RECEIPT_TYPE = _TYPE.format("receipt")
SNAPSHOT_TYPE = _TYPE.format("snapshot")

RequestId = Annotated[str, msgspec.Meta(min_length=22, max_length=22)]


class _Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class SegmentEntry(_Statement, frozen=True):
    """The catalogue's line of a segment: enough to choose it for a read without opening it.

    Attributes:
        box: (south, west, north, east) in degrees x 10**7, or None for a stream without places.
        made_under: Of a derived one, the number of the owner-log entry under which it was made; else 0.
    """

    name: str
    stream: str
    kind: str
    epoch: Number
    writer: PublicKey
    payload: Digest
    source: str
    rows: int
    rows_new: int
    first_ms: int
    last_ms: int
    box: tuple[int, int, int, int] | None
    made_under: Number = 0


class SegmentsAccepted(_Statement, frozen=True, tag="accepted"):
    segments: tuple[SegmentEntry, ...]


class RunDone(_Statement, frozen=True, tag="run"):
    """A run: the receipt's envelope as text, what was read, and the derived segment if the result was kept."""

    run_id: str
    algorithm: Digest
    name: str
    approval: Number
    parameters: dict[str, Value]
    rows_in: dict[str, int]
    rows_out: int
    time_ms: Millis
    receipt: str
    stored: SegmentEntry | None


class Debited(_Statement, frozen=True, tag="debit"):
    """One run or read of a grant is spent at each link of its chain, and with it everything is fixed that it may do.

    Attributes:
        request_id: Chosen by the holder; the same request again is the same run, for the same recipient.
        grant: Number of the grant's entry. links: Envelopes of the chain that follows it.
        holder, recipient: Who asked, and the age recipient of the answer, as the chain has them.
        algorithm: None for a read.
        ask, parameters: What was asked for.
        inputs: Per stream the columns that are read.
        from_ms, to_ms: Observation times that are read.
        withheld: Numbers of what the owner took out of it.
        bits: What its answer may tell.
        read_to: The newest record whose segments are read.
        epochs: Those that are read, whatever keys come later.
    """

    request_id: RequestId
    grant: Number
    links: tuple[str, ...]
    holder: PublicKey
    recipient: Recipient
    algorithm: Digest | None
    ask: Ask
    parameters: dict[str, Value]
    inputs: dict[str, tuple[str, ...]]
    from_ms: Millis
    to_ms: Millis
    withheld: tuple[Number, ...]
    bits: Bits
    read_to: Head | None
    epochs: tuple[int, ...] = ()


class Spent(_Statement, frozen=True, tag="spent"):
    """What came of a debit: the receipt's envelope as text, and how much went out. The rows are nowhere.

    Attributes:
        failed: The rule by which there was no result, or empty. The holder is not told which.
        stored: The derived segment, if the result was kept.
    """

    request_id: RequestId
    name: str
    rows_in: dict[str, int]
    rows_out: int
    time_ms: Millis
    receipt: str
    failed: str = ""
    stored: SegmentEntry | None = None


Detail = SegmentsAccepted | RunDone | Debited | Spent | Intended | StudyDebited | Contributed


class JournalRecord(_Statement, frozen=True):
    """A record of the cloud journal, signed by a state key that the owner log names.

    ``owner_head`` is the owner-log head it was made under. ``detail`` is a salted commitment: what a record tells lies
    beside the envelope and can be deleted without breaking the chain.
    """

    owner: OwnerId
    number: Number
    previous: Digest | None
    owner_head: Head
    detail: Digest


class JournalObject(_Statement, frozen=True):
    """What a journal object holds inside age: the signed record, and what opens its commitment."""

    envelope: str
    salt: str
    detail: Detail


class JournalHead(_Statement, frozen=True):
    """A signed head: a device keeps a segment until one includes it."""

    owner: OwnerId
    head: Head
    owner_head: Head


class ChunkRef(_Statement, frozen=True):
    """A chunk of a snapshot.

    Attributes:
        name: 32 hex digits, of which the names of its two objects are made.
        digest, size: Of its plaintext. ids: Digest of the plaintext of its marks.
        first, last: Its records.
        streams: Per stream first and last time in ms.
    """

    name: str
    digest: Digest
    size: int
    ids: Digest
    first: Number
    last: Number
    streams: dict[str, tuple[int, int]]


Span = tuple[int, int, int]
"""First and last time in ms, and rows, of a result that was kept."""


class StreamTotal(_Statement, frozen=True):
    segments: int
    rows: int
    first_ms: int
    last_ms: int


class Snapshot(_Statement, frozen=True):
    """The index of a snapshot: the journal's fold up to ``head``, made under ``owner_head``.

    Attributes:
        rotations: How many the owner log had; after another one, records may have lost their effect.
        used: Runs and bits that were debited, by digest of a grant's entry or a link.
        learned: Units of the ledger that were debited, by study.
        runs: How many of the owner's own.
        totals: Of recorded streams. current: Results of derived streams that no later one supersedes.
        epochs: Those that segments are encrypted to.
    """

    owner: OwnerId
    head: Head
    quoted: Number
    owner_head: Head
    rotations: int
    used: dict[Digest, tuple[int, int]]
    learned: dict[Digest, int]
    totals: dict[str, StreamTotal]
    current: dict[str, tuple[Span, ...]]
    epochs: tuple[int, ...]
    runs: int
    chunks: tuple[ChunkRef, ...]


class Receipt(_Statement, frozen=True):
    """What ran on the owner's data, or was read.

    Attributes:
        algorithm: None for a read.
        level, step_ms, areas: The precision in which data left the vault, and how many areas it was cut to.
        result: A salted commitment to rows (`waykeep.formats.results`) or tables.
        failed: There is no result.
    """

    owner: OwnerId
    run_id: str
    algorithm: Digest | None
    parameters: dict[str, Value]
    approval: Number
    owner_head: Head
    inputs: dict[str, tuple[str, ...]]
    from_ms: Millis
    to_ms: Millis
    rows_in: dict[str, int]
    rows_out: int
    result: Digest
    time_ms: Millis
    measurements: dict[str, str]
    epochs_missing: tuple[int, ...]
    level: int = 0
    step_ms: int = 1
    areas: int = 0
    failed: bool = False
