"""What a witness holds for one pseudonym."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from waykeep.authority.witnessing import Held
from waykeep.errors import WitnessError
from waykeep.formats.ids import Digest, PublicKey

_S = TypeVar("_S", bound=msgspec.Struct)


class Row(msgspec.Struct, frozen=True):
    """All that is held for one pseudonym.

    Attributes:
        control: The control key.
        next_control: Commitment to the next one.
        held: What answers show.
        retired: State keys that are never named again. The rules look at them for `rules.LOOKS_AT_RETIRED` only.
    """

    control: PublicKey
    next_control: Digest
    held: Held
    retired: frozenset[PublicKey] = frozenset()


def check_open(held: Held) -> None:
    """Raises: WitnessError: ``witness-closed``."""
    if held.successor is not None:
        raise WitnessError(
            "witness-closed",
            "found a pseudonym that its owner closed here, to go on at another witness",
            hint="read what is held: it names the witness that follows",
            status=410,
        )


def holding(row: Row, **changes: object) -> Row:
    """A row that holds this instead; the same object where it does already."""
    held = replace(row.held, **changes)
    return row if held == row.held else replace(row, held=held)


def replace(value: _S, **changes: object) -> _S:
    """A copy with other fields."""
    return msgspec.structs.replace(value, **changes)
