"""The grid of places and the ladder of times: coarser is a function of finer, and nothing is exact by accident."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import refused
from waykeep.errors import FormatError
from waykeep.formats import grid

LATITUDES, LONGITUDES = st.integers(-900_000_000, 900_000_000), st.integers(-1_800_000_000, 1_800_000_000)
LEVELS = st.integers(0, grid.MAX_LEVEL)
TIMES = st.integers(978_307_200_000, 4_102_444_800_000)


def told(lat: int, lon: int, level: int) -> tuple[int, int]:
    found = grid.places(np.array([lat]), np.array([lon]), level)
    return int(found[0][0]), int(found[1][0])


def cell(lat: int, lon: int, level: int) -> tuple[int, int, int, int]:
    south, west, north, east = (int(edge[0]) for edge in grid.corners(np.array([lat]), np.array([lon]), level))
    return south, west, north, east


@given(LATITUDES, LONGITUDES, LEVELS, LEVELS)
def test_coarse_of_fine_is_coarse(lat: int, lon: int, one: int, other: int) -> None:
    fine, coarse = sorted((one, other))
    assert told(*told(lat, lon, fine), coarse) == told(lat, lon, coarse)
    inner, outer = cell(lat, lon, fine), cell(lat, lon, coarse)
    assert outer[0] <= inner[0] <= inner[2] <= outer[2] and outer[1] <= inner[1] <= inner[3] <= outer[3]


@given(LATITUDES, LONGITUDES, LEVELS)
def test_a_place_is_told_within_its_cell_and_on_the_earth(lat: int, lon: int, level: int) -> None:
    found = told(lat, lon, level)
    south, west, north, east = cell(lat, lon, level)
    assert south <= lat < north and west <= lon < east
    assert south <= found[0] < north and west <= found[1] < east
    assert abs(found[0]) <= 900_000_000 and abs(found[1]) <= 1_800_000_000
    assert cell(*found, level) == (south, west, north, east)


@given(LATITUDES, LONGITUDES, st.integers(0, 24))
def test_cells_are_about_as_wide_as_high(lat: int, lon: int, level: int) -> None:
    south, west, north, east = cell(lat, lon, level)
    if abs(lat) < 880_000_000:  # at the poles they are slices
        ratio = (east - west) / (north - south) * math.cos(math.radians(lat / 1e7))
        assert 0.6 < ratio < 1.5


@pytest.mark.parametrize(
    ("lat", "lon", "level", "expected"),
    [
        (0, 0, 1, (1, 1)),
        (-1, -1, 1, (-1, -1)),
        (525_200_066, 134_049_540, 0, (525_200_066, 134_049_540)),
        (525_200_066, 134_049_540, 16, (525_172_736, 134_021_120 + 131_072 // 2 - 65_536)),
        (899_999_999, 1_799_999_999, 24, (897_581_056, 1_800_000_000)),
        (900_000_000, 1_800_000_000, 24, (897_581_056, 1_800_000_000)),
    ],
)
def test_vectors(lat: int, lon: int, level: int, expected: tuple[int, int]) -> None:
    assert told(lat, lon, level) == expected


@given(TIMES, st.integers(0, len(grid.STEPS_MS) - 1), st.integers(0, len(grid.STEPS_MS) - 1))
def test_times_nest(ts: int, one: int, other: int) -> None:
    fine, coarse = sorted((grid.STEPS_MS[one], grid.STEPS_MS[other]))
    assert ts // fine * fine // coarse * coarse == ts // coarse * coarse


def test_each_step_divides_the_next() -> None:
    assert all(longer % shorter == 0 for shorter, longer in zip(grid.STEPS_MS, grid.STEPS_MS[1:], strict=False))


@given(st.floats(0, 186_000))
def test_a_level_is_never_finer_than_was_asked_for(metres: float) -> None:
    level = grid.level_of(metres)
    assert level == 0 or grid.height_m(level) >= metres
    assert level <= 1 or grid.height_m(level - 1) < metres


@pytest.mark.parametrize(("metres", "level"), [(0, 0), (0.01, 0), (1, 7), (50, 13), (500, 16), (1000, 17), (186e3, 24)])
def test_levels(metres: float, level: int) -> None:
    assert grid.level_of(metres) == level


@pytest.mark.parametrize(("asked", "step"), [(0, 1), (1, 1), (2, 1000), (600_000, 900_000), (86_400_000, 86_400_000)])
def test_steps(asked: int, step: int) -> None:
    assert grid.step_of(asked) == step


def test_precision_unknown() -> None:
    for metres in (-1, 200_000, math.inf, math.nan):
        with refused("precision-unknown", FormatError):
            grid.level_of(metres)
    for step in (-1, 86_400_001):
        with refused("precision-unknown", FormatError):
            grid.step_of(step)
