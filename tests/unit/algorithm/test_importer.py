from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from tests.unit.algorithm.samples import make
from waykeep.algorithm.importer import BundleImporter, ImportRefusedError


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    path, modules = list(sys.meta_path), dict(sys.modules)
    yield
    sys.meta_path[:] = path
    sys.modules.clear()
    sys.modules.update(modules)


def load(**sources: str) -> object:
    files = {path.replace("__", "/", 1) + ".py": text.encode() for path, text in sources.items()}
    return BundleImporter(make(files)).load("rows")


def test_modules_come_from_the_bundle() -> None:
    module = load(rows="import parts.one\nfrom parts import two\nrun = parts.one.ONE + two.TWO\n",
                  parts__one="from .two import TWO\nONE = TWO - 1\n", parts__two="TWO = 2\n")  # fmt: skip
    assert module.run == 3


def test_a_module_that_was_loaded_under_the_same_name_gives_way() -> None:
    sys.modules["part_of_somebody"] = sys
    module = load(rows="import part_of_somebody\nrun = part_of_somebody.OWN\n", part_of_somebody="OWN = True\n")
    assert module.run is True


@pytest.mark.parametrize(
    "line", ["import os", "from os import path", "import numpy.ctypeslib", "__import__('os')", "from .. import os"]
)
def test_what_a_run_does_not_have_is_refused(line: str) -> None:
    with pytest.raises(ImportError):
        load(rows=f"{line}\n")


def test_an_author_can_do_without_what_is_refused() -> None:
    module = load(rows="try:\n    import pandas\nexcept ImportError:\n    pandas = None\nrun = pandas\n")
    assert module.run is None


def test_a_package_cannot_pass_for_another_to_import_by_it() -> None:
    with pytest.raises(ImportRefusedError):
        load(rows="__package__ = 'os'\nfrom . import path\n")


def test_dataclasses_and_annotations_work_in_a_bundle() -> None:
    source = (
        "from __future__ import annotations\nfrom dataclasses import dataclass\nfrom typing import NamedTuple\n"
        "@dataclass(frozen=True)\nclass Point:\n    lat: int\nclass Stay(NamedTuple):\n    at: Point\n"
        "run = Stay(Point(1)).at.lat\n"
    )
    assert load(rows=source).run == 1


def test_an_author_has_no_future_but_their_own() -> None:
    source = "def f(a: 1 + 1): pass\nrun = f.__annotations__['a']\n"
    assert load(rows=source).run == 2
