"""Who wants to wake somebody's user cloud without having been passed anything."""

from __future__ import annotations

import pytest

from tests.unit.builders import an_owner, key, refused
from waykeep.authority import dsse
from waykeep.authority.introductions import INTRODUCTION_TYPE, introduce, introduced
from waykeep.authority.links import LINK_TYPE
from waykeep.errors import WaykeepError

ANNA, OTHER = an_owner("anna").id, an_owner("other").id
CALLER, NEXT, THIEF = key("caller"), key("next"), key("thief")
CALLERS = [CALLER.public]


def test_a_chain_leads_to_its_last_key() -> None:
    chain = [introduce(ANNA, NEXT.public, CALLER), introduce(ANNA, THIEF.public, NEXT)]
    assert introduced(ANNA, CALLERS, chain) == THIEF.public
    assert introduced(ANNA, CALLERS, chain[:1]) == NEXT.public


@pytest.mark.parametrize(
    "chain",
    [
        [],
        [introduce(ANNA, THIEF.public, THIEF)],
        [introduce(ANNA, NEXT.public, CALLER), introduce(ANNA, THIEF.public, THIEF)],
        [introduce(ANNA, NEXT.public, CALLER), introduce(ANNA, THIEF.public, CALLER)],
        [introduce(OTHER, THIEF.public, CALLER)],
        [introduce(ANNA, NEXT.public, CALLER)] + [introduce(ANNA, NEXT.public, NEXT)] * 16,
    ],
    ids=["none", "by themselves", "cut", "beside", "of another owner", "of seventeen"],
)
def test_introduction_unknown(chain: list[bytes]) -> None:
    with refused("introduction-unknown"):
        introduced(ANNA, CALLERS, chain)


@pytest.mark.parametrize("kind", [LINK_TYPE, "application/vnd.waykeep.introduction+JSON"])
def test_another_statement_of_a_caller_is_no_introduction(kind: str) -> None:
    said = b'{"owner":"%s","key":"%s"}' % (ANNA.encode(), THIEF.public.encode())
    introduced(ANNA, CALLERS, [dsse.sign(INTRODUCTION_TYPE, said, CALLER)])
    with refused("statement-type"):
        introduced(ANNA, CALLERS, [dsse.sign(kind, said, CALLER)])


def test_a_forged_or_broken_introduction() -> None:
    good = introduce(ANNA, NEXT.public, CALLER)
    forged = good.replace(CALLER.public.encode(), THIEF.public.encode())
    for said in (forged, good[:-3], b"", b"\xff" * 40, b"{}", good + b" ", b"x" * 5000):
        with pytest.raises(WaykeepError):
            introduced(ANNA, CALLERS, [said])
