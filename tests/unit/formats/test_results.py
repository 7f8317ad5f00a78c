from __future__ import annotations

import itertools
import math
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from waykeep.errors import AlgorithmError
from waykeep.formats import results
from waykeep.formats.manifest import (
    Boolean,
    Choice,
    Domain,
    Field,
    Input,
    Integer,
    Limits,
    Manifest,
    Output,
    Parameter,
    max_result_bytes,
)


def manifest(max_rows: int = 2, parameters: tuple[Parameter, ...] = (), **fields: Domain) -> Manifest:
    return Manifest(
        name="test",
        version="1.0.0",
        author="A",
        summary="S",
        module="m",
        function="run",
        inputs=(Input("location", ("ts_ms",), "W"),),
        parameters=parameters,
        limits=Limits(64, 1, 1),
        output=Output("M", max_rows, tuple(Field(name, domain, "M") for name, domain in fields.items())),
    )


PARAMETERS = manifest(
    parameters=(
        Parameter("radius", Integer(25, 1000), 100, "R"),
        Parameter("pace", Choice(("slow", "fast")), "slow", "P"),
        Parameter("strict", Boolean(), True, "S"),
    )
)
RESULT = manifest(count=Integer(0, 10), mode=Choice(("walk", "ride")), gap=Boolean())
ROW = {"count": 1, "mode": "walk", "gap": False}


def test_parameters_not_given_have_their_defaults() -> None:
    assert results.check_parameters(PARAMETERS, {}) == {"radius": 100, "pace": "slow", "strict": True}


def test_parameters_stand_in_the_manifests_order() -> None:
    checked = results.check_parameters(PARAMETERS, {"strict": False, "radius": 25})
    assert list(checked.items()) == [("radius", 25), ("pace", "slow"), ("strict", False)]


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ({"radios": 100}, "parameter-unknown"),
        ({"radius": True}, "parameter-type"),
        ({"radius": 100.0}, "parameter-type"),
        ({"radius": "100"}, "parameter-type"),
        ({"radius": None}, "parameter-type"),
        ({"strict": 1}, "parameter-type"),
        ({"pace": 1}, "parameter-type"),
        ({"radius": 24}, "parameter-range"),
        ({"radius": 1001}, "parameter-range"),
        ({"radius": 2**70}, "parameter-range"),
        ({"pace": "medium"}, "parameter-range"),
    ],
)
def test_parameters_that_are_not_declared(given: dict[str, Any], rule: str) -> None:
    with pytest.raises(AlgorithmError) as error:
        results.check_parameters(PARAMETERS, given)
    assert error.value.rule == rule


def test_rows_come_back_in_the_manifests_order() -> None:
    checked = results.check_result(RESULT, [{"gap": True, "mode": "ride", "count": 10}, ROW])
    assert [list(row.items()) for row in checked] == [[("count", 10), ("mode", "ride"), ("gap", True)], [*ROW.items()]]
    assert results.check_result(RESULT, []) == []


@pytest.mark.parametrize(
    ("rows", "rule"),
    [
        (None, "result-shape"),
        ((ROW,), "result-shape"),
        ([ROW, [1]], "result-shape"),
        ([ROW] * 3, "result-rows"),
        ([{"count": 1, "mode": "walk"}], "result-fields"),
        ([ROW | {"lat": 1}], "result-fields"),
        ([ROW | {1: 1}], "result-fields"),
        ([ROW | {"count": True}], "result-type"),
        ([ROW | {"count": 1.0}], "result-type"),
        ([ROW | {"count": None}], "result-type"),
        ([ROW | {"gap": 0}], "result-type"),
        ([ROW | {"mode": b"walk"}], "result-type"),
        ([ROW, ROW | {"count": 11}], "result-range"),
        ([ROW | {"count": -1}], "result-range"),
        ([ROW | {"mode": "swim"}], "result-range"),
    ],
)
def test_results_that_are_not_declared(rows: object, rule: str) -> None:
    with pytest.raises(AlgorithmError) as error:
        results.check_result(RESULT, rows)
    assert error.value.rule == rule


@pytest.mark.parametrize(("name", "value"), [("count", 481234567), ("mode", "lat481234567")])
def test_a_refusal_does_not_tell_the_value(name: str, value: object) -> None:
    with pytest.raises(AlgorithmError) as error:
        results.check_result(RESULT, [ROW | {name: value}])
    assert "481234567" not in f"{error.value} {error.value.hint}"


@given(st.integers(1, 3), st.integers(0, 2), st.integers(1, 3))
def test_the_bits_of_a_small_schema_are_those_of_its_results_counted_one_by_one(
    rows: int, top: int, words: int
) -> None:
    schema = manifest(max_rows=rows, count=Integer(0, top), mode=Choice(tuple("abc"[:words])))
    kinds = list(itertools.product(range(top + 1), "abc"[:words]))
    every = sum(1 for n in range(rows + 1) for _ in itertools.product(kinds, repeat=n))
    assert results.result_bits(schema) == pytest.approx(math.log2(every + 1), abs=1e-9)


def test_a_schema_with_one_possible_row_tells_only_how_many() -> None:
    assert results.result_bits(manifest(max_rows=6, count=Integer(5, 5))) == math.log2(8)


@pytest.mark.parametrize("max_rows", [64, 65, 10_000])
def test_the_bits_of_a_large_schema_are_an_upper_bound_and_a_close_one(max_rows: int) -> None:
    schema = manifest(max_rows=max_rows, count=Integer(-(2**63), 2**63 - 1))
    assert 64 * max_rows <= results.result_bits(schema) <= 64 * max_rows + 1e-3


def test_counting_bits_is_quick_for_the_largest_schema() -> None:
    fields = {f"f{i}": Integer(-(2**63), 2**63 - 1) for i in range(32)}
    assert results.result_bits(manifest(max_rows=10_000, **fields)) == pytest.approx(10_000 * 32 * 64)


def test_commitments_are_over_rows_whatever_the_order_of_their_fields() -> None:
    turned = dict(reversed(ROW.items()))
    assert results.result_digest_bytes([ROW]) == results.result_digest_bytes([turned])
    assert results.result_digest_bytes([ROW]) != results.result_digest_bytes([ROW, ROW])
    assert results.result_digest_bytes([ROW | {"gap": False}]) != results.result_digest_bytes([ROW | {"gap": 0}])


def test_no_result_is_longer_than_its_schema_says() -> None:
    fields = {"f" * 32: Integer(-(2**63), 2**63 - 1), "g" * 32: Choice(("w" * 32,)), "h": Boolean()}
    schema = manifest(max_rows=1000, **fields)
    row = {"f" * 32: -(2**63), "g" * 32: "w" * 32, "h": True}
    rows = results.check_result(schema, [row] * 1000)
    assert len(msgspec.msgpack.encode({"rows": rows})) <= max_result_bytes(schema)
