"""What holds for every bundle that ships: it packs, it keeps to what a run offers, and its README tells the truth."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.unit.algorithms import bundles
from waykeep.formats.manifest import Choice, Integer


@pytest.mark.parametrize("name", bundles.NAMES)
def test_bundle_packs_and_its_manifest_is_accepted(name: str) -> None:
    packed = bundles.packed(name)
    assert packed.manifest.name == name
    assert len(packed.modules) == len(list((bundles.ROOT / name).glob("*.py")))


def test_every_folder_is_a_bundle_that_is_tested_here() -> None:
    assert {folder.name for folder in bundles.ROOT.iterdir() if folder.is_dir()} == {*bundles.NAMES, "shared"}


def test_what_is_shared_is_linked_by_more_than_one_bundle_and_copied_by_none() -> None:
    for module in (bundles.ROOT / "shared").iterdir():
        found = [path for path in bundles.ROOT.glob(f"*/{module.name}") if path != module]
        assert len(found) > 1 and all(path.is_symlink() for path in found)


@pytest.mark.parametrize("name", bundles.NAMES)
def test_readme_names_all_that_the_manifest_declares(name: str) -> None:
    manifest = bundles.packed(name).manifest
    readme = (bundles.ROOT / name / "README.md").read_text()
    declared = [given.stream for given in manifest.inputs] + [field.name for field in manifest.output.fields]
    for word in declared:
        assert f"`{word}`" in readme
    for parameter in manifest.parameters:
        if isinstance(parameter.domain, Choice):
            assert all(f"| `{value}` |" in readme for value in parameter.domain.values)
            assert f"(default `{parameter.default}`)" in readme
            continue
        assert isinstance(parameter.domain, Integer)
        bounds = f"| {parameter.domain.minimum} to {parameter.domain.maximum} |"
        row = next(line for line in readme.splitlines() if line.startswith(f"| `{parameter.name}` "))
        assert f"| {parameter.default} {bounds}" in row


@pytest.mark.parametrize(
    ("name", "constant", "field"),
    [
        ("trips", "MAX_DURATION_S", "duration_s"),
        ("trips", "MAX_DISTANCE_M", "distance_m"),
        ("trips", "MAX_POINTS", "points"),
        ("mode-share", "MAX_DURATION_S", "duration_s"),
        ("mode-share", "MAX_DISTANCE_M", "distance_m"),
        ("mode-share", "MAX_SEGMENTS", "segments"),
        ("mode-share", "MAX_TRIPS", "trips"),
        ("trip-statistics", "MAX_TRIPS", "trips"),
        ("od-cells", "MAX_TRIPS", "trips"),
        ("heat-map", "MAX_MINUTES", "minutes"),
        ("heat-map", "MAX_VISITS", "visits"),
    ],
)
def test_caps_in_the_code_are_those_of_the_schema(name: str, constant: str, field: str) -> None:
    manifest = bundles.packed(name).manifest
    domain = next(given.domain for given in manifest.output.fields if given.name == field)
    assert isinstance(domain, Integer)
    assert getattr(bundles.modules(name)[manifest.module], constant) == domain.maximum


def test_rows_in_the_code_are_those_of_the_schema() -> None:
    assert bundles.packed("trips").manifest.output.max_rows == bundles.modules("trips")["trips"].MAX_TRIPS
    assert len(bundles.modules("mode-share")["activity"].MODES) == bundles.packed("mode-share").manifest.output.max_rows


# An audit hook cannot be taken off again, so this runs in a process of its own.
WATCHED = """
import math, os, sys, typing
import numpy, numpy.typing, pyarrow, pyarrow.compute
from tests.unit.algorithms import bundles, recordings

name = sys.argv[1]
tables = [recordings.tables(recording) for recording in recordings.NAMES]
packed = bundles.packed(name)
loaded = set(sys.modules)
bundles.modules(name)
print("modules", sorted(set(sys.modules) - loaded))

threads = len(os.listdir("/proc/self/task"))
seen, watching = [], True

def hook(event, arguments):
    if watching:
        seen.append(event)

sys.addaudithook(hook)
for granted in tables:
    bundles.run(name, granted)
watching = False
print("events", sorted(set(seen)))
print("threads", len(os.listdir("/proc/self/task")) - threads)
"""


@pytest.mark.parametrize("name", bundles.NAMES)
def test_run_opens_nothing_imports_nothing_and_starts_no_thread(name: str) -> None:
    root = Path(__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", WATCHED, name],
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(root), str(root / "src")])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == ["modules []", "events []", "threads 0"]
