"""Mode share on days whose truth is known, with guesses of every kind."""

from __future__ import annotations

import pytest

from tests.unit.algorithms import bundles, recordings
from tests.unit.algorithms.synthetic import START_MS, Fix, Step, android, ios

VEHICLE, CYCLING, ON_FOOT, STILL, UNKNOWN, TILTING = range(6)
WALKING, RUNNING, NONE, HALTED, FLYING = range(7, 12)
MODES = ("walking", "running", "cycling", "vehicle", "still", "unknown")

Guess = tuple[int, int, int]


def share(fixes: list[Fix], guesses: list[Guess], **parameters: int) -> dict[str, bundles.Row]:
    """The rows by mode, of guesses (second of the day, type, confidence)."""
    tables = {
        "filtered-location": recordings.locations(fixes),
        "motion-activity": recordings.activities([(START_MS + at * 1000, kind, sure) for at, kind, sure in guesses]),
    }
    rows = bundles.run("mode-share", tables, **parameters)
    assert [row["mode"] for row in rows] == list(MODES)
    return {row["mode"]: row for row in rows}


def every(since_s: int, until_s: int, kind: int, sure: int = 90, step_s: int = 30) -> list[Guess]:
    """The same guess again and again, as Android gives it."""
    return [(at, kind, sure) for at in range(since_s, until_s, step_s)]


def used(rows: dict[str, bundles.Row]) -> set[str]:
    return {mode for mode, row in rows.items() if row["segments"]}


DAY_ON_ANDROID = [*every(3600, 4500, ON_FOOT), *every(4500, 5000, STILL), *every(6900, 7620, VEHICLE)]
DRIVE = (Step(1800), Step(1800, 15.0), Step(1800))
"""Drives 27 km from second 1800 to 3600."""


def test_walk_and_drive_on_android() -> None:
    rows = share(android(), DAY_ON_ANDROID)
    assert used(rows) == {"walking", "vehicle"}
    assert rows["walking"]["distance_m"] == pytest.approx(1260, rel=0.05)
    assert rows["walking"]["duration_s"] == pytest.approx(900, abs=60)
    assert rows["vehicle"]["distance_m"] == pytest.approx(10_800, rel=0.02)
    assert rows["vehicle"]["duration_s"] == pytest.approx(720, abs=60)
    assert rows["walking"]["segments"] == rows["vehicle"]["segments"] == 1


def test_walk_and_drive_on_an_iphone_that_speaks_only_of_changes() -> None:
    guesses = [(3600, WALKING, 100), (4500, STILL, 100), (6900, VEHICLE, 75), (7200, HALTED, 100), (7240, VEHICLE, 75)]
    rows = share(ios(), [*guesses, (7650, NONE, 100)])
    assert used(rows) == {"walking", "vehicle"}
    assert rows["vehicle"]["distance_m"] == pytest.approx(10_800, rel=0.02)


def test_no_motion_activity_makes_all_unknown_and_loses_nothing() -> None:
    rows = share(android(), [])
    assert used(rows) == {"unknown"}
    assert rows["unknown"]["segments"] == 2
    assert rows["unknown"]["distance_m"] == pytest.approx(1260 + 10_800, rel=0.02)


def test_no_location_makes_all_zero() -> None:
    rows = share([], DAY_ON_ANDROID)
    assert all(row["distance_m"] == row["duration_s"] == row["segments"] == 0 for row in rows.values())


@pytest.mark.parametrize(
    ("kind", "mode"),
    [
        (VEHICLE, "vehicle"),
        (CYCLING, "cycling"),
        (ON_FOOT, "walking"),
        (WALKING, "walking"),
        (RUNNING, "running"),
        (HALTED, "vehicle"),
        (FLYING, "vehicle"),
        (UNKNOWN, "unknown"),
        (NONE, "unknown"),
        (TILTING, "unknown"),
        (6, "unknown"),
        (-1, "unknown"),
        (99, "unknown"),
    ],
)
def test_type_of_guess_gives_mode(kind: int, mode: str) -> None:
    assert used(share(android(DRIVE), every(1700, 3700, kind))) == {mode}


def test_unsure_guess_is_unknown() -> None:
    assert used(share(android(DRIVE), every(1700, 3700, CYCLING, sure=49))) == {"unknown"}
    assert used(share(android(DRIVE), every(1700, 3700, CYCLING, sure=49), min_confidence=49)) == {"cycling"}


def test_surest_guess_of_one_instant_wins_in_any_order() -> None:
    both = [*every(1700, 3700, CYCLING, sure=60), *every(1700, 3700, VEHICLE, sure=80)]
    assert used(share(android(DRIVE), both)) == used(share(android(DRIVE), both[::-1])) == {"vehicle"}


def test_tilting_says_nothing() -> None:
    guesses = [*every(1700, 3700, VEHICLE), *every(1710, 3700, TILTING, sure=100)]
    exact = {"carry_minutes": 0, "min_segment_s": 0}
    assert share(android(DRIVE), guesses, **exact) == share(android(DRIVE), every(1700, 3700, VEHICLE), **exact)


def test_guess_is_held_for_its_time_only() -> None:
    rows = share(android(DRIVE), [(1750, VEHICLE, 90)], hold_minutes=10)
    assert used(rows) == {"vehicle", "unknown"}
    assert rows["vehicle"]["duration_s"] == pytest.approx(600 - 50, abs=60)
    assert used(share(android(DRIVE), [(1750, VEHICLE, 90)], hold_minutes=40)) == {"vehicle"}


