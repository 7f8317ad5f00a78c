"""What one person may contribute to one question, and how much two allowed contributions can differ.

A contribution is a vector of integers. *Neighbouring* are two sets of people of the same size in which one person's
contribution differs: cohorts are known, what somebody contributes is not. So sensitivities are those of replacing one
allowed vector by another.

One cell: any range. Several: values are not negative, at most ``most_cells`` of them are not 0, and together they are
at most ``total``. With ``t = min(total, most_cells * maximum)`` the 1-norm of a vector is at most *t*, and the square
of its 2-norm at most ``maximum * t``. Two vectors without negative values differ by no more than their norms add up to
(their inner product is not negative), nor by more than ``maximum`` in each cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec

from waykeep.errors import PrivacyError

MAX_CELLS = 4096
MAX_VALUE = 10**12


class Bounds(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """See the module.

    Attributes:
        cells: Length of the vector.
        minimum, maximum: Of each cell.
        most_cells: So many cells at most are not 0.
        total: Of all cells together, at most.
        default: What each cell holds for somebody without data.
    """

    cells: Annotated[int, msgspec.Meta(ge=1, le=MAX_CELLS)]
    minimum: int
    maximum: int
    most_cells: int = 1
    total: int = MAX_VALUE
    default: int = 0


def check(bounds: Bounds) -> None:
    """Raises: PrivacyError: ``bounds-malformed``."""
    one = bounds.cells == 1
    fits = (
        all(type(value) is int for value in msgspec.structs.astuple(bounds))  # no bool, no float
        and 1 <= bounds.cells <= MAX_CELLS
        and -MAX_VALUE <= bounds.minimum < bounds.maximum <= MAX_VALUE
        and bounds.minimum <= bounds.default <= bounds.maximum
        and 1 <= bounds.most_cells <= bounds.cells
        and (one or (bounds.minimum == bounds.default == 0 and bounds.maximum <= bounds.total <= MAX_VALUE))
        and (not one or bounds.total == MAX_VALUE)
    )
    if not fits:
        raise PrivacyError(
            "bounds-malformed",
            "found bounds that are none",
            hint="minimum < maximum; of several cells the minimum and the default are 0, and the total is no less than "
            "the maximum",
        )


def default(bounds: Bounds) -> list[int]:
    """What is contributed without data."""
    return [bounds.default] * bounds.cells


def clamp(vector: Sequence[int], bounds: Bounds) -> list[int]:
    """The nearest vector that the bounds allow, as far as they tell which.

    Each cell is brought between minimum and maximum. Of several cells the largest stay (of equal ones the first), as
    many as may, until the total is used up: the last of them may be cut.

    Args:
        vector: Of as many integers as the bounds have cells.

    Raises: PrivacyError: ``vector-malformed``.
    """
    if len(vector) != bounds.cells or any(type(value) is not int for value in vector):
        raise PrivacyError("vector-malformed", f"found a contribution that is not of {bounds.cells} integers")
    cells = [min(max(value, bounds.minimum), bounds.maximum) for value in vector]
    if bounds.cells == 1:
        return cells
    kept, left = [0] * len(cells), bounds.total
    for number in sorted(range(len(cells)), key=lambda n: (-cells[n], n))[: bounds.most_cells]:
        kept[number] = min(cells[number], left)
        left -= kept[number]
    return kept


def l1(bounds: Bounds) -> int:
    """The largest 1-norm of the difference of two contributions."""
    if bounds.cells == 1:
        return bounds.maximum - bounds.minimum
    return min(2 * _total(bounds), bounds.cells * bounds.maximum)


def l2_squared(bounds: Bounds) -> int:
    """The square of the largest 2-norm of the difference of two contributions."""
    if bounds.cells == 1:
        return (bounds.maximum - bounds.minimum) ** 2
    return bounds.maximum * min(2 * _total(bounds), bounds.cells * bounds.maximum)


def _total(bounds: Bounds) -> int:
    return min(bounds.total, bounds.most_cells * bounds.maximum)
