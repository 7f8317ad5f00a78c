from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

import msgspec
import pytest

from waykeep.demo.findings import Finding, Skipped
from waykeep.demo.geojson import Journeys, TrackPoint, Trip
from waykeep.demo.report import (
    AuditEntry,
    HandCheck,
    LeakScan,
    Mode,
    Owner,
    Receipt,
    Refusal,
    ReportData,
    ScannedPlace,
    Step,
    Timing,
    render,
)

DAY_MS = 86_400_000
NOON = 1_466_449_200_000  # 2016-06-20 12:00 in America/Los_Angeles


def trip(number: int, day: int = 0, gap: bool = False) -> Trip:
    start = NOON + day * DAY_MS + number * 3_600_000
    return Trip(start, start + 900_000, 373_900_000, -1_220_850_000, 373_990_000, -1_220_960_000, 900, 1500, 9, gap)


TRACK = tuple(TrackPoint(NOON + n * 60_000, 373_900_000 + n * 500, -1_220_850_000 - n * 700) for n in range(200))


def owner(name: str = "Ada", trips: tuple[Trip, ...] = (trip(0), trip(1, gap=True)), **changes: Any) -> Owner:
    full = Owner(
        owner_id="a" * 52,
        recording="monday.json",
        zone="America/Los_Angeles",
        entries_imported=1234,
        entries_refused=1,
        segments=3,
        journeys=Journeys(name, trips, TRACK),
        modes=(
            Mode("walking", 1000, 600, 2, 0, 1),
            Mode("vehicle", 3000, 200, 1, 420, 1),
            Mode("still", 0, 0, 0, 0, 0),
        ),
    )
    return msgspec.structs.replace(full, **changes)


def data(**changes: Any) -> ReportData:
    full = ReportData(
        made="Mon 20 Jun 2016",
        version="0.1.0",
        platform="insecure",
        steps=tuple(
            Step(n, "host" if n == 3 else "device", n != 3, f"Step {n}", "Done.", 10.0**n) for n in range(1, 8)
        ),
        owners=(owner("Ada"), owner("Ben")),
        receipts=(
            Receipt(
                owner="Ada",
                algorithm="trips 1.0.0",
                digest="sha256:" + "1" * 64,
                parameters=(("stay_minutes", "5"),),
                scope="all times",
                rows_read=1234,
                result_rows=2,
                commitment="sha256:" + "2" * 64,
                measurements=(("User cloud", "sha256:" + "3" * 64),),
                signer="4" * 43,
                signature_valid=True,
                stored_as="derived/trips",
                ms=42.0,
            ),
        ),
        refusals=(Refusal("A forged segment", "The host made one.", "user cloud", "writer-unknown", "found another"),),
        timings=(Timing("Upload", 48210.4, "points/s", "durable"), Timing("Launch", 31.42, "ms", "")),
        scan=LeakScan(5, 400, ("decimals",), (ScannedPlace("Store", 3, 1_200_000, 0),), (), ()),
        audit=(AuditEntry("Ada", "journal", 0, "run", "trips", "sha256:" + "5" * 64),),
        hand_checks=(HandCheck("Open a segment.", "age -d segment < key"),),
    )
    return msgspec.structs.replace(full, **changes)


