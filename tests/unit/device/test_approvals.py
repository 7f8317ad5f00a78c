"""From what a person types to an approval: what is not said is not allowed, and no typing error passes for a value."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.people import refused
from waykeep.authority.permissions import Approved
from waykeep.authority.scopes import Scope
from waykeep.device import approvals
from waykeep.device.scoping import Terms
from waykeep.errors import DeviceError, WaykeepError
from waykeep.formats import bundle
from waykeep.formats.ids import sha256

MANIFEST = b"""\
name = "rows"
version = "1.0.0"
author = "Tests"
summary = "Counts rows."
entry = "rows:run"
[inputs.location]
columns = ["ts_ms", "lat_e7"]
why = "To count them."
[parameters.radius]
type = "integer"
minimum = -10
maximum = 1000
default = 100
meaning = "How far."
[parameters.pace]
type = "choice"
values = ["slow", "fast"]
default = "slow"
meaning = "How fast."
[parameters.strict]
type = "boolean"
default = false
meaning = "How exact."
[limits]
memory_mib = 64
cpu_s = 1
wall_s = 1
[output]
meaning = "One row."
max_rows = 1
[output.fields.rows]
type = "integer"
minimum = 0
maximum = 100
meaning = "How many."
"""
FOUND = bundle.load(
    bundle.pack({"algorithm.toml": MANIFEST, "libraries.lock": b"python==3.11\n", "rows.py": b"def run(t, p): ...\n"})
)
DAY_MS = 86_400_000
OTHER_DAYS = ("20160620", "2016-W25-1", "2016W251", "\N{ARABIC-INDIC DIGIT TWO}016-06-20", "2016-06-20\n")


def propose(*settings: str, first: str = "2016-06-20", after: str = "2016-06-21", store: str = "") -> Approved:
    return approvals.propose(FOUND, FOUND.digest, Terms(first=first, after=after), list(settings), store)


def test_a_proposal_asks_for_what_the_manifest_asks_and_no_more() -> None:
    made = propose()
    assert (made.algorithm, made.name) == (FOUND.digest, "rows 1.0.0")
    assert made.scope == Scope(
        streams={"location": ("lat_e7", "ts_ms")},
        parameters={"pace": ("slow",), "radius": (100,), "strict": (False,)},
        from_ms=1_466_380_800_000,
        to_ms=1_466_380_800_000 + DAY_MS,
    )
    assert made.store_as == ""


def test_settings_name_the_values_that_are_allowed() -> None:
    made = propose("radius=50", "radius=-10", "pace=fast", "strict=true")
    assert made.scope.parameters == {"radius": (-10, 50), "pace": ("fast",), "strict": (True,)}
    assert [type(value) for value in made.scope.parameters["strict"]] == [bool]


def test_a_result_is_kept_under_the_name_given() -> None:
    assert propose(store="trips").store_as == "derived/trips"


@pytest.mark.parametrize("store", ["Trips", "a/b", "../location", "a" * 33, "0"])
def test_a_name_to_keep_a_result_under_that_is_none(store: str) -> None:
    with refused("stream-unknown", "format"):
        propose(store=store)


def test_another_bundle_than_that_of_the_digest() -> None:
    with refused("bundle-changed", "device"):
        approvals.propose(FOUND, sha256(b"another"), Terms(), [])


@pytest.mark.parametrize(
    "text", ["today", "2016-06-31", "2016-13-01", "20.6.2016", "2016-06-20T10:00", "2016-06", *OTHER_DAYS]
)
def test_text_that_is_no_day(text: str) -> None:
    with refused("date-malformed", "device"):
        propose(first=text)
    with refused("date-malformed", "device"):
        propose(after=text)


@pytest.mark.parametrize("after", ["2016-06-20", "2016-06-19", "2001-01-01"])
def test_a_window_that_ends_before_it_begins(after: str) -> None:
    with pytest.raises(DeviceError) as refusal:
        propose(after=after)
    assert refusal.value.rule == "window-empty"
    assert "--from lies before --to" in refusal.value.hint


@pytest.mark.parametrize("setting", ["", "radius", "radius:50"])
def test_a_setting_that_is_none(setting: str) -> None:
    with refused("setting-malformed", "device"):
        propose(setting)


@pytest.mark.parametrize(
    ("setting", "rule"),
    [
        ("radios=1", "parameter-unknown"),
        ("=1", "parameter-unknown"),
        ("radius=", "parameter-type"),
        ("radius=1.5", "parameter-type"),
        ("radius=--5", "parameter-type"),
        ("radius=-", "parameter-type"),
        ("radius=+5", "parameter-type"),
        ("radius= 5", "parameter-type"),
        ("radius=5\n", "parameter-type"),
        ("radius=\N{ARABIC-INDIC DIGIT FIVE}", "parameter-type"),
        ("radius=" + "9" * 5000, "parameter-type"),
        ("radius=1001", "parameter-range"),
        ("radius=-11", "parameter-range"),
        ("pace=medium", "parameter-range"),
        ("strict=1", "parameter-type"),
        ("strict=True", "parameter-type"),
    ],
)
def test_a_setting_that_the_manifest_does_not_allow(setting: str, rule: str) -> None:
    with refused(rule, "algorithm"):
        propose(setting)
    with refused(rule, "algorithm"):
        approvals.parameters_of(FOUND, [setting])


@given(st.text(max_size=20), st.sampled_from(["radius=", "pace=", "strict=", ""]))
@example("-0", "radius=")
@example("--", "radius=")
def test_any_setting_is_taken_or_refused_by_type(text: str, start: str) -> None:
    try:
        found = approvals.parameters_of(FOUND, [start + text])
    except WaykeepError:
        return
    assert len(found) == 1


def test_a_run_gives_what_was_set_and_leaves_the_rest_to_the_bundle() -> None:
    assert approvals.parameters_of(FOUND, ["radius=5"]) == {"radius": 5}
    assert approvals.parameters_of(FOUND, []) == {}
