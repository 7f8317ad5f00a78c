"""e-mission's recordings as the tables that an algorithm gets: a converter of a few lines, apart from the product's."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow as pa

FOLDER = Path(__file__).parents[2] / "vectors" / "emission"
NAMES = (
    "gabe_2016-06-15",
    "iphone_3_2016-02-22",
    "jack_untracked_time_2023-03-12",
    "shankari_2016-06-20",
    "shankari_2016-06-21",
)
LEFT_PLACE, STOPPED_MOVING = 1, 2


@cache
def entries(name: str, key: str) -> list[dict[str, Any]]:
    """The `data` of all entries of one key, in the order of the file."""
    recording = json.loads((FOLDER / f"{name}.json").read_bytes())
    return [entry["data"] for entry in recording if entry["metadata"]["key"] == key]


def locations(points: Sequence[tuple[int, float, float, float | None]]) -> pa.Table:
    """A `filtered-location` table of (ms, latitude, longitude, accuracy in metres) with the columns of a run."""
    return pa.table(
        {
            "ts_ms": pa.array([point[0] for point in points], pa.int64()),
            "lat_e7": pa.array([round(point[1] * 1e7) for point in points], pa.int32()),
            "lon_e7": pa.array([round(point[2] * 1e7) for point in points], pa.int32()),
            "accuracy_cm": pa.array([None if p[3] is None else round(p[3] * 100) for p in points], pa.int32()),
        }
    )


def activities(guesses: list[tuple[int, int, int]]) -> pa.Table:
    """A `motion-activity` table of (ms, type, confidence)."""
    return pa.table(
        {
            "ts_ms": pa.array([guess[0] for guess in guesses], pa.int64()),
            "type": pa.array([guess[1] for guess in guesses], pa.int16()),
            "confidence": pa.array([guess[2] for guess in guesses], pa.int16()),
        }
    )


@cache
def fixes(name: str) -> list[tuple[int, float, float, float | None]]:
    """All filtered locations of a recording: ms, latitude, longitude, accuracy in metres."""
    found = entries(name, "background/filtered_location")
    return [(round(fix["ts"] * 1000), fix["latitude"], fix["longitude"], fix["accuracy"]) for fix in found]


@cache
def tables(name: str) -> dict[str, pa.Table]:
    """Both streams of a recording."""
    guesses = entries(name, "background/motion_activity")
    return {
        "filtered-location": locations(fixes(name)),
        "motion-activity": activities([(round(g["ts"] * 1000), g["type"], round(g["confidence"])) for g in guesses]),
    }


def tracked(name: str) -> list[tuple[int, int]]:
    """The times, ms, from leaving a place until standing still, as the phone's own state machine saw them."""
    changes = sorted((round(c["ts"] * 1000), c["transition"]) for c in entries(name, "statemachine/transition"))
    times: list[tuple[int, int]] = []
    left: int | None = None
    for at, transition in changes:
        if transition == LEFT_PLACE and left is None:
            left = at
        elif transition == STOPPED_MOVING and left is not None:
            times.append((left, at))
            left = None
    return times
