"""Scanning everything that the host had: what it stores, what crossed its sockets, and its process."""

from __future__ import annotations

from pathlib import Path

from waykeep.demo.canaries import Canary
from waykeep.demo.findings import ScanReport
from waykeep.demo.matcher import Matcher
from waykeep.demo.report_data import LeakScan, ScannedPlace
from waykeep.demo.scan import scan_file, scan_folder, scan_process
from waykeep.demo.stage import Stage

FORMS = (
    "coordinates as decimals, 32-bit integers and 64-bit floats",
    "all of these in base64",
    "the phone's user ids",
    "every secret key of both owners",
    "all of it again after decompression (gzip, zlib, zstd, Parquet)",
)


def scan(stage: Stage, wires: Path, found: list[Canary]) -> LeakScan:
    """Scan for canaries while the host is alive. Arguments, environment and memory are those of its process."""
    matcher = Matcher(found)
    reports: list[tuple[str, ScanReport]] = [
        ("what the host stores", scan_folder(stage.store, matcher, "store")),
        ("every byte that crossed its sockets", scan_folder(wires, matcher, "wire")),
        ("the host's log", scan_file(stage.log("host"), matcher, "log")),
        ("the host's arguments, environment and memory", scan_process(stage.pids[0], matcher, "host process")),
    ]
    return LeakScan(
        canaries=len(found),
        patterns=sum(len(canary.patterns) for canary in found),
        forms=FORMS,
        scanned=tuple(
            ScannedPlace(what, report.places, report.bytes_scanned, len(report.findings)) for what, report in reports
        ),
        findings=tuple(finding for _, report in reports for finding in report.findings),
        skipped=tuple(skipped for _, report in reports for skipped in report.skipped),
    )
