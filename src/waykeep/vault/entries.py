"""The owner log's entries as a store holds them, also where something else was put under an entry's number.

See `waykeep.formats.entries`: whoever has the newest log secret can judge what is no entry; whoever lacks it cannot.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Protocol

from waykeep.authority import ownerlog
from waykeep.authority.ownerstate import OwnerState
from waykeep.errors import AuthorityError, FormatError, VaultError, WaykeepError
from waykeep.formats import agefile, entries
from waykeep.formats.ids import numbered

_PAGE = 1000


class Names(Protocol):
    def names(self, prefix: str, after: str = "", limit: int = 1000) -> list[str]: ...


class Source(Protocol):
    """What `waykeep.vault.objects.Reader` is to this module."""

    home: str
    secrets: tuple[str, ...]

    @property
    def store(self) -> Names: ...

    def open(self, room: str, name: str) -> bytes | None: ...


def follow(reader: Source, state: OwnerState, known: int, batch: int) -> Iterator[tuple[OwnerState, list[bytes]]]:
    """The states after what follows ``state``, and the envelopes that lead to each.

    Args:
        known: The number of an entry that is there: before it the log cannot end.
        batch: Entries that are folded at a time.

    Raises:
        VaultError: ``log-secret-missing`` where an entry does not open, or ``store-failed``; AuthorityError,
            FormatError where it does not fold. But where the newest log secret is at hand, and entry ``known`` was
            reached, that is no entry, and the log ends before it.
    """
    size = batch
    while True:
        found, refused = _under_numbers(reader, state, size)
        step, error = _folded(state, found)
        refused = error or refused
        if step is None and refused is None:
            return
        step = step or _beside(reader, state)
        if step is None:
            if refused is not None and (state.head.number < known or not _has_newest(reader, state)):
                raise refused
            return
        yield step
        state = step[0]
        # Where somebody put what is no entry, there may be more of it.
        size = min(batch, 2 * len(step[1]))


def under(reader: Source, number: int) -> Iterator[bytes]:
    """What opens of all that may be entry ``number``. Raises: VaultError: ``store-failed``."""
    for name in _places(reader, number):
        try:
            plain = reader.open("owner-log", name)
        except (FormatError, VaultError) as error:
            if error.rule == "store-failed":
                raise
            continue
        if plain is not None:
            yield plain


def _under_numbers(reader: Source, state: OwnerState, size: int) -> tuple[list[bytes], WaykeepError | None]:
    """What lies and opens under the next numbers, at most ``size``, and why it ends where that is not for a gap."""
    found: list[bytes] = []
    while len(found) < size:
        try:
            plain = reader.open("owner-log", numbered(state.head.number + 1 + len(found)))
        except (FormatError, VaultError) as error:
            if error.rule == "store-failed":
                raise
            return found, error
        if plain is None:
            break
        found.append(plain)
    return found, None


def _folded(state: OwnerState, found: list[bytes]) -> tuple[tuple[OwnerState, list[bytes]] | None, WaykeepError | None]:
    """The state after all of ``found``, or a part from the first on, and why not after all."""
    refused = None
    while found:
        try:
            return (ownerlog.fold(state, found), found), refused
        except (AuthorityError, FormatError) as error:
            refused, found = error, found[: len(found) // 2]
    return None, refused


def _beside(reader: Source, state: OwnerState) -> tuple[OwnerState, list[bytes]] | None:
    if _has_newest(reader, state):
        for plain in under(reader, state.head.number + 1):
            with suppress(AuthorityError, FormatError):
                return ownerlog.fold(state, [plain]), [plain]
    return None


def _places(reader: Source, number: int) -> Iterator[str]:
    """Where entry ``number`` may lie; the store is not asked for names before the first."""
    yield numbered(number)
    after, found = numbered(number), list[str]()
    while page := reader.store.names(f"{reader.home}/owner-log/", after, _PAGE):
        found += page
        after = page[-1]
        if entries.number_of(after) != number:
            break
    yield from entries.among(number, found)


def _has_newest(reader: Source, state: OwnerState) -> bool:
    newest = state.recipients[-1].log if state.recipients else ""
    return newest in {agefile.recipient_of(secret) for secret in reader.secrets}
