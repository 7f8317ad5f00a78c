"""Names of the owner log's objects.

Entry n lies under ``<n>``. Names are create-only and nobody but readers of the log can judge what lies there, so
somebody with a listed device may have put what is no entry. Then entry n lies beside it, under
``<n>-<rotations>-<key list>``: numbers of the key list in force at the host, which takes only that one. So a device
that the newest list does not hold cannot fill a name that counts later, and of the names of one number the one that
was put first comes first: the first object that opens and folds is the entry, for every reader and for good.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import groupby

from waykeep.formats.ids import numbered

MAX_BESIDE = 16
"""Names beside a number that are looked at, the first of each count of rotations."""
_NAME = re.compile(r"([0-9]{10})(-[0-9]{2}-[0-9]{10})?")


def beside(number: int, rotations: int, key_list: int) -> str:
    """The name beside number ``number`` under the key list of that number, which holds so many rotations."""
    return f"{numbered(number)}-{rotations:02d}-{numbered(key_list)}"


def number_of(name: str) -> int | None:
    """The number of the entry that may lie under ``name``, or None."""
    found = _NAME.fullmatch(name)
    return None if found is None else int(found[1])


def before(number: int) -> str:
    """Sorts after all names of the numbers below ``number``, and before all others."""
    return f"{numbered(number - 1)}~" if number else ""


def among(number: int, names: Iterable[str]) -> list[str]:
    """Of ``names`` those beside ``number`` that are looked at, in their order."""
    found = sorted(name for name in names if number_of(name) == number and name != numbered(number))
    groups = groupby(found, lambda name: name[:13])
    return [name for _, group in groups for name in list(group)[:MAX_BESIDE]]
