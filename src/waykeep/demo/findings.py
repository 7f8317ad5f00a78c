"""What a scan found, and what it could not look at."""

from __future__ import annotations

import msgspec

from waykeep.demo.canaries import Kind


class Finding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A canary in a place.

    Attributes:
        kind, label: The canary's.
        place: Where, from the outside in: `store/ab12 > gzip@40 > parquet@0 column lat_e7`.
        offset: Of the first occurrence: bytes in the innermost of these, or an address in a process's memory.
        count: Occurrences there.
    """

    kind: Kind
    label: str
    place: str
    offset: int
    count: int


class Skipped(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was not looked at, and why.

    Attributes:
        reason: Why.
        example: One of the places.
        count: How many places, or bytes.
    """

    reason: str
    example: str
    count: int


class ScanReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The result of a scan; reports add up with `+`.

    Attributes:
        places: Places looked at.
        bytes_scanned: Their size in bytes.
        bytes_unpacked: Bytes that came out of what was packed in them.
        findings: One per canary and place.
        skipped: One per reason.
    """

    places: int
    bytes_scanned: int
    bytes_unpacked: int
    findings: tuple[Finding, ...]
    skipped: tuple[Skipped, ...]

    def __add__(self, other: ScanReport) -> ScanReport:
        reasons = {entry.reason: entry for entry in self.skipped}
        for entry in other.skipped:
            known = reasons.get(entry.reason)
            reasons[entry.reason] = msgspec.structs.replace(known, count=known.count + entry.count) if known else entry
        return ScanReport(
            self.places + other.places,
            self.bytes_scanned + other.bytes_scanned,
            self.bytes_unpacked + other.bytes_unpacked,
            self.findings + other.findings,
            tuple(reasons.values()),
        )
