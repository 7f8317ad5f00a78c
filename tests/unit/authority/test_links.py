"""Chains of links: each rule by which one is refused, and what a good one comes to."""

from __future__ import annotations

from functools import reduce
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from tests.unit.authority.test_scopes import AREAS, KEYS, SCOPES
from tests.unit.builders import key, refused
from waykeep.authority import dsse, links
from waykeep.authority.keys import SigningKey
from waykeep.authority.links import LINK_TYPE, MAX_LINKS, Budget, Chain, Link, follow, narrow
from waykeep.authority.scopes import Scope, meet
from waykeep.errors import AuthorityError, FormatError
from waykeep.formats.ids import Digest, OwnerId, sha256
from waykeep.formats.wire import encode_json

OWNER, OTHER = OwnerId("a" * 52), OwnerId("b" * 52)
GRANT, ENTRY = 7, sha256(b"the entry")
HOLDERS = [key(f"holder {number}") for number in range(MAX_LINKS + 2)]
WIDE = Scope(
    streams={"location": ("lat_e7", "lon_e7", "ts_ms"), "battery": ("level_pct", "ts_ms")},
    parameters={"size": (1, 2, 3)},
    from_ms=100,
    to_ms=900,
    last_ms=800,
    areas=(AREAS[0],),
    level=10,
    step_ms=60_000,
    stores=False,
    not_before_ms=10,
    until_ms=90,
    vetted=((KEYS[0],),),
)
BEGUN = Chain(HOLDERS[0].public, "age1first", WIDE, (Budget(ENTRY, 10, 1000),))


def link(number: int, follows: Digest, scope: Scope = Scope(), **changes: Any) -> bytes:  # noqa: B008 - it is frozen
    """The link by holder ``number`` to the next one."""
    made = Link(OWNER, GRANT, follows, HOLDERS[number + 1].public, f"age1{number + 1}", scope)
    return narrow(msgspec.structs.replace(made, **changes), HOLDERS[number])


def chain(*scopes: Scope, **changes: Any) -> list[bytes]:
    found, follows = list[bytes](), ENTRY
    for number, scope in enumerate(scopes):
        found.append(link(number, follows, scope, **changes))
        follows = sha256(found[-1])
    return found


def test_a_grant_itself_is_a_chain_without_links() -> None:
    assert follow(OWNER, GRANT, BEGUN, []) == BEGUN


def test_what_a_chain_comes_to() -> None:
    hourly = Scope(step_ms=3_600_000, streams={"location": ("ts_ms", "lat_e7")})
    envelopes = chain(hourly, Scope(until_ms=50, areas=(AREAS[1],)))
    found = follow(OWNER, GRANT, BEGUN, envelopes)
    assert (found.holder, found.recipient) == (HOLDERS[2].public, "age12")
    assert found.scope == reduce(meet, [WIDE, hourly, Scope(until_ms=50, areas=(AREAS[1],))])
    assert found.scope.streams == {"location": ("lat_e7", "ts_ms")} and len(found.scope.areas) == 2
    assert found.budgets == (Budget(ENTRY, 10, 1000), *(Budget(sha256(e), 10, 1000) for e in envelopes))


def test_runs_and_bits_only_get_less() -> None:
    found = follow(OWNER, GRANT, BEGUN, chain(Scope(), Scope(), runs=3, bits=100))
    assert [(budget.runs, budget.bits) for budget in found.budgets] == [(10, 1000), (3, 100), (3, 100)]


@given(SCOPES, SCOPES, SCOPES)
@settings(max_examples=300)
def test_no_chain_is_wider_than_any_part_of_it(first: Scope, second: Scope, third: Scope) -> None:
    begun = BEGUN._replace(scope=first)
    try:
        found = follow(OWNER, GRANT, begun, chain(second, third))
    except AuthorityError as error:
        assert error.rule == "link-widens"
    else:
        assert all(meet(found.scope, scope) == found.scope for scope in (first, second, third))
        assert found.scope == reduce(meet, [first, second, third])


