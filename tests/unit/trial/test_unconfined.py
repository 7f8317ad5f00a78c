"""A bundle's function outside the sandbox: two bundles do not meet, and nothing of them stays behind."""

from __future__ import annotations

import sys

import pyarrow as pa
import pytest

from tests.support import algorithms
from tests.unit.builders import refused
from waykeep.errors import AlgorithmError
from waykeep.trial.unconfined import Unconfined

ROWS = {"location": pa.table({"ts_ms": pa.array([1, 2, 3], pa.int64())})}


def made(source: str) -> Unconfined:
    return Unconfined(algorithms.slow("unconfined", source.encode())[0])


def test_modules_of_one_name_stay_apart_and_leave_nothing() -> None:
    counting = Unconfined(algorithms.slow()[0])
    seven = made("def run(tables, parameters):\n    import slow\n    return [{'rows': slow.SEVEN}]\nSEVEN = 7\n")
    before = (list(sys.meta_path), dict(sys.modules))
    for _ in range(2):
        assert counting.run(ROWS, {"rounds": 0}) == [{"rows": 3}]
        assert seven.run(ROWS, {"rounds": 0}) == [{"rows": 7}]
    assert (list(sys.meta_path), dict(sys.modules)) == before


def test_a_loaded_module_of_the_same_name_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    mine = type(sys)("slow")
    monkeypatch.setitem(sys.modules, "slow", mine)
    assert Unconfined(algorithms.slow()[0]).run(ROWS, {"rounds": 0}) == [{"rows": 3}]
    assert sys.modules["slow"] is mine


def test_what_it_prints_is_nowhere(capsys: pytest.CaptureFixture[str]) -> None:
    made("def run(tables, parameters):\n    print('here')\n    return [{'rows': 1}]\n").run(ROWS, {"rounds": 0})
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("def run(tables, parameters):\n    return {}['x']\n", "KeyError"),
        ("def run(tables, parameters:\n", "SyntaxError"),
        ("import socket\ndef run(tables, parameters):\n    return []\n", "ImportRefusedError"),
        ("def walk(tables, parameters):\n    return []\n", "AttributeError"),
    ],
)
def test_code_that_fails_is_refused_with_the_kind_of_failure(source: str, kind: str) -> None:
    with pytest.raises(AlgorithmError) as caught:
        made(source).run(ROWS, {"rounds": 0})
    assert (caught.value.rule, caught.value.message) == ("run-failed", f"found code that raised {kind}")


def test_rows_that_are_not_as_declared_are_refused() -> None:
    with refused("result-range"):
        made("def run(tables, parameters):\n    return [{'rows': -1}]\n").run(ROWS, {"rounds": 0})
