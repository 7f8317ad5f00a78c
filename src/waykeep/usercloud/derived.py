"""Derived segments in the store: put before the record that names them, and swept away where no record does."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

from waykeep.authority.journalstate import JournalState
from waykeep.authority.ownerstate import OwnerState
from waykeep.errors import AuthorityError, FormatError, VaultError
from waykeep.formats.ids import OwnerId
from waykeep.vault import segments
from waykeep.vault.objects import Store
from waykeep.vault.segments import EpochKey


def put(store: Store, owner: OwnerId, name: str, data: bytes) -> None:
    """Put one, durably. Raises: VaultError: ``store-failed``; then it does not lie there."""
    try:
        store.put_new(f"owners/{owner}/segments/{name}", data)
    except VaultError:
        delete(store, owner, name)  # it may lie there all the same
        raise


def delete(store: Store, owner: OwnerId, name: str) -> None:
    """Delete one that no record names; where the store fails, the next instance does."""
    with suppress(VaultError):
        store.delete(f"owners/{owner}/segments/{name}")


def sweep(store: Store, log: OwnerState, journal: JournalState, epochs: Mapping[int, EpochKey]) -> tuple[str, ...]:
    """Delete those that no record names: one was put just before this owner's last process died.

    Returns: Names of recorded segments that no record names.
    """
    recorded: list[str] = []
    home = f"owners/{log.owner}/segments"
    for name in store.names(home, limit=100_000):
        if journal.segment(name) is not None:
            continue
        try:
            found = segments.open_(store.get(f"{home}/{name}"), log, epochs)
        except (FormatError, AuthorityError, VaultError):
            continue
        if found.header.kind == "derived":
            store.delete(f"{home}/{name}")
        else:
            recorded.append(name)
    return tuple(recorded)
