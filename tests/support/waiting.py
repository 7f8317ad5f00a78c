"""Waiting for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(found: Callable[[], T], what: str, seconds: float = 20.0) -> T:
    """What ``found`` returns once that is true.

    Args:
        what: What was waited for, as the failure says it.
        seconds: The longest wait.

    Raises:
        AssertionError: It did not come to be.
    """
    deadline = time.monotonic() + seconds
    while not (value := found()):
        assert time.monotonic() < deadline, f"waited {seconds:g} s in vain: {what}"
        time.sleep(0.005)
    return value
