"""What a proposal comes to: what is typed counts more than what somebody proposes."""

from __future__ import annotations

import msgspec
import pytest

from tests.support.people import refused
from tests.unit.authority.entries import HOLDER, RECIPIENT
from tests.unit.device.test_approvals import FOUND
from waykeep.authority.permissions import Approved, Granted
from waykeep.device.proposing import allowance
from waykeep.device.scoping import Terms, day_ms
from waykeep.formats.ids import sha256
from waykeep.formats.proposal import Proposal

ASKED = Proposal(
    FOUND.digest, "http://127.0.0.1:1", until="2090-01-01", precision="500", store="counted", settings=("radius=50",)
)
NOTHING = Terms()
TO = {"holder": HOLDER.public, "recipient": RECIPIENT, "runs": 3, "purpose": "to count", "deadline": "30s"}


def proposed(
    typed: Terms = NOTHING, settings: tuple[str, ...] = (), store: str = "", **to: object
) -> Approved | Granted:
    return allowance(FOUND, msgspec.structs.replace(ASKED, **to), typed, list(settings), store)


def test_a_proposal_without_a_holder_is_an_approval() -> None:
    found = proposed()
    assert isinstance(found, Approved) and found.store_as == "derived/counted"
    assert found.scope.level and found.scope.until_ms == day_ms("2090-01-01")
    assert (found.scope.parameters or {})["radius"] == (50,)


def test_one_that_names_a_holder_is_a_grant_to_them() -> None:
    found = proposed(**TO)
    assert isinstance(found, Granted) and found.store_as == "derived/counted"
    assert (found.holder, found.recipient, found.runs) == (HOLDER.public, RECIPIENT, 3)
    assert (found.purpose, found.deadline_ms) == ("to count", 30_000)
    once = proposed(**TO | {"runs": None, "deadline": ""})
    assert isinstance(once, Granted) and once.runs == 1


@pytest.mark.parametrize("to", [{}, TO], ids=["approval", "grant"])
def test_what_is_typed_counts_more(to: dict[str, object]) -> None:
    found = proposed(Terms(until="2091-01-01"), ("radius=60", "radius=70"), "mine", **to)
    assert found.scope.until_ms == day_ms("2091-01-01") and found.store_as == "derived/mine"
    assert (found.scope.parameters or {})["radius"] == (60, 70)
    assert found.scope.level == proposed().scope.level, "what is not typed is as it was proposed"


def test_another_bundle_than_the_proposed() -> None:
    for to in ({}, TO):
        with refused("bundle-changed", "device"):
            proposed(digest=sha256(b"another"), **to)
