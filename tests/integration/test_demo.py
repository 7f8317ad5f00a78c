"""The demo as a user runs it: what it writes, what it refuses, and that it leaves nothing behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

import pytest

RUNS = {"trips 1.0.0", "mode-share 1.1.0"}
REFUSED = {
    "an algorithm that was not approved": "algorithm-not-approved",
    "an approved algorithm with one byte changed": "bundle-changed",
    "a user cloud with another measurement": "workload-measurement-unknown",
    "one owner knocking at the other's user cloud": "foreign-request",
    "a segment forged by the host": "signer-unknown",
    "a host that rewinds a user cloud": "journal-behind",
}


@pytest.fixture(scope="module")
def temporary() -> Iterator[Path]:
    """A folder for the demo's temporary files alone, which processes of other uids can pass."""
    with tempfile.TemporaryDirectory(prefix="waykeep-test-demo-") as name:
        Path(name).chmod(0o711)
        yield Path(name)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory, temporary: Path) -> Iterator[tuple[Path, str]]:
    output = tmp_path_factory.mktemp("demo") / "out"
    done = subprocess.run(
        [sys.executable, "-I", "-m", "waykeep", "demo", "--output", str(output)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        env={**os.environ, "TMPDIR": str(temporary)},
    )
    assert done.returncode == 0, done.stderr
    yield output, done.stdout


def test_the_summary_holds_what_it_should(shown: tuple[Path, str]) -> None:
    found = json.loads((shown[0] / "summary.json").read_text())
    assert found["owners"] == 2
    assert found["entries_imported"] == 2949
    assert found["entries_refused"] == 125
    assert found["segments"] == 15
    assert found["plaintext_leaks"] == 0
    assert {run["algorithm"] for run in found["runs"]} == RUNS
    assert len(found["runs"]) == 4
    assert all(run["receipt_valid"] and run["rows_in"] > 0 and run["ms"] > 0 for run in found["runs"])
    assert found["stored_back"] == 4
    assert {line["what"]: line["error"] for line in found["refusals"]} == REFUSED
    assert found["launch_ms"] > 0 and found["wake_ms"] > 0
    assert found["spends"] == 2
    assert found["upload_points_per_s"] > 0


def test_the_steps_are_told_in_order_with_the_warning(shown: tuple[Path, str]) -> None:
    text = " ".join(shown[1].split())
    places = [
        text.index(f" {number} {part}")
        for number, part in enumerate(
            ("device", "device", "host, device", "algorithm service", "user cloud", "algorithm service", "user cloud"),
            1,
        )
    ]
    assert places == sorted(places)
    assert "On a machine of somebody else it protects from nobody" in text


def test_the_trips_are_geojson_within_the_recordings(shown: tuple[Path, str]) -> None:
    found = json.loads((shown[0] / "trips.geojson").read_text())
    assert found["type"] == "FeatureCollection"
    lines = [f for f in found["features"] if f["geometry"]["type"] == "LineString"]
    assert len(lines) == 15
    for feature in lines:
        for lon, lat in feature["geometry"]["coordinates"]:
            assert -123 < lon < -121
            assert 37 < lat < 38.5


def test_the_report_is_one_self_contained_page(shown: tuple[Path, str]) -> None:
    page = (shown[0] / "report.html").read_text()
    asked: list[str] = []

    class Links(HTMLParser):
        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            asked.extend(
                v or "" for k, v in attributes if k in ("src", "href") and not (v or "").startswith(("#", "data:"))
            )

    Links().feed(page)
    assert asked == []
    assert all(error in page for error in REFUSED.values())
    assert "protects from nobody" in page


def test_it_leaves_no_process_and_no_file(shown: tuple[Path, str], temporary: Path) -> None:
    name = str(temporary).encode()
    assert [path for path in Path("/proc").glob("[0-9]*/cmdline") if name in _read(path)] == []
    assert list(temporary.iterdir()) == []


def test_a_folder_without_recordings_is_refused(tmp_path: Path) -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-I",
            "-m",
            "waykeep",
            "demo",
            "--output",
            str(tmp_path / "out"),
            "--recordings",
            str(tmp_path),
        ],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
    )
    assert (done.returncode, "recordings-missing" in done.stderr) == (18, True)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
