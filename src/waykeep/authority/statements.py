"""The statements that an owner and their user cloud sign. Each is a DSSE payload in JSON, of a type of its own."""

from __future__ import annotations

import msgspec

from waykeep.formats.ids import Digest, OwnerId, PublicKey
from waykeep.formats.messages import Head, Millis, Number, Value

_TYPE = "application/vnd.waykeep.{}+json"
INCEPTION_TYPE = _TYPE.format("inception")
KEY_LIST_TYPE = _TYPE.format("key-list")
EPOCH_TYPE = _TYPE.format("epoch")
OWNER_ENTRY_TYPE = _TYPE.format("owner-entry")
JOURNAL_TYPE = _TYPE.format("journal-record")
HEAD_TYPE = _TYPE.format("journal-head")
RECEIPT_TYPE = _TYPE.format("receipt")


class _Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Inception(_Statement, frozen=True):
    """The first statement of an owner; the digest of its bytes is the owner id. Signed by ``authority``.

    Attributes:
        authority: The key that certifies devices and writers and signs epochs' key lists for the host.
        next_authority: Digest of the next one (pre-rotation, as in KERI): the secret is only on the owner's paper.
        control: Salted commitment to the first control key, which a witness knows by its digest.
        next_control: Salted commitment to the next one, from the same paper.
    """

    version: int
    authority: PublicKey
    next_authority: Digest
    control: Digest
    next_control: Digest


class KeyList(_Statement, frozen=True):
    """Who may write for an owner at the host: a numbered list, signed by the authority. The newest counts."""

    owner: OwnerId
    number: Number
    devices: tuple[PublicKey, ...]
    writers: tuple[PublicKey, ...]


class EpochStatement(_Statement, frozen=True):
    """What a writer may encrypt to. Signed by the authority, readable without opening the owner log."""

    owner: OwnerId
    number: Number
    recipient: str
    expires_ms: Millis


# -- owner log ---------------------------------------------------------------------------------------------------------


class DeviceAdded(_Statement, frozen=True, tag="device"):
    """A device of the owner: its key signs entries and requests."""

    key: PublicKey
    name: str


class WriterAdded(_Statement, frozen=True, tag="writer"):
    """A writer of segments. ``source`` says whether the source itself signs, or an importer for it."""

    key: PublicKey
    name: str
    source: str


class RecipientsNamed(_Statement, frozen=True, tag="recipients"):
    """Who can open logs and journal.

    The log recipient (devices and user cloud hold its secret) and the recovery recipient.
    """

    log: str
    recovery: str


class EpochOpened(_Statement, frozen=True, tag="epoch"):
    """A new epoch: the digest of its signed statement."""

    number: Number
    statement: Digest
    recipient: str


class StateKeyNamed(_Statement, frozen=True, tag="state-key"):
    """Names the key with which a user cloud of this owner signs its journal."""

    key: PublicKey


class Approved(_Statement, frozen=True, tag="approval"):
    """The owner allows one algorithm, by digest, on named data.

    Attributes:
        algorithm: Digest of the bundle.
        name: The bundle's own name and version, for people.
        parameters: Per parameter the values that may be asked for, a finite set.
        inputs: Per stream the columns that are given.
        from_ms, to_ms: Observation times that are given, half open: ``from_ms <= ts_ms < to_ms``.
        store_as: The derived stream in which the result is kept, or empty.
    """

    algorithm: Digest
    name: str
    parameters: dict[str, tuple[Value, ...]]
    inputs: dict[str, tuple[str, ...]]
    from_ms: Millis
    to_ms: Millis
    store_as: str = ""


Body = DeviceAdded | WriterAdded | RecipientsNamed | EpochOpened | StateKeyNamed | Approved


class OwnerEntry(_Statement, frozen=True):
    """An entry of the owner log. ``previous`` is the digest of the envelope before; number 0 is the inception."""

    owner: OwnerId
    number: Number
    previous: Digest
    time_ms: Millis
    body: Body


# -- cloud journal -----------------------------------------------------------------------------------------------------


class SegmentEntry(_Statement, frozen=True):
    """The catalogue's line of a segment: enough to choose it for a read without opening it.

    ``box`` is (south, west, north, east) in degrees x 10**7, or None for a stream without places.
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


Detail = SegmentsAccepted | RunDone


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


class Receipt(_Statement, frozen=True):
    """What ran on the owner's data. ``result`` is a salted commitment to the rows (`waykeep.formats.results`)."""

    owner: OwnerId
    run_id: str
    algorithm: Digest
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
