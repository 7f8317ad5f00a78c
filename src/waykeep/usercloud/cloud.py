"""A user cloud's state: bound to one owner for life, locked until the owner's device hands it keys.

Everything here blocks and runs under one lock, in a worker thread. Nothing reads a clock: times come from the owner's
signed requests.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

import msgspec
import pyarrow as pa

from waykeep.authority import journal
from waykeep.authority.approvals import ReadPlan
from waykeep.authority.journal import JournalState
from waykeep.authority.keys import SigningKey
from waykeep.authority.ownerlog import OwnerState
from waykeep.authority.statements import Detail, SegmentEntry, SegmentsAccepted
from waykeep.errors import AuthorityError, FormatError, UserCloudError, VaultError
from waykeep.formats.ids import OwnerId, parse_object
from waykeep.formats.messages import Accepted, Status, Unlock, Unlocked
from waykeep.usercloud.keys import Keys, locked, take_over
from waykeep.usercloud.summary import summarise
from waykeep.vault import segments
from waykeep.vault.objects import Reader, Store
from waykeep.vault.segments import Segment


class Cloud:
    """One owner's vault and logs, as this process sees them.

    Args:
        owner: The owner id that the supervisor bound this process to.
        store: The place that the node gives.

    Attributes:
        on_stop: Called, under the lock, when another instance wrote the journal and this one has to end.
    """

    def __init__(self, owner: OwnerId, store: Store) -> None:
        self.owner = owner
        self.state_key = SigningKey(secrets.token_bytes(32))
        self._store, self._lock = store, threading.RLock()
        self._keys: Keys | None = None
        self._log: OwnerState | None = None
        self._journal: JournalState = journal.EMPTY
        self._stopped: VaultError | None = None
        self._swept = False
        self._running: set[str] = set()
        self.on_stop: Callable[[], None] = lambda: None

    # -- unlocking -----------------------------------------------------------------------------------------------------

    def look(self, asked: Unlock) -> OwnerState:
        """The owner log under the secret in a request that is not verified yet.

        It names the keys that may have signed it.
        """
        with self._lock:
            return Reader(self._store, self.owner, asked.log_secret).owner_log(self._log, asked.owner_head)

    def unlock(self, asked: Unlock, log: OwnerState) -> Unlocked:
        """Take keys over, after the request was verified under ``log``.

        May be repeated, with more epochs or a newer head. Raises as `take_over` does.
        """
        with self._lock:
            before = self._keys.epochs if self._keys else {}
            keys = take_over(asked, log, self._store, self.state_key, before)
            folded = self._read_journal(keys.reader, log)
            self._log, self._keys, self._journal = log, keys, folded
            named = self.state_key.public in log.state_keys
            # Not before the device, which knows how far the journal went, had a look at it and named the key.
            if named and not self._swept:
                self._sweep()
                self._swept = True
            return Unlocked(
                self.state_key.public,
                named,
                self._journal.head,
                tuple(sorted(keys.epochs)),
            )

    def _read_journal(self, reader: Reader, log: OwnerState) -> JournalState:
        """The journal as it lies in the store, durable before anybody is told of it: whoever wrote it may have died."""
        folded = reader.journal(self._journal, log)
        if folded.head != self._journal.head:
            self._store.sync(f"owners/{self.owner}/journal")
        return folded

    def _sweep(self) -> None:
        """Delete derived segments that no record names: one was put just before this owner's last process died."""
        home = f"owners/{self.owner}/segments"
        for name in self._store.names(home, limit=100_000):
            if name in self._journal.segments:
                continue
            try:
                found = segments.open_(self._store.get(f"{home}/{name}"), self.log, self.keys.epochs)
            except (FormatError, AuthorityError, VaultError):
                continue
            if found.header.kind == "derived":
                self._store.delete(f"{home}/{name}")

    @property
    def keys(self) -> Keys:
        """Raises: UserCloudError: ``locked``; or what stopped this instance."""
        if self._stopped is not None:
            raise self._stopped
        if self._keys is None:
            raise locked()
        return self._keys

    @property
    def log(self) -> OwnerState:
        """The owner log as it was last read. Raises as `keys` does."""
        if self._stopped is not None:
            raise self._stopped
        if self._log is None:
            raise locked()
        return self._log

    def refresh(self) -> OwnerState:
        """The owner log with what was added since. Raises: UserCloudError: ``locked``."""
        with self._lock:
            self._log = self.keys.reader.owner_log(self.log, self.log.head)
            return self.log

    # -- writing -------------------------------------------------------------------------------------------------------

    def require_named(self) -> None:
        """Raises: UserCloudError: ``state-key-unnamed``; nothing can be recorded before it is."""
        if self.state_key.public not in self.log.state_keys:
            raise UserCloudError("state-key-unnamed", "the owner log does not name this state key yet", status=409)

    def append(self, detail: Detail) -> None:
        """Append a record, durable on return. An instance that finds its number taken stops for good.

        Raises:
            UserCloudError: ``state-key-unnamed``. VaultError: ``journal-taken``.
        """
        with self._lock:
            self.require_named()
            try:
                self._journal = self.keys.journal.append(self._journal, self.log, detail)
            except VaultError as error:
                if error.rule == "journal-taken":
                    self._stopped = error
                    self.on_stop()
                raise

    def signed_head(self) -> bytes:
        with self._lock:
            return self.keys.journal.head(self._journal, self.log)

    def accept(self, names: tuple[str, ...]) -> Accepted:
        """Check uploaded segments and record those that bring new rows, in one record.

        What is refused changes nothing.
        """
        with self._lock:
            self.require_named()
            outcome: dict[str, str] = {}
            detail: dict[str, str] = {}
            lines: list[SegmentEntry] = []
            pending: list[tuple[SegmentEntry, Segment]] = []
            for name in dict.fromkeys(names):
                try:
                    line, found = self._check(name, pending)
                except (FormatError, AuthorityError, VaultError) as error:
                    outcome[name], detail[name] = error.rule, error.message
                    continue
                if line is None or found is None:
                    outcome[name] = "known"
                    continue
                outcome[name] = "accepted"
                lines.append(line)
                pending.append((line, found))
            if lines:
                self.append(SegmentsAccepted(tuple(lines)))
            head = self.signed_head() if self._journal.head is not None else b""
            return Accepted(outcome, detail, sum(line.rows_new for line in lines), head)

    def _check(
        self, name: str, pending: list[tuple[SegmentEntry, Segment]]
    ) -> tuple[SegmentEntry, Segment] | tuple[None, None]:
        key = f"owners/{self.owner}/{parse_object('segments', name)}"
        if name in self._journal.segments:
            return None, None
        found = segments.open_(self._store.get(key), self.log, self.keys.epochs)
        if found.header.kind != "recorded":
            raise VaultError("segment-kind", "found a derived segment among uploads", status=403)
        line = segments.entry(name, found, 0)
        present = [p.rows for entry, p in pending if entry.stream == line.stream]
        present += [p.rows for _, p in self._parts(line.stream, line.first_ms, line.last_ms + 1)]
        new = segments.count_new(found, present)
        if new == 0:
            self._store.delete(key)
            return None, None
        return msgspec.structs.replace(line, rows_new=new), found

    @contextmanager
    def running(self, run_id: str) -> Iterator[None]:
        """A run's time under way. Raises: UserCloudError: ``run-repeated`` for one that is done or under way."""
        with self._lock:
            if run_id in self._journal.runs or run_id in self._running:
                raise UserCloudError("run-repeated", "found a run of this id in the journal or under way", status=409)
            self._running.add(run_id)
        try:
            yield
        finally:
            self._running.discard(run_id)

    def may_hold_run(self, run_id: str) -> bool:
        """Whether the store holds a run's record, or does not say. A record that failed may lie there all the same."""
        with self._lock:
            try:
                self._journal = self._read_journal(self.keys.reader, self.log)
            except (AuthorityError, VaultError):
                return True
            return run_id in self._journal.runs

    def delete_derived(self, name: str) -> None:
        """Delete a derived segment that no record names; where the store fails, the next instance does."""
        with suppress(VaultError):
            self._store.delete(f"owners/{self.owner}/segments/{name}")

    def put_derived(self, name: str, data: bytes) -> None:
        try:
            self._store.put_new(f"owners/{self.owner}/segments/{name}", data)
        except VaultError:
            self.delete_derived(name)  # it may lie there all the same
            raise

    # -- reading -------------------------------------------------------------------------------------------------------

    def _parts(self, stream: str, from_ms: int, to_ms: int) -> list[tuple[SegmentEntry, Segment]]:
        keys = self.keys
        return [
            (line, segments.open_(self._store.get(f"owners/{self.owner}/segments/{line.name}"), self.log, keys.epochs))
            for line in segments.select(self._journal.segments, stream, from_ms, to_ms)
            if line.epoch in keys.epochs
        ]

    def missing_epochs(self, streams: Mapping[str, object], from_ms: int, to_ms: int) -> tuple[int, ...]:
        """Epochs whose secrets were not handed over, of segments that a read of these streams would need."""
        needed = {e.epoch for s in streams for e in segments.select(self._journal.segments, s, from_ms, to_ms)}
        return tuple(sorted(needed - self.keys.epochs.keys()))

    def read(self, plan: ReadPlan) -> dict[str, pa.Table]:
        """The rows that a read plan grants, per stream."""
        with self._lock:
            return {
                stream: segments.read(
                    self._parts(stream, plan.from_ms, plan.to_ms), self.owner, stream, columns, plan.from_ms, plan.to_ms
                )
                for stream, columns in plan.inputs.items()
            }

    def status(self) -> Status:
        with self._lock:
            log = self.refresh()
            return summarise(log, self._journal, self.keys.epochs.keys())
