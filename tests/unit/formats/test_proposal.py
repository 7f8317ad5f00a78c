"""Proposals from outside: what is written comes back, and nothing that is unclear is taken."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import A_DIGEST, key, refused
from waykeep.errors import FormatError, WaykeepError
from waykeep.formats import agefile
from waykeep.formats.proposal import MAX_URI, SCHEME, Proposal, parse, write

HOST = "https://host.example:8470"
LEAST = Proposal(A_DIGEST, HOST)
WHOLE = Proposal(
    digest=A_DIGEST,
    host=HOST,
    holder=key("study").public,
    recipient=agefile.generate()[1],
    runs=4,
    bits=1000,
    first="2026-01-01",
    after="2026-02-01",
    last="30d",
    until="2027-01-01",
    precision="0.5km",
    times="15m",
    deadline="30s",
    store="trips",
    purpose="To plan trams & buses: how far is 100 %?",
    settings=("stay_radius_m=100", "exact=true"),
)
GOOD = f"{SCHEME}digest={A_DIGEST}&host={HOST}"


def test_a_proposal_comes_back() -> None:
    for proposal in (LEAST, WHOLE):
        assert parse(write(proposal)) == proposal
    assert write(LEAST) == GOOD
    assert len(write(WHOLE)) < 700, "a code that a phone still reads"


def test_fields_may_come_in_any_order_and_are_written_in_one() -> None:
    turned = f"{SCHEME}until=2027-01-01&set=a=1&host={HOST}&digest={A_DIGEST}"
    assert write(parse(turned)) == f"{GOOD}&until=2027-01-01&set=a%3D1"


@given(
    st.sampled_from(["first", "after", "until"]),
    st.dates().map(str),
    st.integers(1, 100_000),
    st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=100),
)
def test_any_proposal_comes_back(field: str, day: str, runs: int, purpose: str) -> None:
    made = msgspec.structs.replace(LEAST, **{field: day, "runs": runs, "purpose": purpose})
    try:
        assert parse(write(made)) == made
    except FormatError as error:
        assert error.rule == "proposal-too-long" and len(purpose.encode()) > 300


@pytest.mark.parametrize("more", ["&speed=1", "&Runs=1", "&runs%20=1", "&", "&=1", "&holder2=x"])
def test_proposal_unknown(more: str) -> None:
    """It may narrow, or widen, in a way that this version does not know."""
    with refused("proposal-unknown", FormatError):
        parse(GOOD + more)


def test_proposal_too_long() -> None:
    with refused("proposal-too-long", FormatError):
        parse(GOOD + "&set=a=1" * (MAX_URI // 8))


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "waykeep:approve",
        "waykeep:revoke?digest=x",
        "WAYKEEP:approve?" + GOOD.removeprefix(SCHEME),
        " " + GOOD,
        GOOD + "\n",
        GOOD + "#fragment",
        GOOD + "&purpose=é",
        f"{SCHEME}digest={A_DIGEST}",
        f"{SCHEME}host={HOST}",
        f"{SCHEME}digest=sha256:00&host={HOST}",
        f"{SCHEME}digest={A_DIGEST}&host=ftp://host.example",
        f"{SCHEME}digest={A_DIGEST}&host=https://me:pass@host.example",
        f"{SCHEME}digest={A_DIGEST}&host=https://host.example/path",
        f"{SCHEME}digest={A_DIGEST}&host=https://host.example:99999",
        GOOD + f"&host={HOST}",
        GOOD + "&runs=1&runs=2",
        GOOD + "&runs",
        GOOD + "&runs=",
        GOOD + "&runs=0",
        GOOD + "&runs=-1",
        GOOD + "&runs=1.5",
        GOOD + "&runs=100001",
        GOOD + "&runs=0x10",
        GOOD + "&bits=10000000000001",
        GOOD + "&until=tomorrow",
        GOOD + "&last=15m",
        GOOD + "&last=",
        GOOD + "&precision=-5",
        GOOD + "&precision=fine",
        GOOD + "&times=15",
        GOOD + "&holder=me",
        GOOD + "&holder=" + "A" * 42 + "%00",
        GOOD + "&recipient=age2x",
        GOOD + "&store=../location",
        GOOD + "&purpose=%20",
        GOOD + "&purpose=" + "x" * 201,
        GOOD + "&purpose=a%0Ab",
        GOOD + "&purpose=%E2%80%AEtxt",
        GOOD + "&purpose=%1B%5B2J",
        GOOD + "&purpose=%FF",
        GOOD + "&purpose=%4",
        GOOD + "&purpose=%zz",
        GOOD + "&purpose=a+b",
        GOOD + "&set=",
        GOOD + "&set=a",
        GOOD + "&set=a=b=c",
        GOOD + "&set=A=1",
        GOOD + "&set=a=1" * 65,
    ],
    ids=lambda uri: uri.removeprefix(GOOD)[:40],
)
def test_proposal_malformed(uri: str) -> None:
    with refused("proposal-malformed", FormatError):
        parse(uri)


@given(st.text(max_size=80), st.sampled_from(["", SCHEME, GOOD, GOOD + "&purpose=", GOOD + "&set="]))
def test_any_text_is_taken_or_refused_by_type(text: str, start: str) -> None:
    try:
        found = parse(start + text)
    except WaykeepError:
        return
    assert parse(write(found)) == found
