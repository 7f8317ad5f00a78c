"""The vectors that another implementation is checked with hold for this one, and are those that would be made today."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pytest

from tests.unit.authority import test_links
from tests.unit.builders import refused
from tests.unit.vault import test_grants_equal_a_model as model
from tests.vectors.grants import make
from waykeep.authority.links import Budget, Chain, follow
from waykeep.authority.scopes import Scope, meet
from waykeep.errors import WaykeepError
from waykeep.formats import grid

VECTORS: dict[str, Any] = msgspec.json.decode(make.FILE.read_bytes())


def test_they_are_those_that_would_be_made_today() -> None:
    assert msgspec.json.decode(msgspec.json.encode(make.made())) == VECTORS


def test_places() -> None:
    for vector in VECTORS["places"]:
        at = (np.array([vector["place"][0]]), np.array([vector["place"][1]]))
        assert [int(half[0]) for half in grid.places(*at, vector["level"])] == vector["told"]
        assert [int(edge[0]) for edge in grid.corners(*at, vector["level"])] == vector["south_west_north_east"]


def test_meets() -> None:
    for vector in VECTORS["meets"]:
        one, other, both = (msgspec.convert(vector[name], Scope) for name in ("one", "other", "meet"))
        assert meet(one, other) == meet(other, one) == both


def test_a_chain() -> None:
    vector = VECTORS["chain"]
    begun = vector["begun"]
    first = Budget(vector["entry"], begun["runs"], begun["bits"])
    start = Chain(begun["holder"], "age1", msgspec.convert(begun["scope"], Scope), (first,))

    def found(links: list[str]) -> Chain:
        return follow(vector["owner"], vector["grant"], start, [link.encode() for link in links])

    chain = found(vector["links"])
    assert (chain.holder, chain.scope) == (vector["holder"], msgspec.convert(vector["scope"], Scope))
    assert [budget.runs for budget in chain.budgets] == vector["runs"]
    for wrong in vector["refused"]:
        with refused(wrong["rule"], WaykeepError):
            found(wrong["links"])
    assert {wrong["rule"] for wrong in vector["refused"]} > {"link-order", "link-signer", "link-widens"}
    assert vector["owner"] == test_links.OWNER


@pytest.mark.parametrize("number", range(len(VECTORS["reads"])))
def test_a_read(number: int) -> None:
    """By this implementation, from what the file says alone."""
    vector = VECTORS["reads"][number]
    case = model.Case(
        parties=[_said(scope, runs) for scope, runs in zip(vector["scopes"], vector["runs"], strict=True)],
        asked=_said({name: value for name, value in vector["ask"].items() if value}, None),
        size=vector["size"],
        inputs={stream: tuple(columns) for stream, columns in vector["inputs"].items()},
        withheld=[
            _corner(line["area"]) if "area" in line else (line["from_ms"], line["to_ms"]) for line in vector["withheld"]
        ],
    )
    if vector["rows"] is None:
        with pytest.raises(WaykeepError):
            model.real(case)
        return
    expected = {stream: [tuple(row) for row in rows] for stream, rows in vector["rows"].items()}
    assert model.real(case) == expected


def _said(scope: dict[str, Any], runs: int | None) -> model.Said:
    found = msgspec.convert(scope, Scope)
    return model.Said(
        streams=found.streams,
        first=found.from_ms,
        end=found.to_ms,
        last=found.last_ms,
        areas=[_corner(msgspec.to_builtins(area)) for area in found.areas],
        level=found.level,
        step=found.step_ms,
        begins=found.not_before_ms,
        until=found.until_ms,
        sizes=None if found.parameters is None else tuple(map(int, found.parameters["size"])),
        runs=runs,
    )


def _withheld(line: dict[str, Any]) -> tuple[int, int] | tuple[int, int, int]:
    return _corner(line["area"]) if "area" in line else (line["from_ms"], line["to_ms"])


def _corner(area: dict[str, Any]) -> tuple[int, int, int]:
    (south, west), _, (north, _), _ = area["polygon"]
    return south, west, north - south
