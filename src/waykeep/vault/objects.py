"""An owner's logs as they lie in the store: reading them into folds, and appending to the journal."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from waykeep.authority import access, dsse, journal, ownerlog
from waykeep.authority.journalstate import JournalState
from waykeep.authority.keys import SigningKey
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.records import (
    HEAD_TYPE,
    JOURNAL_TYPE,
    Detail,
    JournalHead,
    JournalObject,
    JournalRecord,
)
from waykeep.authority.statements import EPOCH_TYPE, EpochStatement
from waykeep.errors import AuthorityError, FormatError, VaultError
from waykeep.formats import agefile
from waykeep.formats.ids import Digest, OwnerId, b64, numbered, sha256, statement_name
from waykeep.formats.messages import Head
from waykeep.formats.wire import MIB, decode_json, encode_json
from waykeep.vault import entries

BATCH = 256
"""Objects that are folded at a time."""


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
        secrets: Log secrets (age), oldest first, with which owner log and journal are read.

    Attributes:
        envelopes: Of the owner log's entries that were read, from number 0 on, so that a snapshot can pack them.
        packed: Plaintexts of snapshots by name, while `waykeep.vault.snapshots` needs them.
    """

    def __init__(self, store: Store, owner: OwnerId, secrets: tuple[str, ...]) -> None:
        self.store, self.owner, self.secrets = store, owner, secrets
        self.home = f"owners/{owner}"
        self.envelopes: list[bytes] = []
        self.packed: dict[str, bytes] = {}

    def open(self, room: str, name: str, *, limit: int = 2 * MIB) -> bytes | None:
        """The plaintext of an object, or None when there is none of that name.

        Raises:
            VaultError: ``log-secret-missing`` when none of the secrets opens it. FormatError: As `agefile.open_` does.
        """
        try:
            data = self.store.get(f"{self.home}/{room}/{name}")
        except VaultError as error:
            if error.rule == "object-missing":
                return None
            raise
        try:
            return agefile.open_(data, list(reversed(self.secrets)), limit=limit, what=f"an object of {room}")
        except FormatError as error:
            if error.rule != "age-not-ours":
                raise
            raise VaultError(
                "log-secret-missing",
                f"found an object of {room} that no log secret at hand opens, or that was changed",
                hint="after a device was revoked, the owner's device has to unlock the user cloud with the new secret",
                status=409,
            ) from None

    def _batch(self, room: str, first: int, suffix: str = "") -> list[bytes]:
        """The plaintexts of numbered objects from ``first`` on, at most `BATCH`."""
        found: list[bytes] = []
        while len(found) < BATCH and (plain := self.open(room, numbered(first + len(found)) + suffix)) is not None:
            found.append(plain)
        return found

    def owner_log(self, state: OwnerState | None, known: Head) -> OwnerState:
        """The owner log folded on from ``state`` (from its inception if None), at least up to the head that the device
        knows.

        Raises:
            VaultError: ``owner-log-missing``; ``owner-log-behind``, ``owner-log-forked`` when the store's log does not
                hold that head.
            AuthorityError: Named by the rules of `ownerlog`; and as `entries.follow` does.
        """
        if state is None:
            first = self.open("owner-log", numbered(0))
            if first is None:
                raise VaultError("owner-log-missing", "found no owner log in the store", status=404)
            state = ownerlog.begin(self.owner, first)
            self.envelopes = [first]
        begun = state
        for state, envelopes in entries.follow(self, begun, known.number, BATCH):
            if len(self.envelopes) == state.head.number + 1 - len(envelopes):
                self.envelopes += envelopes
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

    def all_envelopes(self, owner: OwnerState) -> list[bytes]:
        """The envelopes of a log that was folded, from number 0 on, as far as they are at hand or in the store."""
        count = owner.head.number + 1
        for number, envelope in enumerate(self.envelopes[:count]):
            if sha256(envelope) != owner.digest_at(number):
                del self.envelopes[number:]
                break
        while (number := len(self.envelopes)) < count:
            envelope = next((e for e in entries.under(self, number) if sha256(e) == owner.digest_at(number)), b"")
            if not envelope:
                break
            self.envelopes.append(envelope)
        return self.envelopes[:count]

    def journal(self, state: JournalState, owner: OwnerState, until: Head | None = None) -> JournalState:
        """The journal folded on from ``state``.

        Args:
            until: The last record that is taken; None takes all.

        Raises:
            AuthorityError: Named by the rules of `journal`. VaultError: ``journal-forked`` without that record.
        """
        while plaintexts := self._batch("journal", 0 if state.head is None else state.head.number + 1, ".age"):
            first = 0 if state.head is None else state.head.number + 1
            items = [decode_json(p, JournalObject, limit=2 * MIB, what="a journal object") for p in plaintexts]
            state = journal.fold(state, owner, items if until is None else items[: until.number + 1 - first])
            if until is not None and state.head is not None and state.head.number >= until.number:
                break
        if until is not None and state.head != until:
            raise VaultError(
                "journal-forked",
                f"found a journal without record {until.number}, which was there before",
                hint="the host lost or withholds records, or shows another journal",
                status=409,
            )
        return state

    def epochs(self, owner: OwnerState) -> dict[int, EpochStatement]:
        """The epoch statements that the owner log names. Raises: AuthorityError: ``epoch-mismatch``."""
        found = {}
        authorities = ownerlog.authorities(owner.owner, owner.inception, owner.rotations)
        for number in owner.epochs:
            envelope = self._statement(number, owner.epochs[number].statement)
            named = owner.epochs[number]
            signer = dsse.peek(envelope, EPOCH_TYPE).signer if sha256(envelope) == named.statement else None
            statement = access.epoch(self.owner, signer, envelope, number) if signer in authorities else None
            if statement is None or statement.recipient != named.recipient:
                raise AuthorityError(
                    "epoch-mismatch", f"found another statement of epoch {number} than the owner log names", status=409
                )
            found[number] = statement
        return found

    def _statement(self, number: int, digest: Digest) -> bytes:
        """The statement of an epoch; under its longer name where somebody put other bytes under its number."""
        found = self.store.get(f"{self.home}/epochs/{numbered(number)}")
        if sha256(found) != digest:
            try:
                return self.store.get(f"{self.home}/epochs/{statement_name(number, digest)}")
            except VaultError as error:
                if error.rule != "object-missing":
                    raise
        return found


class Journal:
    """Appends to one owner's journal under one state key. Its log recipient and recovery recipient can read it.

    Args:
        random: ``random(n)`` gives n random bytes.
    """

    def __init__(self, store: Store, owner: OwnerId, key: SigningKey, random: Callable[[int], bytes]) -> None:
        self._store, self._owner, self._key, self._random = store, owner, key, random

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
        data = agefile.seal(encode_json(item), owner.log_recipients())
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
