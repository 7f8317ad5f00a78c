"""The maps of the report: a track and its trips as an SVG that needs nothing from the network.

Web-Mercator on a sphere: over the extent of a day's travel it is true to shape, and the scale bar is right for the
latitude of the middle. Colours are classes, so that the page's style sheet can choose them for light and dark.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from html import escape
from typing import NamedTuple

from waykeep.demo.geojson import TrackPoint, Trip, path
from waykeep.demo.words import counted

COLOURS = 6
"""Trip colours in the style sheet; further trips repeat them with a dashed line."""

WIDTH, HEIGHT = 720, 520
_MARGIN = 44
_EARTH_M = 6_371_008.8
_MIN_EXTENT_M = 400.0
_BADGE_GAP = 21.0

_LENGTHS: list[int] = [factor * int(10**power) for power in range(1, 8) for factor in (1, 2, 5)]


class _Spot(NamedTuple):
    x: float
    y: float


class _Projection:
    """Degrees times 1e7 to pixels of the figure, fitted to some points.

    Longitudes are taken by the shorter way round from the first point, so a track over the antimeridian stays whole.
    """

    def __init__(self, points: Sequence[TrackPoint]) -> None:
        self._lon0 = points[0].lon_e7
        spots = [self._mercator(point) for point in points]
        west, east = min(s.x for s in spots), max(s.x for s in spots)
        south, north = min(s.y for s in spots), max(s.y for s in spots)
        self._middle = _Spot((west + east) / 2, (south + north) / 2)
        # Of a sphere of radius 1, Mercator stretches lengths at latitude phi by 1 / cos(phi) = cosh(y).
        stretch = math.cosh(self._middle.y)
        least = _MIN_EXTENT_M / _EARTH_M * stretch
        self._scale = min(
            (WIDTH - 2 * _MARGIN) / max(east - west, least), (HEIGHT - 2 * _MARGIN) / max(north - south, least)
        )
        self.metres_per_pixel = _EARTH_M / stretch / self._scale

    def _mercator(self, point: TrackPoint) -> _Spot:
        turn = (point.lon_e7 - self._lon0 + 1_800_000_000) % 3_600_000_000 - 1_800_000_000
        lat = math.radians(max(-85.0, min(85.0, point.lat_e7 / 1e7)))
        return _Spot(math.radians(turn / 1e7), math.asinh(math.tan(lat)))

    def __call__(self, point: TrackPoint) -> _Spot:
        spot = self._mercator(point)
        return _Spot(
            WIDTH / 2 + (spot.x - self._middle.x) * self._scale, HEIGHT / 2 - (spot.y - self._middle.y) * self._scale
        )


def trip_class(index: int) -> str:
    """The class of a trip's colour, and of its dashes where the colours repeat; `index` from 0."""
    return f"t{index % COLOURS + 1}" + (" again" if index // COLOURS % 2 else "")


def track_map(
    of: str, trips: Sequence[tuple[int, Trip]], tooltips: Sequence[str], track: Sequence[TrackPoint], identifier: str
) -> str:
    """Draws the track thin and the trips thick, with start, end and number of each.

    Args:
        of: What is drawn, for the figure's name; not yet escaped, like all texts here.
        trips: Their numbers, and the trips; the figure is fitted to them, or to the track if there are none.
        tooltips: One text per trip.
        track: Positions in the order of their times; without trips and positions the figure says so.
        identifier: Begins the ids inside the figure; letters, digits and hyphens.
    """
    ways = [path(trip, track) for _, trip in trips]
    shown = [point for way in ways for point in way] or list(track)
    title = escape(f"Map of {of}: {counted(len(track), 'recorded position')}, {counted(len(ways), 'trip')}")
    head = (
        f'<svg class="map" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-labelledby="{identifier}-title">'
        f'<title id="{identifier}-title">{title}</title>'
    )
    if not shown:
        return (
            f'{head}<text class="note" x="{WIDTH / 2}" y="{HEIGHT / 2}" text-anchor="middle">No positions</text></svg>'
        )
    project = _Projection(shown)
    lines = [_simplified([project(point) for point in way]) for way in ways]
    parts = [head, *_grid(project.metres_per_pixel)]
    if track:
        parts.append(f'<path class="track" d="{_d(_simplified([project(point) for point in track]))}"/>')
    badges: list[_Spot] = []
    labels: list[str] = []
    for index, (line, tooltip) in enumerate(zip(lines, tooltips, strict=True)):
        # Ways there and back lie on each other: a shift of two pixels lets both be seen.
        shift = (index % 3 - 1) * 2.2
        line = [_Spot(spot.x + shift, spot.y - shift) for spot in line]
        about = f"<title>{escape(tooltip)}</title>"
        parts.append(
            f'<g class="trip {trip_class(index)}">{about}<path class="casing" d="{_d(line)}"/>'
            f'<path class="way" d="{_d(line)}"/>{_ends(line)}</g>'
        )
        badges.append(_free_spot(line, badges))
        labels.append(_badge(badges[-1], trips[index][0], trip_class(index), about))
    return "".join([*parts, *labels, _scale_bar(project.metres_per_pixel), _NORTH, "</svg>"])


_NORTH = (
    f'<g class="north" transform="translate({WIDTH - 30} 34)" aria-hidden="true"><path d="M0-16 7 8 0 3-7 8Z"/>'
    '<text y="24" text-anchor="middle">N</text></g>'
)


def nice_length(metres: float) -> int:
    """The longest of 10, 20, 50, 100, ... metres that is no longer than this, 10 at least."""
    return max((length for length in _LENGTHS if length <= metres), default=_LENGTHS[0])


def _grid(metres_per_pixel: float) -> Iterator[str]:
    step = nice_length(160 * metres_per_pixel) / metres_per_pixel
    across = [WIDTH / 2 + n * step for n in range(-40, 41) if 0 < WIDTH / 2 + n * step < WIDTH]
    down = [HEIGHT / 2 + n * step for n in range(-40, 41) if 0 < HEIGHT / 2 + n * step < HEIGHT]
    lines = [f"M{x:.1f} 0V{HEIGHT}" for x in across] + [f"M0 {y:.1f}H{WIDTH}" for y in down]
    yield f'<path class="grid" d="{"".join(lines)}"/>'


def _scale_bar(metres_per_pixel: float) -> str:
    metres = nice_length(160 * metres_per_pixel)
    length = metres / metres_per_pixel
    text = f"{metres // 1000:,} km" if metres >= 1000 else f"{metres} m"
    return (
        f'<g class="scale" transform="translate(24 {HEIGHT - 24})"><rect x="-8" y="-24" width="{length + 16:.1f}"'
        f' height="34" rx="3"/><path d="M0-6V0H{length:.1f}V-6"/><text x="{length / 2:.1f}" y="-9"'
        f' text-anchor="middle">{text}</text></g>'
    )


def _ends(line: Sequence[_Spot]) -> str:
    """A circle where a trip starts, a square where it ends: shapes, so that colour is not needed to tell."""
    start = _marker(line[0], '<circle class="start" r="5"/>')
    return start + _marker(line[-1], '<rect class="end" x="-4.5" y="-4.5" width="9" height="9"/>')


def _badge(spot: _Spot, number: int, colour: str, about: str) -> str:
    mark = f'<circle r="9.5"/><text y="3.9" text-anchor="middle">{number}</text>'
    return f'<g class="badge {colour}">{about}{_marker(spot, mark)}</g>'


def _marker(spot: _Spot, mark: str) -> str:
    """A mark around the origin, put in its place; the style sheet enlarges the inner group on small screens."""
    return f'<g transform="translate({spot.x:.1f} {spot.y:.1f})"><g class="mark">{mark}</g></g>'


def _free_spot(line: Sequence[_Spot], taken: Sequence[_Spot]) -> _Spot:
    """A place on the line for its number: near the middle, but clear of other numbers and of both ends if it can be."""
    candidates = [_along(line, fraction) for fraction in (0.5, 0.42, 0.58, 0.33, 0.67, 0.25, 0.75, 0.16, 0.84)]
    avoided = [*taken, line[0], line[-1]]

    def clearance(spot: _Spot) -> float:
        return min(math.dist(spot, other) for other in avoided)

    return next((spot for spot in candidates if clearance(spot) >= _BADGE_GAP), max(candidates, key=clearance))


def _along(line: Sequence[_Spot], fraction: float) -> _Spot:
    rest = fraction * sum(math.dist(a, b) for a, b in itertools.pairwise(line))
    for a, b in itertools.pairwise(line):
        length = math.dist(a, b)
        if rest <= length and length > 0:
            return _Spot(a.x + (b.x - a.x) * rest / length, a.y + (b.y - a.y) * rest / length)
        rest -= length
    return line[-1]


def _simplified(line: Sequence[_Spot]) -> list[_Spot]:
    """Leaves out points less than a pixel and a half from the one before; the last one stays."""
    kept = [line[0]]
    for spot in line[1:]:
        if math.dist(spot, kept[-1]) >= 1.5:
            kept.append(spot)
    if len(line) > 1 and kept[-1] != line[-1]:
        kept.append(line[-1])
    return kept


def _d(line: Sequence[_Spot]) -> str:
    return "M" + "L".join(f"{spot.x:.1f} {spot.y:.1f}" for spot in line)