def test_guess_is_carried_over_an_unknown_for_its_time_only() -> None:
    guesses = [*every(1700, 2400, VEHICLE), *every(2400, 3700, NONE, sure=100)]
    rows = share(android(DRIVE), guesses, carry_minutes=5)
    assert rows["vehicle"]["duration_s"] == pytest.approx(600 + 300, abs=90)
    assert rows["unknown"]["duration_s"] == pytest.approx(1200 - 300, abs=90)


def test_unknown_between_two_stretches_of_one_mode_is_filled() -> None:
    guesses = [*every(1700, 2400, VEHICLE), *every(2400, 2700, NONE), *every(2700, 3700, VEHICLE)]
    assert used(share(android(DRIVE), guesses)) == {"vehicle"}
    assert used(share(android(DRIVE), guesses, carry_minutes=1)) == {"vehicle", "unknown"}


def test_flicker_of_a_guess_is_no_segment() -> None:
    guesses = [*every(1700, 2400, VEHICLE), (2400, CYCLING, 90), *every(2430, 3700, VEHICLE)]
    rows = share(android(DRIVE), guesses)
    assert used(rows) == {"vehicle"} and rows["vehicle"]["segments"] == 1
    assert used(share(android(DRIVE), guesses, min_segment_s=0)) == {"vehicle", "cycling"}


def test_waiting_on_the_way_is_time_without_distance() -> None:
    wait = (Step(1800), Step(900, 10.0), Step(240), Step(900, 10.0), Step(1800))
    guesses = [*every(1700, 2700, VEHICLE), *every(2700, 2940, STILL), *every(2940, 3900, VEHICLE)]
    rows = share(android(wait), guesses)
    assert used(rows) == {"vehicle", "still"}
    assert rows["still"]["duration_s"] == pytest.approx(240, abs=60)
    assert rows["still"]["distance_m"] == 0
    assert rows["vehicle"]["segments"] == 2
    assert rows["vehicle"]["distance_m"] == pytest.approx(18_000, rel=0.02)


def test_stop_and_go_loses_no_way() -> None:
    """Ninety seconds at a light, forty of driving, again and again."""
    jam = (Step(1800), Step(600, 10.0), *(Step(90), Step(40, 8.0)) * 8, Step(600, 10.0), Step(1800))
    guesses = [*every(1700, 2400, VEHICLE)]
    for i in range(8):
        guesses += [*every(2400 + i * 130, 2490 + i * 130, STILL), *every(2490 + i * 130, 2530 + i * 130, VEHICLE)]
    rows = share(android(jam, noise_m=2.0), [*guesses, *every(3440, 4100, VEHICLE)])
    assert used(rows) <= {"vehicle", "still", "unknown"}
    assert rows["vehicle"]["distance_m"] + rows["unknown"]["distance_m"] == pytest.approx(12_000 + 2560, rel=0.05)


def test_still_that_moves_on_is_not_still() -> None:
    rows = share(android(DRIVE), every(1700, 3700, STILL))
    assert used(rows) == {"unknown"}
    assert rows["unknown"]["distance_m"] == pytest.approx(27_000, rel=0.02)


def test_change_of_mode_on_the_way() -> None:
    """Cycles 3 km and takes a train for 20 km."""
    both = (Step(1800), Step(600, 5.0), Step(1000, 20.0), Step(1800))
    rows = share(android(both), [*every(1800, 2400, CYCLING), *every(2400, 3400, VEHICLE)])
    assert rows["cycling"]["distance_m"] == pytest.approx(3000, rel=0.05)
    assert rows["vehicle"]["distance_m"] == pytest.approx(20_000, rel=0.02)
    assert rows["cycling"]["segments"] == rows["vehicle"]["segments"] == 1


def test_begin_that_the_phone_slept_through_has_the_mode_it_woke_up_with() -> None:
    """The last guess before the sleep was *still*; the phone wakes up 4.5 km on, in a vehicle."""
    drive = (Step(7200), Step(1200, 15.0), Step(1800))
    fixes = [fix for fix in android(drive) if not 3600 <= (fix[0] - START_MS) // 1000 <= 7500]
    rows = share(fixes, [*every(0, 3600, STILL), *every(7500, 8400, VEHICLE)], hold_minutes=120)
    assert used(rows) == {"vehicle"}
    assert rows["vehicle"]["distance_m"] == pytest.approx(18_000, rel=0.02)


def test_moving_guess_at_a_place_is_no_way() -> None:
    """A phone in the pocket of somebody who walks about in a room."""
    rows = share(android((Step(7200),)), every(0, 7200, WALKING))
    assert used(rows) == set()


def test_guesses_are_looked_up_once_for_all_trips(monkeypatch: pytest.MonkeyPatch) -> None:
    """Once for each trip took two minutes for a million fixes and guesses; it takes two seconds."""
    module = bundles.modules("mode-share")["mode_share"]
    looked, calls = module.in_force, []

    def counted(*arguments: object) -> object:
        calls.append(arguments)
        return looked(*arguments)

    monkeypatch.setattr(module, "in_force", counted)
    assert sum(row["segments"] for row in share(android(), DAY_ON_ANDROID).values()) == 2
    assert len(calls) == 1
