"""Makes ``vectors.json`` anew: ``python -m tests.vectors.grants.make``. See the README beside it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from tests.unit.builders import key
from tests.unit.vault import test_grants_equal_a_model as model
from waykeep.authority.links import Link, narrow
from waykeep.authority.scopes import Scope, canonical, meet
from waykeep.formats import grid
from waykeep.formats.ids import OwnerId, sha256

FILE = Path(__file__).parent / "vectors.json"
PLACES = [
    (525_163_271, 133_779_043), (0, 0), (-1, -1), (900_000_000, 1_800_000_000), (-900_000_000, -1_800_000_000),
    (899_999_999, 5), (700_000_000, -1_799_999_999), (-338_688_000, 1_512_093_000),
]  # fmt: skip
OWNER, GRANT, ENTRY = OwnerId("a" * 52), 7, sha256(b"the envelope of the grant's entry")


def places() -> list[dict[str, Any]]:
    found = []
    for lat, lon in PLACES:
        for level in (0, 1, 10, 16, 24):
            at = (np.array([lat]), np.array([lon]))
            told = [int(half[0]) for half in grid.places(*at, level)]
            edges = [int(edge[0]) for edge in grid.corners(*at, level)]
            found.append({"place": [lat, lon], "level": level, "told": told, "south_west_north_east": edges})
    return found


def meets(draw: random.Random) -> list[dict[str, Any]]:
    found = []
    for _ in range(24):
        one, other = (canonical(model.party(draw, model.Said()).scope()) for _ in range(2))
        found.append({"one": one, "other": other, "meet": meet(one, other)})
    return found


def reads(draw: random.Random) -> list[dict[str, Any]]:
    """What the model expects, which knows nothing of the implementation."""
    found: list[dict[str, Any]] = []
    while len(found) < 40:
        case = model.a_case(draw)
        expected = model.model(case)
        if expected is None and sum(one["rows"] is None for one in found) >= 10:
            continue
        said = [party.scope() for party in case.parties]
        ask = {
            "from_ms": case.asked.first,
            "to_ms": case.asked.end,
            "areas": [model.square(area) for area in case.asked.areas],
            "level": case.asked.level or None,
            "step_ms": None if case.asked.step == 1 else case.asked.step,
        }
        withheld = [
            {"from_ms": line[0], "to_ms": line[1]} if len(line) == 2 else {"area": model.square(line)}
            for line in case.withheld
        ]
        asked = {"ask": ask, "size": case.size, "inputs": case.inputs, "withheld": withheld}
        runs = [party.runs for party in case.parties]
        found.append({"scopes": said, "runs": runs, **asked, "now_ms": model.NOW, "rows": expected})
    return found


def chain() -> dict[str, Any]:
    """Three good links, and what is wrong with others."""
    holders = [key(f"vector holder {number}") for number in range(4)]
    links, before = list[str](), ENTRY
    for number, scope in enumerate((Scope(level=16), Scope(step_ms=900_000), Scope(until_ms=model.NOW))):
        made = Link(OWNER, GRANT, before, holders[number + 1].public, "age1vector", scope, 9 - number, 1000)
        links.append(narrow(made, holders[number]).decode())
        before = sha256(links[-1].encode())
    forged = links[1].replace(holders[1].public, holders[3].public)
    by_another = narrow(Link(OWNER, GRANT, ENTRY, holders[1].public, "age1vector", Scope()), holders[2]).decode()
    wider = narrow(Link(OWNER, GRANT, ENTRY, holders[1].public, "age1vector", Scope(level=3)), holders[0]).decode()
    foreign = narrow(Link(OWNER, 8, ENTRY, holders[1].public, "age1vector", Scope()), holders[0]).decode()
    return {
        "owner": OWNER, "grant": GRANT, "entry": ENTRY,
        "begun": {"holder": holders[0].public, "scope": Scope(level=10), "runs": 9, "bits": 1000},
        "links": links, "holder": holders[3].public, "runs": [9, 9, 8, 7],
        "scope": canonical(Scope(level=16, step_ms=900_000, until_ms=model.NOW)),
        "refused": [
            {"links": links[1:], "rule": "link-order"},
            {"links": [links[0], links[2]], "rule": "link-order"},
            {"links": [links[0], forged], "rule": "signature-invalid"},
            {"links": [by_another], "rule": "link-signer"},
            {"links": [wider], "rule": "link-widens"},
            {"links": [foreign], "rule": "link-foreign"},
            {"links": [links[0]] * 17, "rule": "chain-too-long"},
        ],
    }  # fmt: skip


def made() -> dict[str, Any]:
    draw = random.Random(3)
    return {"places": places(), "meets": meets(draw), "world": model.WORLD, "reads": reads(draw), "chain": chain()}


if __name__ == "__main__":
    FILE.write_bytes(msgspec.json.encode(made()))
