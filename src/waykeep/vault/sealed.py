"""Sealed states in the store: ``sealed/<node>-<number>.age``, of which the highest number counts.

``<node>`` is 16 hex digits of the SHA-256 of the node's recipient. A name is written once, so a new state gets the next
number, and the older ones are deleted after it is durable. What is cut off in between leaves at least one that opens.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection

from waykeep.errors import VaultError
from waykeep.formats.ids import MAX_NUMBER, OwnerId, numbered
from waykeep.vault.objects import Store

_NAME = re.compile(r"([0-9a-f]{16})-([0-9]{10})\.age")
MAX_NAMES = 4096
"""Names that are looked at: more than those of 64 nodes, whatever else the host puts there."""


def put(store: Store, owner: OwnerId, node: str, data: bytes) -> None:
    """Put a node's newest sealed state, durably, and delete the older ones. Raises: VaultError: ``store-failed``."""
    before = _numbers(store, owner, _node(node))
    number = max(before, default=-1) + 1
    if number > MAX_NUMBER:
        # Nobody counts that far: a host planted it. What it hid is not believed for lying there either.
        for planted in before:
            store.delete(_key(owner, _node(node), planted))
        before, number = [], 0
    while True:
        try:
            store.put_new(_key(owner, _node(node), number), data)
            break
        except VaultError as error:
            if error.rule != "name-taken":
                raise
            number += 1
    for old in before:
        store.delete(_key(owner, _node(node), old))


def newest(store: Store, owner: OwnerId, node: str) -> bytes | None:
    """A node's newest sealed state, or None. Raises: VaultError: ``store-failed``, ``object-too-large``."""
    numbers = _numbers(store, owner, _node(node))
    try:
        return store.get(_key(owner, _node(node), max(numbers))) if numbers else None
    except VaultError as error:
        if error.rule != "object-missing":
            raise
        return None


def keep_only(store: Store, owner: OwnerId, nodes: Collection[str]) -> None:
    """Delete the sealed states of all other nodes. Raises: VaultError: ``store-failed``."""
    kept = {_node(node) for node in nodes}
    for name in store.names(f"owners/{owner}/sealed", limit=MAX_NAMES):
        match = _NAME.fullmatch(name)
        if match is not None and match[1] not in kept:
            store.delete(f"owners/{owner}/sealed/{name}")


def _numbers(store: Store, owner: OwnerId, node: str) -> list[int]:
    # From the node's own names on, so that others before them, however many, do not hide them.
    names = store.names(f"owners/{owner}/sealed", after=f"{node}-", limit=MAX_NAMES)
    found = [match for name in names if (match := _NAME.fullmatch(name)) is not None]
    return [int(match[2]) for match in found if match[1] == node]


def _node(recipient: str) -> str:
    return hashlib.sha256(recipient.encode()).hexdigest()[:16]


def _key(owner: OwnerId, node: str, number: int) -> str:
    return f"owners/{owner}/sealed/{node}-{numbered(number)}.age"
