"""What counts as a number where privacy hangs on it: bool is one to Python, and NaN compares as nothing.

Ranges are asked as ``low < value <= high``, which is false of NaN and of the infinite, and exact for any integer.
"""

from __future__ import annotations

from waykeep.errors import PrivacyError


def is_number(value: object) -> bool:
    """Whether it is an int or a float, and no bool."""
    return type(value) in (int, float)


def check_probability(rule: str, value: float) -> None:
    """Whether it lies between 0 and 1, neither of them included. Raises: PrivacyError: ``rule``."""
    if not is_number(value) or not 0 < value < 1:
        name = rule.removesuffix("-malformed")
        raise PrivacyError(rule, f"found {name} that does not lie between 0 and 1")
