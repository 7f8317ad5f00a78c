"""A user cloud's state: bound to one owner for life, locked until the owner's device hands it keys.

Everything here blocks and runs under one lock, in a worker thread. Nothing reads a clock: times come from the owner's
signed requests.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Mapping

import msgspec
import pyarrow as pa

from waykeep.authority import journal
from waykeep.authority.approvals import ReadPlan
from waykeep.authority.journal import JournalState
from waykeep.authority.keys import SigningKey
from waykeep.authority.ownerlog import OwnerState
from waykeep.authority.statements import Detail, SegmentEntry, SegmentsAccepted
from waykeep.channel import trust
from waykeep.channel.trust import Trust
from waykeep.errors import AuthorityError, FormatError, UserCloudError, VaultError
from waykeep.formats import agefile
from waykeep.formats.ids import OwnerId, parse_object
from waykeep.formats.messages import Accepted, Head, Status, StreamStatus, Unlock, Unlocked
from waykeep.vault import segments
from waykeep.vault.objects import Journal, Reader, Store
from waykeep.vault.segments import EpochKey, Segment


def _locked() -> UserCloudError:
    return UserCloudError(
        "locked", "found no keys: this user cloud was started and not unlocked yet", hint="unlock it", status=409
    )


class Keys(msgspec.Struct, frozen=True):
    """What the device handed over, checked against the owner log."""

    reader: Reader
    epochs: dict[int, EpochKey]
    trust: Trust
    journal: Journal


class Cloud:
    """One owner's vault and logs, as this process sees them.

    Args:
        owner: The owner id that the supervisor bound this process to.
        store: The place that the node gives.
    """

    def __init__(self, owner: OwnerId, store: Store) -> None:
        self.owner = owner
        self.state_key = SigningKey(secrets.token_bytes(32))
        self._store, self._lock = store, threading.RLock()
        self._keys: Keys | None = None
        self._log: OwnerState | None = None
        self._journal: JournalState = journal.EMPTY
        self._stopped: VaultError | None = None

    # -- unlocking -----------------------------------------------------------------------------------------------------

    def look(self, asked: Unlock) -> OwnerState:
        """The owner log under the secret in a request that is not verified yet.

        It names the keys that may have signed it.
        """
        with self._lock:
            return Reader(self._store, self.owner, asked.log_secret).owner_log(self._log, asked.owner_head)

    def unlock(self, asked: Unlock, log: OwnerState) -> Unlocked:
        """Take keys over, after the request was verified under ``log``. May be repeated, with more epochs or a newer
        head.

        Raises:
            UserCloudError: ``log-secret-mismatch``, ``epoch-secret-mismatch``, ``epoch-unknown``.
        """
        with self._lock:
            reader = Reader(self._store, self.owner, asked.log_secret)
            recipients = log.log_recipients()
            if agefile.recipient_of(asked.log_secret) != recipients[0]:
                raise UserCloudError(
                    "log-secret-mismatch", "found a log secret that the owner log does not name", status=403
                )
            epochs = dict(self._keys.epochs) if self._keys else {}
            statements = reader.epochs(log)
            for text, secret in asked.epochs.items():
                number = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else -1
                if number not in statements:
                    raise UserCloudError("epoch-unknown", "found a secret of an epoch that the owner log does not name")
                if agefile.recipient_of(secret) != statements[number].recipient:
                    raise UserCloudError(
                        "epoch-secret-mismatch", f"found a secret that is not epoch {number}'s", status=403
                    )
                epochs[number] = EpochKey(number, secret, statements[number].recipient)
            written = Journal(self._store, self.owner, self.state_key, recipients, secrets.token_bytes)
            first = self._keys is None
            self._log, self._keys = log, Keys(reader, epochs, trust.from_message(asked.appraisal), written)
            self._journal = reader.journal(self._journal, log)
            if first:
                self._sweep()
            return Unlocked(
                self.state_key.public,
                self.state_key.public in log.state_keys,
                self._journal.head,
                tuple(sorted(epochs)),
            )

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
            raise _locked()
        return self._keys

    @property
    def log(self) -> OwnerState:
        """The owner log as it was last read. Raises as `keys` does."""
        if self._log is None:
            raise _locked()
        return self._log

    def refresh(self) -> OwnerState:
        """The owner log with what was added since. Raises: UserCloudError: ``locked``."""
        with self._lock:
            self._log = self.keys.reader.owner_log(self.log, self.log.head)
            return self.log

    # -- writing -------------------------------------------------------------------------------------------------------

    def append(self, detail: Detail) -> None:
        """Append a record, durable on return. An instance that finds its number taken stops for good.

        Raises:
            UserCloudError: ``state-key-unnamed``. VaultError: ``journal-taken``.
        """
        with self._lock:
            if self.state_key.public not in self.log.state_keys:
                raise UserCloudError("state-key-unnamed", "the owner log does not name this state key yet", status=409)
            try:
                self._journal = self.keys.journal.append(self._journal, self.log, detail)
            except VaultError as error:
                if error.rule == "journal-taken":
                    self._stopped = error
                raise

    def signed_head(self) -> bytes:
        with self._lock:
            return self.keys.journal.head(self._journal, self.log)

    def accept(self, names: tuple[str, ...]) -> Accepted:
        """Check uploaded segments and record those that bring new rows, in one record.

        What is refused changes nothing.
        """
        with self._lock:
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

    def put_derived(self, name: str, data: bytes) -> None:
        self._store.put_new(f"owners/{self.owner}/segments/{name}", data)

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

    def has_run(self, run_id: str) -> bool:
        return run_id in self._journal.runs

    def status(self) -> Status:
        with self._lock:
            keys, log = self.keys, self.refresh()
            by_stream: dict[str, list[SegmentEntry]] = {}
            for line in self._journal.segments.values():
                by_stream.setdefault(line.stream, []).append(line)
            used = {line.epoch for line in self._journal.segments.values()}
            return Status(
                owner=self.owner,
                streams=tuple(_stream_status(stream, lines) for stream, lines in sorted(by_stream.items())),
                runs=len(self._journal.runs),
                approvals=len(log.approvals),
                journal=self._journal.head,
                owner_head=log.head,
                epochs=tuple(sorted(keys.epochs)),
                epochs_missing=tuple(sorted(used - keys.epochs.keys())),
            )

    def devices(self) -> Callable[[], set[str]]:
        return lambda: set(self.refresh().devices)

    @property
    def head(self) -> Head | None:
        return self._journal.head


def _stream_status(stream: str, lines: list[SegmentEntry]) -> StreamStatus:
    return StreamStatus(
        stream=stream,
        segments=len(lines),
        rows=sum(line.rows_new for line in lines),
        first_ms=min(line.first_ms for line in lines),
        last_ms=max(line.last_ms for line in lines),
    )
