"""What the report shows. The demo fills these in; nothing here is computed or escaped."""

from __future__ import annotations

import msgspec

from waykeep.demo.findings import Finding, Skipped
from waykeep.demo.geojson import Journeys


class _Part(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Step(_Part, frozen=True):
    """One of the seven steps as it happened, or of the study after them.

    Attributes:
        number: From 1 on.
        part: Who did it: device, host, user cloud, algorithm service, witness.
        trusted: Whether that part is trusted with plaintext or keys, for its colour.
        title: What happened, a few words.
        detail: One or two sentences more.
        ms: How long it took.
    """

    number: int
    part: str
    trusted: bool
    title: str
    detail: str
    ms: float


class Mode(_Part, frozen=True):
    """A row of the result of the algorithm `mode-share`; `algorithms/mode-share/algorithm.toml` says what it means."""

    mode: str
    distance_m: int
    duration_s: int
    segments: int
    co2_g: int
    trips: int


class Owner(_Part, frozen=True):
    """An owner and what came out for them.

    Attributes:
        owner_id: 52 characters.
        recording: What was imported, such as the names of the files.
        zone: IANA time zone in which their times are shown.
        entries_imported, entries_refused, segments: Counts.
        journeys: Their name, trips and track.
        modes: Their mode share, maybe empty.
    """

    owner_id: str
    recording: str
    zone: str
    entries_imported: int
    entries_refused: int
    segments: int
    journeys: Journeys
    modes: tuple[Mode, ...]


class Refusal(_Part, frozen=True):
    """Something that had to be refused.

    Attributes:
        what: The attack, a few words.
        tried: What was done, one sentence.
        by: The part that refused.
        error: The rule that refused; empty if nothing did.
        message: What it said.
    """

    what: str
    tried: str
    by: str
    error: str
    message: str


class Receipt(_Part, frozen=True):
    """A run and its receipt, as the device checked it.

    Attributes:
        owner: Name of the owner.
        algorithm: Name and version.
        digest: Of the bundle.
        parameters: (name, value).
        scope: The data that was granted, in words.
        rows_read: Rows that the algorithm got.
        result_rows: Rows of its answer.
        commitment: To the result.
        measurements: (part, measurement).
        signer: Public key of the state key that signed.
        signature_valid: What the device found.
        stored_as: The derived stream that holds the result, empty if it was not stored.
        ms: From the request to the checked answer.
    """

    owner: str
    algorithm: str
    digest: str
    parameters: tuple[tuple[str, str], ...]
    scope: str
    rows_read: int
    result_rows: int
    commitment: str
    measurements: tuple[tuple[str, str], ...]
    signer: str
    signature_valid: bool
    stored_as: str
    ms: float


class Timing(_Part, frozen=True):
    """A measurement: `value` in `unit`, and what it covers."""

    what: str
    value: float
    unit: str
    note: str


class ScannedPlace(_Part, frozen=True):
    """A group of places that were scanned, such as the host's store or its memory."""

    what: str
    places: int
    bytes_scanned: int
    findings: int


class LeakScan(_Part, frozen=True):
    """The scan for plaintext.

    Attributes:
        canaries, patterns: How many values, and how many byte sequences they make.
        forms: The forms looked for, in words.
        scanned: Where.
        findings: What was found, all of it.
        skipped: What could not be looked at.
    """

    canaries: int
    patterns: int
    forms: tuple[str, ...]
    scanned: tuple[ScannedPlace, ...]
    findings: tuple[Finding, ...]
    skipped: tuple[Skipped, ...]


class AuditEntry(_Part, frozen=True):
    """A line of an owner's log or journal.

    Attributes:
        owner: Name of the owner.
        log: Which log: "owner log" or "journal".
        number: Of the entry.
        what: Its kind, in words.
        detail: What it says, in words.
        digest: Of the signed record.
    """

    owner: str
    log: str
    number: int
    what: str
    detail: str
    digest: str


class HandCheck(_Part, frozen=True):
    """Something that the reader can check without Waykeep's help: what it shows, and the commands."""

    what: str
    command: str


class ReportData(_Part, frozen=True):
    """Everything on the page.

    Attributes:
        made: When, in words.
        version: Waykeep's.
        platform: The attestation platform; on `insecure` the page warns.
    """

    made: str
    version: str
    platform: str
    steps: tuple[Step, ...]
    owners: tuple[Owner, ...]
    receipts: tuple[Receipt, ...]
    refusals: tuple[Refusal, ...]
    timings: tuple[Timing, ...]
    scan: LeakScan
    audit: tuple[AuditEntry, ...]
    hand_checks: tuple[HandCheck, ...]
