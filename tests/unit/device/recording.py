"""Builds small e-mission recordings: `entry` is a good one, each test changes what it is about."""

from __future__ import annotations

import copy
import json
from typing import Any

START = 1_466_000_000.0
"""2016-06-15, seconds since 1970 UTC."""
USER = "0763de67f61e3f5d90e7518e69793954"
DATA: dict[str, dict[str, Any]] = {
    "background/location": {
        "latitude": 51.4778,
        "longitude": -0.0015,
        "accuracy": 12.5,
        "altitude": 45.25,
        "sensed_speed": 1.5,
        "heading": 270.0,
    },
    "background/motion_activity": {"type": 7, "confidence": 92},
    "background/battery": {"battery_level_pct": 58, "battery_status": 2},
    "statemachine/transition": {"curr_state": 1, "transition": 2},
    "stats/client_time": {"name": "sync_duration", "reading": 0.487},
}
DATA["background/filtered_location"] = DATA["background/location"]
COLUMN_KEYS = [key for key in DATA if key != "stats/client_time"]


def entry(key: str = "background/location", at: float = START, **changed: Any) -> dict[str, Any]:
    """A good entry of `key`, written half a second after it was observed, its ``data`` changed."""
    return {
        "_id": {"$oid": "576810cb4a9bba50e3fa1d4a"},
        "user_id": {"$uuid": USER},
        "metadata": {
            "key": key,
            "platform": "android",
            "time_zone": "Europe/London",
            "write_ts": at + 0.5,
            "read_ts": 0,
        },
        "data": {**copy.deepcopy(DATA[key]), "ts": at, **changed},
    }


def dump(*entries: Any) -> bytes:
    """The bytes of a recording; NaN and Infinity as Python's json writes them."""
    return json.dumps(entries).encode()
