"""Trips on days whose truth is known."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from tests.unit.algorithms import bundles, recordings
from tests.unit.algorithms.synthetic import DAY, START_MS, WGS84, Fix, Step, android, ios, positions

PLACES = [(52.5, 13.4), (0.0, 0.0), (-17.0, 179.995), (-41.0, -179.99), (89.95, 10.0), (-89.99, 0.0)]


def trips(fixes: Sequence[Fix], **parameters: int) -> list[bundles.Row]:
    return bundles.run("trips", {"filtered-location": recordings.locations(fixes)}, **parameters)


def apart(row: bundles.Row, end: str, place: tuple[float, float]) -> float:
    """Metres between a trip's start or end and a true place (latitude, longitude)."""
    found = row[f"{end}_lon_e7"] / 1e7, row[f"{end}_lat_e7"] / 1e7
    return float(WGS84.inv(*found, place[1], place[0])[2])


@pytest.mark.parametrize("phone", [android, ios])
@pytest.mark.parametrize("place", PLACES)
def test_finds_walk_and_drive_anywhere_on_earth(phone: Callable[..., list[Fix]], place: tuple[float, float]) -> None:
    walk, drive = trips(phone(DAY, place))
    path = positions(DAY, *place)

    for trip, start_s, end_s, length in ((walk, 3600, 4500, 1260), (drive, 6900, 7620, 10_800)):
        assert abs(trip["start_ms"] - START_MS - start_s * 1000) <= 60_000
        assert abs(trip["end_ms"] - START_MS - end_s * 1000) <= 60_000
        assert trip["distance_m"] == pytest.approx(length, rel=0.05)
        assert apart(trip, "start", path[start_s]) <= 30
        assert apart(trip, "end", path[end_s]) <= 30
        assert trip["gap"] is False
        assert trip["duration_s"] == round((trip["end_ms"] - trip["start_ms"]) / 1000)
    assert (walk["end_lat_e7"], walk["end_lon_e7"]) == (drive["start_lat_e7"], drive["start_lon_e7"])


def test_jitter_of_a_phone_on_a_desk_is_no_trip() -> None:
    assert trips(android((Step(6 * 3600),), noise_m=25.0)) == []


def test_jitter_within_stays_adds_no_distance() -> None:
    quiet, noisy = (android(noise_m=noise, sleeps=False) for noise in (1.0, 20.0))
    lon, lat = [fix[2] for fix in noisy], [fix[1] for fix in noisy]
    naive = sum(WGS84.inv(lon[:-1], lat[:-1], lon[1:], lat[1:])[2])
    still, shaking = (sum(trip["distance_m"] for trip in trips(day)) for day in (quiet, noisy))
    assert naive - still > 5000
    assert 0 <= shaking - still < 300


def test_zigzag_between_satellite_and_radio_cell_is_no_trip() -> None:
    """A cell's position 150 m away, said to be 40 m accurate, between fixes of 5 m: as on 2016-06-20."""
    day: list[Fix] = []
    for second in range(0, 7200, 24):
        day.append((START_MS + second * 1000, 37.39, -122.08, 5.0))
        day.append((START_MS + (second + 12) * 1000, 37.39135, -122.08, 40.0))
    assert trips(day) == []
    # And it is the accuracy that tells them apart: as good as the others, they are a person going to and fro.
    assert trips([(at, lat, lon, 5.0) for at, lat, lon, _ in day], stay_radius_m=50, min_trip_m=100) != []


def test_short_stop_does_not_end_a_trip() -> None:
    red_light = (Step(1800), Step(600, 12.0), Step(120), Step(600, 12.0), Step(1800))
    assert len(trips(android(red_light))) == 1
    assert len(trips(android(red_light), stay_minutes=2, stay_radius_m=50)) == 2


