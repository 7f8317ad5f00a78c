"""Mode share on real recordings: against the trips of the other bundle, and against what one sees in the recordings."""

from __future__ import annotations

import pytest

from tests.unit.algorithms import bundles, recordings

# Kilometres, rounded, that one expects from map and guesses: the modes that must be there, and the one that leads.
EXPECTED = {
    "gabe_2016-06-15": {"walking": 4.8},
    "iphone_3_2016-02-22": {"walking": 1.9, "vehicle": 14.5},
    "jack_untracked_time_2023-03-12": {"unknown": 494.6},
    "shankari_2016-06-20": {"walking": 2.2, "vehicle": 7.9, "unknown": 0.4},
    "shankari_2016-06-21": {"walking": 0.8, "cycling": 2.5, "unknown": 1.0},
}


def share(name: str, **parameters: int) -> dict[str, bundles.Row]:
    return {row["mode"]: row for row in bundles.run("mode-share", recordings.tables(name), **parameters)}


@pytest.mark.parametrize("name", recordings.NAMES)
def test_modes_are_those_of_the_day(name: str) -> None:
    moved = {mode: row["distance_m"] / 1000 for mode, row in share(name).items() if row["distance_m"]}
    assert moved == pytest.approx(EXPECTED[name], abs=0.06)


@pytest.mark.parametrize("name", recordings.NAMES)
def test_shares_add_up_to_the_trips(name: str) -> None:
    """The other bundle finds the same ways; what is missing is the jitter while somebody waited."""
    rows, trips = share(name).values(), bundles.run("trips", recordings.tables(name))
    assert sum(row["duration_s"] for row in rows) == pytest.approx(sum(t["duration_s"] for t in trips), abs=10)
    assert sum(row["distance_m"] for row in rows) == pytest.approx(sum(t["distance_m"] for t in trips), abs=10)
    assert sum(row["segments"] for row in rows) >= len(trips)


@pytest.mark.parametrize("name", recordings.NAMES)
def test_speed_of_a_mode_is_possible(name: str) -> None:
    limits = {"walking": (0.5, 3), "cycling": (1.5, 9), "vehicle": (3, 45)}
    for mode, (low, high) in limits.items():
        row = share(name)[mode]
        assert row["duration_s"] == 0 or low < row["distance_m"] / row["duration_s"] < high


@pytest.mark.parametrize("name", recordings.NAMES)
def test_without_motion_activity_all_is_unknown(name: str) -> None:
    tables = recordings.tables(name) | {"motion-activity": recordings.activities([])}
    rows = bundles.run("mode-share", tables)
    trips = bundles.run("trips", tables)
    assert {row["mode"] for row in rows if row["duration_s"]} == {"unknown"}
    unknown = next(row for row in rows if row["mode"] == "unknown")
    assert unknown["segments"] == len(trips)
    assert unknown["distance_m"] == pytest.approx(sum(trip["distance_m"] for trip in trips), abs=len(trips))


def test_bus_ride_is_found_though_the_phone_took_it_for_standing_still() -> None:
    """On 2016-06-20 Android said *still* with 95% in a bus at 10 m/s."""
    assert share("shankari_2016-06-20")["vehicle"]["segments"] == 2
    assert share("shankari_2016-06-20", carry_minutes=0)["unknown"]["distance_m"] > 1000


@pytest.mark.parametrize("name", recordings.NAMES)
def test_carbon_is_of_vehicles_alone_and_each_trip_counts_once(name: str) -> None:
    rows = share(name, vehicle_g_per_km=200)
    assert sum(row["trips"] for row in rows.values()) == len(bundles.run("trips", recordings.tables(name)))
    vehicle = rows["vehicle"]
    assert vehicle["co2_g"] == pytest.approx(vehicle["distance_m"] * 0.2, abs=1)
    assert all(row["co2_g"] == 0 for mode, row in rows.items() if mode != "vehicle")
    assert share(name, vehicle_g_per_km=0)["vehicle"]["co2_g"] == 0
