"""What the demo shows in the end: the report, the map and the summary, gathered from devices and scans."""

from __future__ import annotations

import datetime
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

import msgspec
from rich.console import Console

from waykeep.attestation import insecure
from waykeep.demo import leaks, people, summary
from waykeep.demo.geojson import Journeys, TrackPoint, Trip, trips_geojson
from waykeep.demo.people import Person
from waykeep.demo.report import render
from waykeep.demo.report_data import Mode, Owner, Receipt, Refusal, ReportData, Step
from waykeep.demo.stage import Stage
from waykeep.device.receipts import open_receipt
from waykeep.formats.bundle import Bundle
from waykeep.formats.messages import RunResult
from waykeep.formats.streams import MAX_TS_MS, MIN_TS_MS

ALGORITHMS = ("trips", "mode-share")


@dataclass
class Play:
    """What the demo gathers while it runs."""

    console: Console
    steps: list[Step] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)
    runs: list[tuple[Person, Bundle, RunResult, float]] = field(default_factory=list)
    launch_ms: float = 0.0
    wake_ms: float = 0.0
    spends: int = 0
    points_per_s: float = 0.0

    def step(self, number: int, part: str, trusted: bool, title: str, detail: str, ms: float) -> None:
        self.steps.append(Step(number, part, trusted, title, detail, round(ms, 1)))
        colour = "green" if trusted else "magenta"
        self.console.print(f"[bold]{number}[/] [{colour}]{part:<18}[/] {title} [dim]({ms:.0f} ms)[/]")
        self.console.print(f"    [dim]{detail}[/]", soft_wrap=False)


def report(show: Play, stage: Stage, wires: Path, owners: list[Person], output: Path) -> summary.Summary:
    show.console.print("\nLooking for plaintext in all that the host stores, sends, receives and remembers ...")
    scan = leaks.scan(stage, wires, [c for person in owners for c in people.canaries(person)])
    total = sum(place.bytes_scanned for place in scan.scanned)
    show.console.print(f"  {len(scan.findings)} of {scan.patterns} patterns found in {total / 1e6:.0f} MB")
    journeys = [_journeys(show, person) for person in owners]
    receipts = [_receipt(person, each, result, ms) for person, each, result, ms in show.runs]
    stored = sum(
        bool(person.device.rows(f"derived/{name}", 0, MAX_TS_MS).num_rows) for person in owners for name in ALGORITHMS
    )
    result = summary.summarise(
        show.refused, receipts, owners, scan, stored, show.launch_ms, show.wake_ms, show.spends, show.points_per_s
    )
    data = ReportData(
        made=f"{datetime.datetime.now(datetime.UTC):%Y-%m-%d %H:%M} UTC",
        version=version("waykeep"),
        platform=insecure.PLATFORM,
        steps=tuple(show.steps),
        owners=tuple(_owner(show, person, journey) for person, journey in zip(owners, journeys, strict=True)),
        receipts=tuple(receipts),
        refusals=tuple(show.refused),
        timings=summary.timings(result),
        scan=scan,
        audit=tuple(line for person in owners for line in summary.audit_lines(person)),
        hand_checks=summary.HAND_CHECKS,
    )
    (output / "report.html").write_text(render(data), encoding="utf-8")
    (output / "trips.geojson").write_bytes(msgspec.json.encode(trips_geojson(journeys)))
    (output / "summary.json").write_bytes(msgspec.json.format(msgspec.json.encode(result)))
    return result


def _journeys(show: Play, person: Person) -> Journeys:
    rows = next(r.rows for p, b, r, _ in show.runs if p is person and b.manifest.name == "trips")
    track = person.device.rows("filtered-location", MIN_TS_MS, MAX_TS_MS).sort_by("ts_ms")
    points = (track.column(name).to_pylist() for name in ("ts_ms", "lat_e7", "lon_e7"))
    return Journeys(
        person.name,
        tuple(msgspec.convert(row, Trip) for row in rows),
        tuple(TrackPoint(*point) for point in zip(*points, strict=True)),
    )


def _owner(show: Play, person: Person, journeys: Journeys) -> Owner:
    modes = next(r.rows for p, b, r, _ in show.runs if p is person and b.manifest.name == "mode-share")
    return Owner(
        owner_id=person.device.owner,
        recording=person.recording,
        zone=person.zone,
        entries_imported=person.entries,
        entries_refused=person.refused,
        segments=person.segments,
        journeys=journeys,
        modes=tuple(msgspec.convert(row, Mode) for row in modes),
    )


def _receipt(person: Person, each: Bundle, result: RunResult, ms: float) -> Receipt:
    keys = list(person.device.log().state_keys)
    receipt = open_receipt(result.receipt, keys)
    scope = "; ".join(f"{stream}: {', '.join(columns)}" for stream, columns in receipt.inputs.items())
    return Receipt(
        owner=person.name,
        algorithm=f"{each.manifest.name} {each.manifest.version}",
        digest=each.digest,
        parameters=tuple((name, str(value)) for name, value in receipt.parameters.items()),
        scope=scope,
        rows_read=sum(receipt.rows_in.values()),
        result_rows=receipt.rows_out,
        commitment=receipt.result,
        measurements=tuple(sorted(receipt.measurements.items())),
        signer=keys[-1],
        signature_valid=True,  # `open_receipt` and, at the run, `check_receipt` raise otherwise
        stored_as=f"derived/{each.manifest.name}",
        ms=round(ms, 1),
    )