@pytest.mark.parametrize(
    "changes",
    [
        {"streams": {"location": ("ts_ms", "altitude_cm")}},
        {"streams": {"motion-activity": ("ts_ms",)}},
        {"parameters": {"size": (1, 4)}},
        {"parameters": {"size": (1, True)}},
        {"parameters": {"mode": ("walk",)}},
        {"from_ms": 99},
        {"to_ms": 901},
        {"last_ms": 801},
        {"level": 9},
        {"step_ms": 1000},
        {"not_before_ms": 9},
        {"until_ms": 91},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_link_widens(changes: dict[str, Any]) -> None:
    for envelopes in (chain(Scope(**changes)), chain(Scope(), Scope(**changes))):
        with refused("link-widens", AuthorityError):
            follow(OWNER, GRANT, BEGUN, envelopes)


@pytest.mark.parametrize("changes", [{"runs": 11}, {"bits": 1001}])
def test_link_widens_by_runs_or_bits(changes: dict[str, int]) -> None:
    with refused("link-widens", AuthorityError):
        follow(OWNER, GRANT, BEGUN, chain(Scope(), **changes))


def test_link_signer() -> None:
    """A forged link, and one by somebody who passed the grant on already."""
    first = link(0, ENTRY)
    for signer in (HOLDERS[0], HOLDERS[2], key("somebody")):
        made = Link(OWNER, GRANT, sha256(first), HOLDERS[2].public, "age1x", Scope())
        with refused("link-signer", AuthorityError):
            follow(OWNER, GRANT, BEGUN, [first, narrow(made, signer)])


@pytest.mark.parametrize(
    "change", [lambda c: c[1:], lambda c: [c[0], c[2]], lambda c: c[::-1], lambda c: [*c[:2], c[1]]]
)
def test_link_order(change: Any) -> None:
    """Cut, and reordered."""
    envelopes = chain(Scope(), Scope(), Scope())
    with refused("link-order", AuthorityError):
        follow(OWNER, GRANT, BEGUN, change(envelopes))


def test_a_chain_that_is_cut_at_its_end_is_the_chain_of_who_was_before() -> None:
    envelopes = chain(Scope(), Scope(level=20))
    assert follow(OWNER, GRANT, BEGUN, envelopes[:1]).holder == HOLDERS[1].public


@pytest.mark.parametrize("changes", [{"owner": OTHER}, {"grant": 8}])
def test_link_foreign(changes: dict[str, Any]) -> None:
    with refused("link-foreign", AuthorityError):
        follow(OWNER, GRANT, BEGUN, chain(Scope(), **changes))
    for owner, grant in ((OTHER, GRANT), (OWNER, 8)):
        with refused("link-foreign", AuthorityError):
            follow(owner, grant, BEGUN, chain(Scope()))


def test_chain_too_long() -> None:
    whole = chain(*[Scope()] * MAX_LINKS)
    assert len(follow(OWNER, GRANT, BEGUN, whole).budgets) == MAX_LINKS + 1
    with refused("chain-too-long", AuthorityError):
        follow(OWNER, GRANT, BEGUN, [*whole, *whole])


def test_a_chain_of_a_thousand_links_is_refused_before_any_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[bytes] = []
    monkeypatch.setattr(dsse, "peek", lambda *asked, **limits: opened.append(asked[0]))
    with refused("chain-too-long", AuthorityError):
        follow(OWNER, GRANT, BEGUN, [b"x"] * 1000)
    assert not opened


def test_link_barred() -> None:
    envelopes = chain(Scope(), Scope())
    pairs = [(HOLDERS[number].public, HOLDERS[number + 1].public) for number in (0, 1)]
    for pair in pairs:
        with refused("link-barred", AuthorityError):
            follow(OWNER, GRANT, BEGUN, envelopes, lambda *link, pair=pair: link == pair)
    other = (HOLDERS[0].public, HOLDERS[2].public)
    assert follow(OWNER, GRANT, BEGUN, envelopes, lambda *link: link == other).holder == HOLDERS[2].public


def test_a_link_with_a_field_that_nobody_knows() -> None:
    """It may narrow in a way that this version does not enforce."""
    said = msgspec.to_builtins(Link(OWNER, GRANT, ENTRY, HOLDERS[1].public, "age11", Scope()))
    for changed in (said | {"speed": 1}, said | {"scope": {"speed": 1}}):
        with refused("malformed", FormatError):
            follow(OWNER, GRANT, BEGUN, [dsse.sign(LINK_TYPE, encode_json(changed), HOLDERS[0])])


def test_a_changed_link() -> None:
    (envelope,) = chain(Scope())
    forged = SigningKey(b"7" * 32)
    other = dsse.sign("application/vnd.waykeep.grant+json", b"{}", forged)
    with refused("statement-type", AuthorityError):
        follow(OWNER, GRANT, BEGUN, [other])
    with refused("malformed", FormatError):
        follow(OWNER, GRANT, BEGUN, [envelope[:-1]])
    assert len(envelope) <= links.MAX_LINK