def test_round_trip_ends_where_it_began() -> None:
    (trip,) = trips(android((Step(1800), Step(600, 1.4, 0.0), Step(600, 1.4, 180.0), Step(1800))))
    assert trip["distance_m"] == pytest.approx(1680, rel=0.08)
    assert WGS84.inv(
        trip["start_lon_e7"] / 1e7, trip["start_lat_e7"] / 1e7, trip["end_lon_e7"] / 1e7, trip["end_lat_e7"] / 1e7
    )[2] == pytest.approx(0, abs=30)


def test_recording_that_begins_and_ends_on_the_way() -> None:
    (trip,) = trips(android((Step(900, 1.4, 60.0),), noise_m=3.0))
    assert trip["distance_m"] == pytest.approx(1260, rel=0.05)
    assert trip["end_ms"] - trip["start_ms"] == pytest.approx(900_000, abs=30_000)


def test_movement_below_the_least_distance_is_left_out() -> None:
    to_the_corner = (Step(1800), Step(300, 1.0), Step(1800))
    assert trips(android(to_the_corner), min_trip_m=400) == []
    (trip,) = trips(android(to_the_corner), min_trip_m=200)
    assert trip["distance_m"] == pytest.approx(300, rel=0.2)


def without(fixes: list[Fix], since_s: int, until_s: int) -> list[Fix]:
    return [fix for fix in fixes if not since_s * 1000 <= fix[0] - START_MS <= until_s * 1000]


def test_gap_on_the_way_is_bridged_and_flagged() -> None:
    drive = (Step(1800), Step(1800, 15.0), Step(1800))
    (whole,) = trips(android(drive))
    (bridged,) = trips(without(android(drive), 2400, 3000))
    assert bridged["gap"] and not whole["gap"]
    assert bridged["distance_m"] == pytest.approx(whole["distance_m"], rel=0.01)


def test_long_gap_on_the_way_ends_the_trip() -> None:
    drive = (Step(1800), Step(9000, 15.0), Step(1800))
    first, second = trips(without(android(drive), 3600, 7200))
    assert first["gap"] and second["gap"]
    assert first["end_ms"] <= START_MS + 3_600_000 and second["start_ms"] >= START_MS + 7_200_000
    assert first["distance_m"] + second["distance_m"] == pytest.approx((1770 + 3570) * 15, rel=0.01)


def test_tunnel_is_no_stay() -> None:
    """Twelve minutes of a train ride without a fix, at half the speed of before and after: it did not stop there."""
    ride = (Step(1800), Step(600, 30.0), Step(720, 15.0), Step(600, 30.0), Step(1800))
    (trip,) = trips(without(android(ride), 2401, 3119))
    assert trip["gap"]
    assert trip["distance_m"] == pytest.approx(46_800, rel=0.01)


def test_long_sleep_after_a_fast_arrival_is_a_stay() -> None:
    """An iPhone tells nothing between the last 50 m of a drive and the next one, hours later."""
    there_and_back = (Step(60), Step(600, 15.0, 0.0), Step(7200), Step(600, 15.0, 180.0), Step(60))
    there, back = trips(ios(there_and_back))
    assert there["end_ms"] == pytest.approx(START_MS + 660_000, abs=30_000)
    assert back["start_ms"] == pytest.approx(START_MS + 7_860_000, abs=60_000)
    assert not there["gap"] and not back["gap"]


def test_short_small_excursion_belongs_to_the_stay() -> None:
    """Every nine minutes to a place 150 m away and back: in the garden, not on a trip; its jitter is no way."""
    garden = (*(Step(360), Step(90, 1.6, 45.0), Step(90, 1.6, 225.0)) * 6, Step(1800))
    assert trips(android(garden, noise_m=3.0, sleeps=False), min_trip_m=110) == []


def test_short_far_excursion_is_a_trip() -> None:
    """To the school and back in four minutes."""
    school = (Step(3600), Step(120, 15.0, 0.0), Step(120, 15.0, 180.0), Step(3600))
    (trip,) = trips(android(school, sleeps=False))
    assert trip["distance_m"] == pytest.approx(3600, rel=0.05)