class Page(HTMLParser):
    """Text, tags and attributes of a page; fails on tags that do not nest."""

    EMPTY = frozenset({"meta", "br", "circle", "rect", "path"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        self.ids += [value or "" for name, value in attrs if name == "id"]
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in self.EMPTY:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, text: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += text


def test_the_page_is_whole_and_needs_nothing_from_the_network() -> None:
    text = render(data())
    page = Page(text)
    assert {"script", "link", "img", "iframe", "object", "form"}.isdisjoint(page.tags)
    links = [value for name, value in page.attributes if name in {"href", "src", "srcset", "action", "data"}]
    assert links == ["#content"]
    assert re.findall(r"https?:|//[a-z]|@import|url\(", text) == []
    assert ("content", "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'") in (
        page.attributes
    )


def test_names_within_the_page_fit_together() -> None:
    page = Page(render(data()))
    assert len(page.ids) == len(set(page.ids))
    for name, value in page.attributes:
        if name == "aria-labelledby":
            assert value in page.ids
    assert page.tags.count("h1") == 1


def hostile(value: Any) -> Any:
    """The same data with every text an attempt to break out of the page."""
    attack = "\"'><script>alert(1)</script>{0}&amp;</svg>"
    if isinstance(value, str):
        return attack
    if isinstance(value, tuple):
        return tuple(hostile(item) for item in value)
    if isinstance(value, msgspec.Struct):
        return msgspec.structs.replace(
            value, **{name: hostile(getattr(value, name)) for name in value.__struct_fields__}
        )
    return value


def test_no_text_breaks_out_of_the_page() -> None:
    found = LeakScan(
        1, 1, ("x",), (ScannedPlace("x", 1, 1, 1),), (Finding("key", "x", "x", 1, 1),), (Skipped("x", "x", 1),)
    )
    attacked = hostile(data(scan=found))
    page = Page(render(msgspec.structs.replace(attacked, platform="insecure")))
    assert "script" not in page.tags
    assert page.text.count("<script>alert(1)</script>{0}&amp;") > 30


def test_insecure_is_said_loudly_in_both_cases_and_only_then() -> None:
    text = Page(render(data())).text
    assert "On a machine of somebody else" in text
    assert "protects from nobody" in text
    assert "what protects you is that nobody else does" in text
    assert "protects from nobody" not in Page(render(data(platform="tdx"))).text


def test_a_bad_run_does_not_look_like_a_good_one() -> None:
    scan = LeakScan(5, 400, (), (), (Finding("int32", "Ada, place 1", "store/ab > gzip@0x0", 4, 2),), ())
    receipt = msgspec.structs.replace(data().receipts[0], signature_valid=False)
    refusal = Refusal("A forged segment", "The host made one.", "", "", "")
    text = Page(render(data(scan=scan, receipts=(receipt,), refusals=(refusal,)))).text
    for sign in (
        "something leaked",
        "One finding: something leaked.",
        "Ada, place 1",
        "store/ab > gzip@0x0",
        "NOT valid",
    ):
        assert sign in text
    for sign in ("Not refused", "0 of 1receipts valid", "0 of 1attacks refused"):
        assert sign in text
    assert "nothing in clear" not in text


def test_what_was_skipped_is_shown() -> None:
    scan = msgspec.structs.replace(data().scan, skipped=(Skipped("bytes that cannot be read", "memory [vvar]", 16384),))
    assert "16,384 bytes that cannot be read, such as memory [vvar]" in Page(render(data(scan=scan))).text


def test_trips_are_shown_by_day_in_the_owner_s_own_zone() -> None:
    text = Page(render(data(owners=(owner(trips=(trip(0), trip(13), trip(1, day=3))),)))).text
    for sign in ("Mon 20 Jun 2016", "12:00 to 12:15", "Tue 21 Jun 2016", "01:00 to 01:15", "Thu 23 Jun 2016", "1.5 km"):
        assert sign in text
    assert "Times are those of America/Los_Angeles." in text


def test_an_unknown_zone_is_shown_in_utc() -> None:
    text = Page(render(data(owners=(owner(zone="Mars/Olympus"),)))).text
    assert "19:00 to 19:15" in text
    assert "Times are those of UTC." in text


def test_many_days_are_not_all_drawn_and_the_rest_is_counted() -> None:
    page = Page(render(data(owners=(owner(trips=tuple(trip(0, day) for day in range(20))),))))
    assert sum(value == "map" for name, value in page.attributes if name == "class") == 7
    assert "And 13 days more, in trips.geojson." in page.text


@pytest.mark.parametrize("track", [TRACK, ()], ids=["track", "nothing"])
def test_an_owner_without_trips(track: tuple[TrackPoint, ...]) -> None:
    page = Page(render(data(owners=(owner(journeys=Journeys("Ada", (), track), modes=()),))))
    assert "No trips were found" in page.text
    assert ("No positions" in page.text) is (not track)


def test_what_was_driven_is_told_in_carbon_dioxide() -> None:
    text = Page(render(data())).text
    assert "CO₂" in text and "0.4 kg" in text and text.count("kg") == text.count("0.4 kg")
