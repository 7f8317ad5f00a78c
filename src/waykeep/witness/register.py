"""What a witness holds, durably: a register over SQLite, compared and swapped by `waykeep.witness.rules`.

A transaction takes many requests: `begin`, then `apply` for each in order, then `commit`, after which all that was
applied is durable (write-ahead log, ``synchronous=FULL``) and may be answered. One thread at a time uses a register.

1. ``witness-token`` (403): A pseudonym that is not held is registered with a token that the operator gave out and
   nobody has used. It is deleted with its use, so that nothing tells who got which pseudonym; the retry of a
   registration needs none.
2. All else, `decide` says.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import msgspec

from waykeep.authority.witnessing import Held, Read, Register, Request
from waykeep.errors import WitnessError
from waykeep.formats.ids import Digest, PublicKey, sha256
from waykeep.witness.keyfile import sync
from waykeep.witness.row import Row
from waykeep.witness.rules import LOOKS_AT_RETIRED, decide

NAME = "register.sqlite"
VERSION = 1
CHECKPOINT_PAGES = 4000
_SCHEMA = """
CREATE TABLE IF NOT EXISTS pseudonyms (
    pseudonym TEXT PRIMARY KEY, control TEXT NOT NULL, next_control TEXT NOT NULL, held BLOB NOT NULL,
    closed INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS retired (
    pseudonym TEXT NOT NULL, key TEXT NOT NULL, PRIMARY KEY (pseudonym, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS tokens (digest TEXT PRIMARY KEY) STRICT, WITHOUT ROWID;
"""
_held = msgspec.msgpack.Decoder(Held)


@dataclass(frozen=True)
class Counts:
    """What a register holds, in numbers."""

    pseudonyms: int
    closed: int
    tokens_left: int


def store_failed(found: str) -> WitnessError:
    return WitnessError(
        "witness-store",
        f"the witness's store does not take it ({found})",
        hint="try again; if it stays so, its operator looks at disk and log",
        status=503,
    )


class SqliteRegister:
    """The register in a folder, which exists.

    Args:
        make: Whether it is made where it is missing.
        busy_s: How long another process (an operator's `admit`) may hold the database, in seconds.

    Raises:
        WitnessError: ``witness-store`` (503) when it cannot be opened, or another version made it; ``witness-folder``.
    """

    def __init__(self, folder: Path, *, make: bool = True, busy_s: float = 5.0) -> None:
        if not make and not (folder / NAME).exists():
            raise WitnessError(
                "witness-folder",
                "found no witness's register in this folder",
                hint="start 'waykeep witness serve' first",
            )
        try:
            # Not shared between threads, but handed from one to another.
            self._db = sqlite3.connect(
                folder / NAME, timeout=busy_s, isolation_level=None, check_same_thread=False, cached_statements=64
            )
        except sqlite3.Error as error:
            raise store_failed(type(error).__name__) from None
        try:
            os.chmod(folder / NAME, 0o600)
            self._prepare()
            sync(folder)
        except (sqlite3.Error, OSError) as error:
            self._db.close()
            raise store_failed(type(error).__name__) from None
        except WitnessError:
            self._db.close()
            raise

    def _prepare(self) -> None:
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.execute(f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}")
        (version,) = self._db.execute("PRAGMA user_version").fetchone()
        if version not in (0, VERSION):
            raise store_failed(f"it is of version {version}, expected {VERSION}")
        if version == 0:
            self._db.executescript(f"BEGIN IMMEDIATE;{_SCHEMA}PRAGMA user_version={VERSION};COMMIT;")

    def never_wait(self) -> None:
        """From now on a database that another process holds is an error at once (``SQLITE_BUSY``)."""
        self._db.execute("PRAGMA busy_timeout=0")

    # -- a transaction; sqlite3.Error from any of these means that nothing of it was taken -----------------------------

    def begin(self, *, writing: bool = True) -> None:
        self._db.execute("BEGIN IMMEDIATE" if writing else "BEGIN")
        self._before = self._db.total_changes

    @property
    def changed(self) -> bool:
        """Whether this transaction changes anything."""
        return self._db.total_changes != self._before

    def commit(self) -> None:
        self._db.execute("COMMIT")

    def rollback(self) -> None:
        if self._db.in_transaction:
            self._db.execute("ROLLBACK")

    def apply(self, asked: Request, signer: PublicKey) -> Held:
        """What is held after a request. Raises: WitnessError: ``witness-token``, and as `decide` does."""
        row = self._row(asked.pseudonym, retired=isinstance(asked.action, LOOKS_AT_RETIRED))
        after = decide(row, asked, signer)
        if row is None:
            self._admit(asked.action)
            self._db.execute("INSERT INTO pseudonyms VALUES (?, ?, ?, ?, ?)", (asked.pseudonym, *_columns(after)))
        elif after is not row:
            self._db.execute(
                "UPDATE pseudonyms SET control = ?, next_control = ?, held = ?, closed = ? WHERE pseudonym = ?",
                (*_columns(after), asked.pseudonym),
            )
            if row.retired - after.retired:
                self._db.execute("DELETE FROM retired WHERE pseudonym = ?", (asked.pseudonym,))
                row = msgspec.structs.replace(row, retired=frozenset())
            new = after.retired - row.retired
            if new:
                self._db.executemany("INSERT INTO retired VALUES (?, ?)", [(asked.pseudonym, key) for key in new])
        return after.held

    def read(self, asked: Read) -> Held:
        """What is held. Raises: WitnessError: ``witness-unknown``."""
        row = self._row(asked.pseudonym, retired=False)
        if row is None:
            raise WitnessError("witness-unknown", "found a pseudonym that is not registered here", status=404)
        return row.held

    def _row(self, pseudonym: Digest, *, retired: bool) -> Row | None:
        found = self._db.execute(
            "SELECT control, next_control, held FROM pseudonyms WHERE pseudonym = ?", (pseudonym,)
        ).fetchone()
        if found is None:
            return None
        control, next_control, held = found
        gone: frozenset[PublicKey] = frozenset()
        if retired:
            rows = self._db.execute("SELECT key FROM retired WHERE pseudonym = ?", (pseudonym,))
            gone = frozenset(key for (key,) in rows)
        return Row(control, next_control, _held.decode(held), gone)

    def _admit(self, action: object) -> None:
        token = action.token if isinstance(action, Register) else ""
        if not self._db.execute("DELETE FROM tokens WHERE digest = ?", (sha256(token.encode()),)).rowcount:
            raise WitnessError(
                "witness-token",
                "found an admission token that this witness did not give out, or that was used",
                hint="ask the witness's operator for one",
                status=403,
            )

    # -- its operator --------------------------------------------------------------------------------------------------

    def admit(self, tokens: Collection[str]) -> None:
        """Take tokens that admit one pseudonym each; durable when it returns. Only their digests are kept."""
        try:
            self._db.execute("BEGIN IMMEDIATE")
            self._db.executemany("INSERT INTO tokens VALUES (?)", [(sha256(token.encode()),) for token in tokens])
            self._db.execute("COMMIT")
        except sqlite3.Error as error:
            raise store_failed(type(error).__name__) from None

    def counts(self) -> Counts:
        try:
            found = self._db.execute(
                "SELECT (SELECT count(*) FROM pseudonyms), (SELECT count(*) FROM pseudonyms WHERE closed),"
                " (SELECT count(*) FROM tokens)"
            ).fetchone()
        except sqlite3.Error as error:
            raise store_failed(type(error).__name__) from None
        return Counts(*found)

    def check(self) -> None:
        """Raises: WitnessError: ``witness-store`` unless the store can be read."""
        try:
            self._db.execute("SELECT count(*) FROM (SELECT 1 FROM pseudonyms LIMIT 1)").fetchone()
        except sqlite3.Error as error:
            raise store_failed(type(error).__name__) from None

    def close(self) -> None:
        self._db.close()


def _columns(row: Row) -> tuple[str, str, bytes, int]:
    return row.control, row.next_control, msgspec.msgpack.encode(row.held), row.held.successor is not None