def test_start_that_the_phone_slept_through_is_put_before_the_first_fix() -> None:
    """The phone sleeps at home and wakes up 3 km away at 15 m/s: somebody left 200 s before."""
    drive = (Step(7200), Step(1200, 15.0), Step(1800))
    (trip,) = trips(without(android(drive), 3600, 7399))
    assert trip["start_ms"] == pytest.approx(START_MS + 7_200_000, abs=60_000)
    assert trip["distance_m"] == pytest.approx(18_000, rel=0.02)
    assert trip["gap"]


@pytest.mark.parametrize("length", [1, 3, 10])
def test_fault_of_some_fixes_far_away_changes_nothing(length: int) -> None:
    """Fixes on another continent for up to five minutes, while somebody walks."""
    day = android()
    at = next(i for i, fix in enumerate(day) if fix[0] >= START_MS + 4_000_000)
    faulty: list[Fix] = [(fix[0] - 1000, -33.9, 18.4, 10.0) for fix in day[at : at + length]]
    kept = [fix for fix in day if fix not in day[at : at + length]]
    assert trips(sorted(kept + faulty)) == trips(kept)


def test_flight_is_cut_and_kept_when_asked_for() -> None:
    """An hour in the air at 230 m/s without a fix."""
    flight = (Step(3600), Step(1200, 15.0), Step(3600, 230.0), Step(1200, 15.0), Step(3600))
    recorded = without(android(flight), 4801, 8399)
    before, after = trips(recorded)
    assert before["gap"] and after["gap"]
    assert before["distance_m"] == pytest.approx(18_000, rel=0.02)
    (whole,) = trips(recorded, max_speed_m_s=300, gap_minutes=90)
    assert whole["gap"]
    assert whole["distance_m"] == pytest.approx(36_000 + 828_000, rel=0.01)


def test_flight_there_and_back_keeps_what_was_there() -> None:
    """What is impossible to reach is a fault only if it is short: half a day on another continent is none."""
    home, away = android(), android(DAY, (-33.9, 18.4))
    shift_ms = away[-1][0] - START_MS + 600_000
    there = [(at + shift_ms, *rest) for at, *rest in away]
    again = [(at + 2 * shift_ms, *rest) for at, *rest in home]
    recorded: list[Fix] = [*home, *there, *again]
    assert len(trips(recorded)) == 6


def jumping(fixes: list[Fix], north_m: float) -> list[Fix]:
    """The fixes, and the last one's place, moved north at once, for another hour; all said to be good for 3 m."""
    at, lat, lon, _ = fixes[-1]
    moved = [(at + 1000 + i * 30_000, lat + north_m / 111_195, lon, 3.0) for i in range(120)]
    return [*((fix[0], fix[1], fix[2], 3.0) for fix in fixes), *moved]


def test_jump_within_a_small_place_is_no_trip() -> None:
    assert trips(jumping(android((Step(3600),), noise_m=2.0), 150.0), min_trip_m=100) == []


def test_time_before_a_jump_is_no_stay_with_the_time_after_it() -> None:
    """Two minutes after a drive the place jumps by 150 m in a second: what happened at the drive's end is not known."""
    arrived = android((Step(1800), Step(600, 15.0), Step(120)), noise_m=2.0)
    (drive,) = trips(jumping(arrived, 150.0))
    assert drive["gap"]
    (smooth,) = trips(jumping(arrived, 20.0))
    assert not smooth["gap"]


def test_latest_trips_are_kept_when_there_are_too_many() -> None:
    module = bundles.modules("trips")["trips"]
    there, back = (37.0, -122.0), (37.01, -122.0)
    # Ten minutes at a place, then at once at the other, 1.1 km away, a year long.
    day = [(START_MS + i * 60_000, *(there if i // 10 % 2 else back), 10.0) for i in range(60_000)]
    rows = trips(day)
    assert len(rows) == module.MAX_TRIPS
    assert rows[-1]["end_ms"] > START_MS + 59_900 * 60_000
