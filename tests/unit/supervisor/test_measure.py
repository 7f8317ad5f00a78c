"""A measurement is of the code alone: the same in two folders, another for one byte, and of all that is loaded."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

import waykeep
from tests.unit.builders import refused
from waykeep.attestation.evidence import AGGREGATOR, ALGORITHM, USER_CLOUD
from waykeep.errors import SupervisorError
from waykeep.formats.ids import parse_digest
from waykeep.supervisor import measure
from waykeep.supervisor.measure import LIBRARIES, ROOMS

PACKAGE = Path(waykeep.__file__).parent
PARTS = ("supervisor", USER_CLOUD, ALGORITHM, AGGREGATOR)


def copy(folder: Path) -> Path:
    """The package's sources, as another installation has them."""
    shutil.copytree(PACKAGE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    return folder


def of(root: Path) -> dict[str, str]:
    return {part: measure.measure(part, root) for part in PARTS}


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the sources measure as now; other tests' copies are compared with it."""
    return of(copy(tmp_path_factory.mktemp("first") / "waykeep"))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return copy(tmp_path / "elsewhere" / "of_another_name")


def test_each_part_has_a_measurement_of_its_own(before: dict[str, str]) -> None:
    assert set(ROOMS) == set(PARTS)
    assert len({parse_digest(found) for found in before.values()}) == len(PARTS)


def test_two_copies_in_different_folders_measure_the_same(before: dict[str, str], root: Path) -> None:
    assert of(root) == before


def test_byte_code_and_what_is_no_python_do_not_count(before: dict[str, str], root: Path) -> None:
    (root / "usercloud" / "__pycache__").mkdir()
    (root / "usercloud" / "__pycache__" / "cloud.cpython-311.pyc").write_bytes(b"x")
    (root / "usercloud" / "notes.txt").write_text("x")
    assert of(root) == before


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("usercloud/cloud.py", {USER_CLOUD, ALGORITHM, AGGREGATOR}),
        ("vault/segments.py", {USER_CLOUD, ALGORITHM, AGGREGATOR}),
        ("channel/tls.py", {USER_CLOUD, ALGORITHM, AGGREGATOR}),
        ("algorithm/sandbox.py", {USER_CLOUD, ALGORITHM, AGGREGATOR}),
        ("supervisor/isolation.py", set(PARTS)),
        ("node/__main__.py", set(PARTS)),
        ("formats/ids.py", set(PARTS)),
        ("authority/ownerlog.py", set(PARTS)),
        ("attestation/appraisal.py", set(PARTS)),
        ("errors.py", set(PARTS)),
        ("__init__.py", set(PARTS)),
        ("device/account.py", set()),
        ("host/app.py", set()),
        ("demo/play.py", set()),
        ("cli/main.py", set()),
    ],
)
def test_one_byte_more(before: dict[str, str], root: Path, name: str, changed: set[str]) -> None:
    with (root / name).open("ab") as file:
        file.write(b"\n")
    after = of(root)
    assert {part for part in PARTS if after[part] != before[part]} == changed


@pytest.mark.parametrize("what", ["added", "removed", "moved"])
def test_a_file_more_or_less(before: dict[str, str], root: Path, what: str) -> None:
    source = root / "usercloud" / "outside.py"
    if what == "added":
        (root / "usercloud" / "deeper").mkdir()
        (root / "usercloud" / "deeper" / "more.py").write_text("")
    elif what == "removed":
        source.unlink()
    else:
        source.rename(root / "vault" / "outside.py")
    after = of(root)
    assert {part for part in PARTS if after[part] != before[part]} == {USER_CLOUD, ALGORITHM, AGGREGATOR}


def test_reference_values_are_what_the_parts_measure_as(before: dict[str, str], root: Path) -> None:
    found = measure.reference_values(root)
    assert found.supervisor == (before["supervisor"],)
    assert found.workloads == {part: (before[part],) for part in (USER_CLOUD, ALGORITHM, AGGREGATOR)}


def test_a_library_that_cannot_be_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bare-1.0.dist-info").mkdir()
    (tmp_path / "bare-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: bare\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with refused("library-unmeasured", SupervisorError):
        measure._library("bare")


def test_a_library_measures_the_same_beside_other_scripts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for name, more in (("one", ""), ("other", "../../bin/it,sha256=aa,1\nit/__pycache__/a.pyc,,\n")):
        info = tmp_path / name / "it-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: it\nVersion: 1.0\n")
        (info / "RECORD").write_text(f"it/a.py,sha256=bb,1\nit-1.0.dist-info/INSTALLER,sha256={name},1\n{more}")
        with monkeypatch.context() as patched:
            patched.syspath_prepend(str(tmp_path / name))
            found.append(measure._library("it"))
    assert found[0] == found[1]
    (info / "RECORD").write_text("it/a.py,sha256=cc,1\n")
    monkeypatch.syspath_prepend(str(tmp_path / "other"))
    assert measure._library("it") != found[0]


# -- nothing is loaded that is not measured ----------------------------------------------------------------------------

_LOADED = """
import json, sys
before = set(sys.modules)
import waykeep.node.__main__ as program
if sys.argv[1] != "supervisor":
    program.workloads()
print(json.dumps({n: getattr(m, "__file__", None) for n, m in list(sys.modules.items()) if n not in before}))
"""


@pytest.fixture(scope="module", params=["supervisor", "preloaded"])
def loaded(request: pytest.FixtureRequest) -> tuple[str, dict[str, str | None]]:
    """A part, and the modules that a fresh interpreter has loaded for it."""
    done = subprocess.run(
        [sys.executable, "-I", "-c", _LOADED, request.param], capture_output=True, check=True, timeout=60
    )
    return request.param, json.loads(done.stdout)


def test_no_module_outside_its_measured_rooms_is_loaded(loaded: tuple[str, dict[str, str | None]]) -> None:
    part, modules = loaded
    measured = ROOMS["supervisor" if part == "supervisor" else USER_CLOUD]
    ours = {name: Path(file) for name, file in modules.items() if name.split(".")[0] == "waykeep" and file}
    assert len(ours) > 10
    for name, file in ours.items():
        assert file.relative_to(PACKAGE).parts[0] in measured, name


def test_no_library_that_is_not_measured_is_loaded(loaded: tuple[str, dict[str, str | None]]) -> None:
    _, modules = loaded
    distributions = packages_distributions()
    libraries = {
        distribution.lower().replace("_", "-")
        for name, file in modules.items()
        if file and "site-packages" in file
        for distribution in distributions.get(name.split(".")[0], [name])
    }
    assert "msgspec" in libraries
    assert sorted(libraries - set(LIBRARIES) - {"waykeep"}) == []


def test_a_library_that_is_not_installed_measures_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    absent = measure._library("it")
    (tmp_path / "it-1.0.dist-info").mkdir()
    (tmp_path / "it-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: it\nVersion: 1.0\n")
    (tmp_path / "it-1.0.dist-info" / "RECORD").write_text("it/a.py,sha256=bb,1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert measure._library("it") != absent
