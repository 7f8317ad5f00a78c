"""The demo's summary, and what of it would be a fault."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import msgspec

from waykeep.demo.people import Person
from waykeep.demo.report_data import AuditEntry, HandCheck, LeakScan, Receipt, Refusal, Timing
from waykeep.device import audit

HAND_CHECKS = (
    HandCheck(
        "Open a segment with any age program: your key opens it, and nothing of ours is needed.",
        "waykeep keys export 1 --home … > epoch.key && age -d -i epoch.key store/owners/…/segments/….age | head -c 600",
    ),
    HandCheck(
        "Compare what the user cloud measured with what this version should measure.",
        "waykeep measure",
    ),
    HandCheck(
        "Read your logs again; every chain, signature and receipt in them is checked on your device.",
        "waykeep audit --home …",
    ),
)


class RunLine(msgspec.Struct, frozen=True):
    algorithm: str
    digest: str
    ms: float
    rows_in: int
    receipt_valid: bool


class RefusalLine(msgspec.Struct, frozen=True):
    what: str
    error: str


class Summary(msgspec.Struct, frozen=True):
    """``summary.json``.

    ``launch_ms`` is from asking the host to the first appraised answer of a user cloud, ``wake_ms`` the same of one
    that slept. ``spends`` counts runs that a study got.
    """

    owners: int
    entries_imported: int
    entries_refused: int
    segments: int
    plaintext_leaks: int
    runs: tuple[RunLine, ...]
    stored_back: int
    refusals: tuple[RefusalLine, ...]
    launch_ms: float
    wake_ms: float
    spends: int
    upload_points_per_s: float


def summarise(
    refused: Sequence[Refusal],
    receipts: Sequence[Receipt],
    owners: Sequence[Person],
    scan: LeakScan,
    stored_back: int,
    launch_ms: float,
    wake_ms: float,
    spends: int,
    points_per_s: float,
) -> Summary:
    """The summary of what was gathered. ``stored_back`` counts derived streams that were read back."""
    return Summary(
        owners=len(owners),
        entries_imported=sum(person.entries for person in owners),
        entries_refused=sum(person.refused for person in owners),
        segments=sum(person.segments for person in owners),
        plaintext_leaks=len(scan.findings),
        runs=tuple(RunLine(r.algorithm, r.digest, r.ms, r.rows_read, r.signature_valid) for r in receipts),
        stored_back=stored_back,
        refusals=tuple(RefusalLine(r.what, r.error) for r in refused),
        launch_ms=round(launch_ms, 1),
        wake_ms=round(wake_ms, 1),
        spends=spends,
        upload_points_per_s=round(points_per_s),
    )


def faults(summary: Summary) -> list[str]:
    """What the demo must not end with, in words; empty if all is well."""
    found = [f"{r.what} was not refused" for r in summary.refusals if not r.error]
    if summary.plaintext_leaks:
        found.append(f"{summary.plaintext_leaks} canaries were found at the host")
    if not all(run.receipt_valid for run in summary.runs):
        found.append("a receipt did not verify")
    return found


def timings(summary: Summary) -> tuple[Timing, ...]:
    """The timings that the report shows."""
    runs = [
        Timing(f"run of {run.algorithm}", run.ms, "ms", f"{run.rows_in} rows, to the checked receipt")
        for run in summary.runs
    ]
    return (
        Timing("launch of a user cloud", summary.launch_ms, "ms", "from asking the host to the first appraised answer"),
        Timing("waking of a user cloud", summary.wake_ms, "ms", "the same for one that slept, without its owner"),
        Timing("upload", summary.upload_points_per_s, "rows a second", "encrypted, durable, checked and journalled"),
        *runs,
    )


def audit_lines(person: Person) -> Iterator[AuditEntry]:
    """A person's audit log, as their device reads it."""
    for line in audit.read(person.device):
        yield AuditEntry(person.name, line.chain, line.number, line.title, line.words, line.digest)
