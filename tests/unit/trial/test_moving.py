"""The made-up town somewhere else: the same distances, around another place."""

from __future__ import annotations

import datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyproj
import pytest

from tests.unit.builders import refused
from waykeep.errors import DeviceError
from waykeep.synthetic import people
from waykeep.trial import moving
from waykeep.trial.moving import Place

MADE = people.person(1, 0, 1, datetime.date(2026, 6, 1)).tables
EARTH = pyproj.Geod(a=6_371_008.8, f=0)


def from_centre(lat: float, lon: float, rows: pa.Table) -> npt.NDArray[np.float64]:
    """Metres of each row from a place, on a sphere."""
    lats, lons = (rows[name].to_numpy() / 1e7 for name in ("lat_e7", "lon_e7"))
    return np.asarray(EARTH.inv(np.full(len(lats), lon), np.full(len(lats), lat), lons, lats)[2])


@pytest.mark.parametrize("to", [Place(59.91, 10.75), Place(-45.0, 179.99), Place(0.0, 0.0)])
def test_distances_from_the_centre_stay(to: Place) -> None:
    rows = moving.moved("location", MADE["location"], to)
    before, after = from_centre(0.5, -30.0, MADE["location"]), from_centre(*to, rows)
    assert before.max() > 500
    assert np.abs(after - before).max() < 0.002 * before.max()
    assert rows.schema == MADE["location"].schema
    assert np.abs(rows["lon_e7"].to_numpy()).max() <= 1_800_000_000
    assert rows.drop_columns(["lat_e7", "lon_e7"]) == MADE["location"].drop_columns(["lat_e7", "lon_e7"])


def test_what_has_no_places_stays_as_it_is() -> None:
    assert moving.moved("battery", MADE["battery"], Place(1.0, 1.0)) is MADE["battery"]


def test_a_place_is_typed_in_degrees() -> None:
    assert moving.parse("59.91,10.75") == (59.91, 10.75)
    assert moving.parse("-33, 151.2") == (-33.0, 151.2)


@pytest.mark.parametrize("text", ["", "59.91", "1,2,3", "north,east", "81,0", "0,180", "nan,0", "0,inf"])
def test_what_is_no_place_is_refused(text: str) -> None:
    with refused("place-malformed", DeviceError):
        moving.parse(text)
