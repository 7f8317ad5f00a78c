from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np
import pytest
from pyproj import Geod

from waykeep.demo.figure import HEIGHT, WIDTH, nice_length, track_map, trip_class
from waykeep.demo.geojson import TrackPoint, Trip


def trip(south_west: tuple[float, float], north_east: tuple[float, float]) -> Trip:
    (lat, lon), (to_lat, to_lon) = south_west, north_east
    ends = [round(value * 1e7) for value in (lat, lon, to_lat, to_lon)]
    return Trip(0, 60_000, *ends, 60, 1000, 2, False)


def draw(*trips: Trip, track: tuple[TrackPoint, ...] = ()) -> ElementTree.Element:
    numbered = list(enumerate(trips, 1))
    text = track_map("a <b> & c", numbered, [f"trip {n} <&>" for n, _ in numbered], track, "map-1")
    return ElementTree.fromstring(text)  # noqa: S314 -- our own text


def ways(svg: ElementTree.Element) -> list[list[tuple[float, float]]]:
    found = []
    for path in svg.iter("path"):
        if path.get("class") == "way":
            numbers = [float(text) for text in re.findall(r"-?\d+\.\d", path.get("d", ""))]
            found.append(list(zip(numbers[::2], numbers[1::2], strict=True)))
    return found


PLACES = {
    "at home": ((37.38, -122.10), (37.43, -122.05)),
    "a street": ((37.3800, -122.1000), (37.3801, -122.0999)),
    "one point": ((37.38, -122.10), (37.38, -122.10)),
    "far north": ((69.60, 18.90), (69.70, 19.10)),
    "far south": ((-54.85, -68.40), (-54.75, -68.20)),
    "over the antimeridian": ((-18.2, 179.9), (-16.5, -179.8)),
    "a continent": ((36.0, -9.0), (60.0, 30.0)),
}


@pytest.mark.parametrize("ends", PLACES.values(), ids=PLACES)
def test_everything_lies_inside_with_north_up_and_east_right(
    ends: tuple[tuple[float, float], tuple[float, float]],
) -> None:
    (line,) = ways(draw(trip(*ends)))
    (x, y), (to_x, to_y) = line[0], line[-1]
    assert 0 < x <= to_x < WIDTH
    assert 0 < to_y <= y < HEIGHT
    if ends[0] != ends[1]:
        assert (x, y) != (to_x, to_y)


@pytest.mark.parametrize("place", ["at home", "far north", "far south", "over the antimeridian"])
def test_the_scale_bar_is_true(place: str) -> None:
    (lat, lon), (to_lat, to_lon) = PLACES[place]
    svg = draw(trip((lat, lon), (to_lat, to_lon)))
    (line,) = ways(svg)
    bar = next(group for group in svg.iter("g") if group.get("class") == "scale")
    pixels = float(re.findall(r"H(\d+\.\d)", next(bar.iter("path")).get("d", ""))[0])
    number, unit = next(bar.iter("text")).text.split()
    metres_per_pixel = int(number.replace(",", "")) * (1000 if unit == "km" else 1) / pixels
    _, _, metres = Geod(ellps="WGS84").inv(lon, lat, to_lon, to_lat)
    drawn = float(np.hypot(line[-1][0] - line[0][0], line[-1][1] - line[0][1])) * metres_per_pixel
    assert drawn == pytest.approx(metres, rel=0.01)


def test_texts_are_escaped_and_name_the_figure() -> None:
    svg = draw(trip(*PLACES["at home"]))
    titles = [element.text for element in svg.iter("title")]
    assert titles[0] == "Map of a <b> & c: no recorded positions, one trip"
    assert "trip 1 <&>" in titles
    assert svg.get("aria-labelledby") == svg.find("title").get("id")


def test_numbers_of_trips_on_one_way_do_not_cover_each_other() -> None:
    there, back = trip((37.38, -122.10), (37.43, -122.05)), trip((37.43, -122.05), (37.38, -122.10))
    svg = draw(there, back, there)
    groups = [group for group in svg.iter("g") if (group.get("class") or "").startswith("badge")]
    places = [
        [float(number) for number in re.findall(r"-?\d+\.\d", next(iter(group.iterfind("g"))).get("transform", ""))]
        for group in groups
    ]
    assert len(places) == 3
    for index, place in enumerate(places):
        for other in places[:index]:
            assert np.hypot(place[0] - other[0], place[1] - other[1]) > 19


def test_colours_repeat_with_dashes() -> None:
    assert [trip_class(index) for index in (0, 5, 6, 11, 12)] == ["t1", "t6", "t1 again", "t6 again", "t1"]


@pytest.mark.parametrize(
    ("metres", "length"), [(3, 10), (10, 10), (199, 100), (200, 200), (999, 500), (5e8, 50_000_000)]
)
def test_scale_bars_have_round_lengths(metres: float, length: int) -> None:
    assert nice_length(metres) == length
