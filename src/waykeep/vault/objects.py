"""An owner's logs as they lie in the store: reading them into folds, and appending to the journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from waykeep.authority import access, dsse, journal, ownerlog
from waykeep.authority.journal import JournalState
from waykeep.authority.keys import SigningKey
from waykeep.authority.ownerlog import OwnerState
from waykeep.authority.statements import (
    HEAD_TYPE,
    JOURNAL_TYPE,
    Detail,
    EpochStatement,
    JournalHead,
    JournalObject,
    JournalRecord,
)
from waykeep.errors import AuthorityError, VaultError
from waykeep.formats import agefile
from waykeep.formats.ids import OwnerId, b64, numbered, sha256
from waykeep.formats.messages import Head
from waykeep.formats.wire import MIB, decode_json, encode_json


class Store(Protocol):
    """What an owner's part of a store must do; see `waykeep.vault.store.DirectoryStore`."""

    def put_new(self, key: str, data: bytes) -> bool: ...
    def get(self, key: str) -> bytes: ...
    def names(self, prefix: str, after: str = "", limit: int = 1000) -> list[str]: ...
    def delete(self, key: str) -> None: ...
    def sync(self, prefix: str) -> None: ...


class Reader:
    """Reads an owner's logs. Nothing it returns is believed for lying in the store: folds check every signature.

    Args:
        secret: The log secret (age), with which owner log and journal are read.
    """

    def __init__(self, store: Store, owner: OwnerId, secret: str) -> None:
        self._store, self._owner, self._secret = store, owner, secret
        self._home = f"owners/{owner}"

    def _open(self, room: str, number: int, suffix: str = "") -> bytes | None:
        """The plaintext of a numbered object, or None when there is none of that number."""
        try:
            data = self._store.get(f"{self._home}/{room}/{numbered(number)}{suffix}")
        except VaultError as error:
            if error.rule == "object-missing":
                return None
            raise
        return agefile.open_(data, [self._secret], limit=2 * MIB, what=f"an object of {room}")

    def owner_log(self, state: OwnerState | None, known: Head) -> OwnerState:
        """The owner log folded on from ``state`` (from its inception if None), at least up to the head that the device
        knows.

        Raises:
            VaultError: ``owner-log-missing``; ``owner-log-behind``, ``owner-log-forked`` when the store's log does not
                hold that head.
            AuthorityError: Named by the rules of `ownerlog`.
        """
        if state is None:
            first = self._open("owner-log", 0)
            if first is None:
                raise VaultError("owner-log-missing", "found no owner log in the store", status=404)
            state = ownerlog.begin(self._owner, first)
        while (envelope := self._open("owner-log", state.head.number + 1)) is not None:
            state = ownerlog.fold(state, [envelope])
        if state.head.number < known.number:
            raise VaultError(
                "owner-log-behind",
                f"found an owner log that ends before entry {known.number}, which the device knows",
                hint="the host withholds entries, or shows an old copy",
                status=409,
            )
        if state.digest_at(known.number) != known.digest:
            raise VaultError(
                "owner-log-forked",
                f"found another entry {known.number} than the device knows",
                hint="the host shows this user cloud another log than the device",
                status=409,
            )
        return state

    def journal(self, state: JournalState, owner: OwnerState) -> JournalState:
        """The journal folded on from ``state``. Raises: AuthorityError named by the rules of `journal`."""
        while True:
            number = 0 if state.head is None else state.head.number + 1
            plaintext = self._open("journal", number, ".age")
            if plaintext is None:
                return state
            item = decode_json(plaintext, JournalObject, limit=2 * MIB, what="a journal object")
            state = journal.fold(state, owner, [item])

    def epochs(self, owner: OwnerState) -> dict[int, EpochStatement]:
        """The epoch statements that the owner log names. Raises: AuthorityError: ``epoch-mismatch``."""
        found = {}
        for number in owner.epochs:
            envelope = self._store.get(f"{self._home}/epochs/{numbered(number)}")
            statement = access.epoch(self._owner, owner.inception.authority, envelope, number)
            named = owner.epochs[number]
            if sha256(envelope) != named.statement or statement.recipient != named.recipient:
                raise AuthorityError(
                    "epoch-mismatch", f"found another statement of epoch {number} than the owner log names", status=409
                )
            found[number] = statement
        return found


class Journal:
    """Appends to one owner's journal under one state key.

    Args:
        recipients: Who can read it: the log recipient and the recovery recipient.
        random: ``random(n)`` gives n random bytes.
    """

    def __init__(
        self, store: Store, owner: OwnerId, key: SigningKey, recipients: tuple[str, ...], random: Callable[[int], bytes]
    ) -> None:
        self._store, self._owner, self._key, self._recipients, self._random = store, owner, key, recipients, random

    def append(self, state: JournalState, owner: OwnerState, detail: Detail) -> JournalState:
        """Append one record; it is durable when this returns the state that includes it.

        Raises:
            VaultError: ``journal-taken`` when another instance wrote this number first; this one must stop.
        """
        number, previous = (0, None) if state.head is None else (state.head.number + 1, state.head.digest)
        salt = self._random(journal.SALT_BYTES)
        record = JournalRecord(
            owner=self._owner,
            number=number,
            previous=previous,
            owner_head=owner.head,
            detail=journal.commit(salt, detail),
        )
        envelope = dsse.sign(JOURNAL_TYPE, encode_json(record), self._key)
        item = JournalObject(envelope.decode(), b64(salt), detail)
        # Folded before it is written: what the rules refuse never reaches the store.
        after = journal.fold(state, owner, [item])
        data = agefile.seal(encode_json(item), self._recipients)
        try:
            new = self._store.put_new(f"owners/{self._owner}/journal/{numbered(number)}.age", data)
        except VaultError as error:
            if error.rule != "name-taken":
                raise
            new = False
        if not new:
            raise VaultError(
                "journal-taken",
                f"found record {number} written by another instance of this user cloud; this one stops",
                status=409,
            )
        return after

    def head(self, state: JournalState, owner: OwnerState) -> bytes:
        """The journal's head, signed by the state key.

        Raises:
            VaultError: ``journal-empty`` before the first record.
        """
        if state.head is None:
            raise VaultError("journal-empty", "found no record to sign the head of", status=409)
        statement = JournalHead(self._owner, state.head, owner.head)
        return dsse.sign(HEAD_TYPE, encode_json(statement), self._key)
