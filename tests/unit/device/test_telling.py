"""What an owner agrees to, in words that a person understands."""

from __future__ import annotations

import pytest

from tests.unit.authority.entries import DAY_MS, a_grant
from tests.unit.builders import NOW_MS, an_approval
from waykeep.authority.areas import Area
from waykeep.device import telling

AREA = Area(cells=("881f1d4887fffff",))


def test_the_consent_of_a_grant_says_it_all() -> None:
    grant = a_grant(
        streams={"location": ("lat_e7", "lon_e7", "ts_ms")},
        from_ms=None,
        to_ms=None,
        last_ms=30 * DAY_MS,
        areas=(AREA,),
        level=16,
        step_ms=900_000,
        purpose="to plan trams",
        runs=3,
        bits=3000,
        store_as="derived/counted",
        vetted=((a_grant().holder,),),
        deadline_ms=65_000,
    )
    said = telling.consent(grant)
    for words in (
        "Purpose:     to plan trams",
        "location (lat_e7, lon_e7, ts_ms)",
        "only the last 30 days, whenever it is asked",
        "only what lies in 1 area",
        "places to about 730 m, times to 15 minutes",
        "3 times in all, until 2016-06-21 UTC; each answer comes after 65 seconds",
        "all answers together can tell 3,000 bits: enough to spell out 66 places of yours with their times",
        "stay_radius_m: 100, 200",
        "results are kept in your vault as derived/counted",
        "only with a review by one of 1 keys",
    ):
        assert words in said, words


def test_the_consent_of_a_look_says_what_rows_show() -> None:
    said = telling.consent(a_grant(algorithm=None, rows=500, runs=9))
    assert "each of 9 looks shows up to 500 rows of it" in said and "your name can be found" in said


def test_the_consent_of_an_approval() -> None:
    said = telling.consent(an_approval(store_as="", from_ms=None, to_ms=None))
    assert "your own devices, with trips 1.0.0" in said and "as often as you like" in said
    assert "all that was recorded, and what is to come" in said and "everywhere" in said and "At worst" not in said


@pytest.mark.parametrize(
    ("ms", "words"),
    [(DAY_MS, "1 day"), (3 * 3_600_000, "3 hours"), (60_000, "1 minute"), (65_000, "65 seconds"), (1, "1 ms")],
)
def test_durations(ms: int, words: str) -> None:
    assert telling.duration(ms) == words


def test_what_is_left_of_a_grants_time() -> None:
    assert telling.left(NOW_MS + 10 * DAY_MS, NOW_MS) == "2016-06-30, 10 days left"
    assert telling.left(NOW_MS + 3_600_000, NOW_MS) == "2016-06-20 01:00, 1 hour left"
    assert telling.left(NOW_MS - 1, NOW_MS) == "2016-06-19 23:59, over"
