"""A user cloud's state: bound to one owner for life, locked until keys come from the owner's device or a sealed state.

Everything here blocks and runs under one lock, in a worker thread. Nothing reads a clock: times come from the owner's
signed requests, or from the witness.
"""

from __future__ import annotations

import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from waykeep.authority import journalstate, participating, spending
from waykeep.authority.asking import Spend
from waykeep.authority.journalstate import JournalState
from waykeep.authority.keys import SigningKey
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.participating import Debit as StudyDebit
from waykeep.authority.participating import Inputs
from waykeep.authority.queries import Query
from waykeep.authority.records import Detail
from waykeep.authority.spending import Debit, Wanted
from waykeep.authority.witnessing import Held
from waykeep.errors import AuthorityError, UserCloudError, VaultError, WaykeepError
from waykeep.formats.ids import OwnerId, PublicKey
from waykeep.formats.messages import Head, Status, Unlock, Unlocked
from waykeep.usercloud import derived
from waykeep.usercloud.keys import Keys, locked, take_over
from waykeep.usercloud.summary import summarise
from waykeep.vault import snapshots
from waykeep.vault.objects import Reader, Store

SNAPSHOT_EVERY = 1024
"""Records after which a snapshot is written, so that waking and appending stay short."""


class Cloud:
    """One owner's vault and logs, as this process sees them.

    Args:
        owner: The owner id that the supervisor bound this process to.
        store: The place that the node gives.

    Attributes:
        state_key, state_seed: Made here, and replaced only by a sealed state's, before anything is signed.
        on_stop: Called, under the lock and with the rule, when this instance has to end: another one wrote the journal,
            or the witness holds another log than the host showed when this one started.
        asleep: Why a sealed state did not wake this user cloud, if one lay there.
        left: Recorded segments that no record with effect names: to be accepted again, where records were made void.
    """

    def __init__(self, owner: OwnerId, store: Store) -> None:
        self.owner, self.store = owner, store
        self.state_seed = secrets.token_bytes(32)
        self.state_key = SigningKey(self.state_seed)
        self.lock = threading.RLock()
        self._keys: Keys | None = None
        self._log: OwnerState | None = None
        self.journal: JournalState = journalstate.EMPTY
        self._stopped: WaykeepError | None = None
        self._swept = False
        self._running: set[str] = set()
        self._unsaved = 0
        self._derived = 0
        self._unsure = False
        self.left: tuple[str, ...] = ()
        self._turned = 0
        self.on_stop: Callable[[str], None] = lambda rule: None
        self.asleep: WaykeepError | None = None

    # -- unlocking -----------------------------------------------------------------------------------------------------

    def look(self, asked: Unlock) -> OwnerState:
        """The owner log under the secrets in a request that is not verified yet.

        It names the keys that may have signed it.
        """
        with self.lock:
            return Reader(self.store, self.owner, asked.log_secrets).owner_log(self._log, asked.owner_head)

    def unlock(self, asked: Unlock, log: OwnerState) -> Unlocked:
        """Take keys over, after the request was verified under ``log``.

        May be repeated, with more epochs or a newer head. Raises as `take_over` does.
        """
        with self.lock:
            before = self._keys.epochs if self._keys else {}
            if self._log is not None and log.head.number < self._log.head.number:
                raise UserCloudError(
                    "unlock-outdated", "found a newer owner log since this was checked", hint="unlock again", status=409
                )
            reader = Reader(self.store, self.owner, asked.log_secrets)
            keys = take_over(asked, log, reader, self.state_key, before)
            self.take(keys, log, self._read_journal(keys.reader, log))
            named = log.signs_now(self.state_key.public)
            # Not before the device, which knows how far the journal went, had a look at it and named the key.
            if named and not self._swept:
                left = derived.sweep(self.store, log, self.journal, keys.epochs)
                # What a thief's state key accepted is void with it; it is offered again by nobody else.
                self.left = left if any(life.void for life in log.state_keys.values()) else ()
                self._swept = True
            return Unlocked(self.state_key.public, named, self.journal.head, tuple(sorted(keys.epochs)))

    def take(self, keys: Keys, log: OwnerState, folded: JournalState) -> None:
        """Be unlocked with keys that were checked."""
        with self.lock:
            self._log, self._keys, self.journal, self.asleep = log, keys, folded, None
            self._unsaved = len(folded.digests)
            self._turned = len(log.rotations)

    def wake(self, keys: Keys, log: OwnerState, folded: JournalState, seed: bytes) -> None:
        """Be what a sealed state says, which was checked: under the state key of before.

        Raises: VaultError: ``store-failed``.
        """
        with self.lock:
            # Durable before anybody is told of it, as in `_read_journal`: whoever wrote it last was perhaps killed.
            self.store.sync(f"owners/{self.owner}/journal")
            self.state_seed, self.state_key = seed, SigningKey(seed)
            self.take(keys, log, folded)

    def _read_journal(self, reader: Reader, log: OwnerState) -> JournalState:
        """The journal as it lies in the store, durable before anybody is told of it: whoever wrote it may have died."""
        state = self.journal
        if state.head is None or self._turned != len(log.rotations):
            # A rotation may have made void what had effects.
            state = snapshots.read(reader, log)
        folded = reader.journal(state, log)
        if folded.head != self.journal.head:
            self.store.sync(f"owners/{self.owner}/journal")
        return folded

    @property
    def keys(self) -> Keys:
        """Raises: UserCloudError: ``locked``; or what stopped this instance, or kept it from waking."""
        if self._stopped is not None:
            raise self._stopped
        if self._keys is None:
            raise self.asleep or locked()
        return self._keys

    @property
    def log(self) -> OwnerState:
        """The owner log as it was last read. Raises as `keys` does."""
        if self._stopped is not None:
            raise self._stopped
        if self._log is None:
            raise self.asleep or locked()
        return self._log

    def refresh(self) -> OwnerState:
        """The owner log with what was added since.

        Raises:
            UserCloudError: ``locked``. VaultError: ``log-secret-missing`` when new log recipients were named.
        """
        with self.lock:
            before = self.log
            self._log = self.keys.reader.owner_log(before, before.head)
            self._unsure = self._unsure or self._log.rotations != before.rotations
            if self._unsure:
                # What a rotation made void may have had effects; or a record that failed lies there all the same.
                self.journal = self._read_journal(self.keys.reader, self._log)
                self._unsure = False
            return self._log

    # -- writing -------------------------------------------------------------------------------------------------------

    def require_named(self) -> None:
        """Raises: UserCloudError: ``state-key-unnamed`` before it is named, and once it is retired."""
        if not self.log.signs_now(self.state_key.public):
            raise UserCloudError(
                "state-key-unnamed",
                "the owner log does not name this state key, or has retired it",
                hint="the owner's device names it when it unlocks the user cloud",
                status=409,
            )

    def append(self, detail: Detail) -> None:
        """Append a record, durable on return. An instance that finds its number taken stops for good.

        Raises:
            UserCloudError: ``state-key-unnamed``. VaultError: ``journal-taken``.
        """
        with self.lock:
            self.require_named()
            try:
                self.journal = self.keys.journal.append(self.journal, self.log, detail)
            except VaultError as error:
                if error.rule == "journal-taken":
                    self._stop(error)
                self._unsure = True
                raise
            self._unsaved += 1
            if self._unsaved >= SNAPSHOT_EVERY:
                with suppress(VaultError):  # only waking would be longer
                    self.snapshot()
                if self._unsaved >= SNAPSHOT_EVERY:  # the store fails: try again after as many more
                    self._unsaved = 1

    def _stop(self, error: WaykeepError) -> None:
        self._stopped = error
        self.on_stop(error.rule)

    def snapshot(self) -> None:
        """Write a snapshot, if records came since the last. Raises: VaultError: ``store-failed``."""
        with self.lock:
            keys = self.keys
            if self._unsaved and self.journal.head is not None:
                self.journal = snapshots.write(keys.reader, self.log, self.journal, self.state_key)
                self._unsaved = 0

    def next_derived(self) -> int:
        """The number of the next result that this process keeps, from 0 on."""
        with self.lock:
            self._derived += 1
            return self._derived - 1

    def signed_head(self) -> bytes:
        with self.lock:
            return self.keys.journal.head(self.journal, self.log)

    def newest(self) -> Head:
        """The journal's head. Raises: VaultError: ``journal-empty``."""
        with self.lock:
            if self.journal.head is None:
                raise VaultError("journal-empty", "found no record yet", status=409)
            return self.journal.head

    @contextmanager
    def running(self, run_id: str) -> Iterator[None]:
        """A run's time under way. Raises: UserCloudError: ``run-repeated`` for one that is under way."""
        with self.lock:
            if run_id in self._running:
                raise UserCloudError("run-repeated", "found a run of this id under way", status=409)
            self._running.add(run_id)
        try:
            yield
        finally:
            self._running.discard(run_id)

    def may_hold_run(self, run_id: str) -> bool:
        """Whether the store holds a run's record, or does not say. A record that failed may lie there all the same."""
        with self.lock:
            try:
                self.journal = self._read_journal(self.keys.reader, self.log)
            except (AuthorityError, VaultError):
                return True
            return self.journal.ran(run_id)

    # -- spending ------------------------------------------------------------------------------------------------------

    def stand(self, log: OwnerState, held: Held) -> None:
        """Whether logs and journal are what the witness holds. An instance on a fork, where it would stay, ends.

        Raises as `spending.standing` does.
        """
        with self.lock:
            try:
                spending.standing(log, self.journal, held, self.state_key.public)
            except AuthorityError as error:
                if error.rule in ("owner-log-forked", "journal-forked"):
                    self._stop(error)
                raise

    def debit(
        self, log: OwnerState, asked: Spend, holder: PublicKey, wanted: Wanted, time_ms: int
    ) -> tuple[Debit, Head]:
        """The durable record of a spend, found or appended; and a head that includes it. Raises as `spending.debit`."""
        with self.lock:
            epochs = tuple(sorted(self.keys.epochs))
            debit = spending.debit(log, self.journal, asked, holder, wanted, time_ms, epochs)
            if not debit.known:
                self.append(debit.made)
            return debit, self.newest()

    def intend(self, log: OwnerState, query: Query, time_ms: int) -> bool:
        """Have the durable record of an intent; whether it was appended now. Raises as `participating.intend`."""
        with self.lock:
            made = participating.intend(log, self.journal, query, time_ms)
            if made is not None:
                self.append(made)
            return made is not None

    def debit_study(self, log: OwnerState, query: Query, inputs: Inputs, time_ms: int) -> tuple[StudyDebit, Head]:
        """The durable record of a study's debit, as `debit` has one of a spend. Raises as `participating.debit`."""
        with self.lock:
            epochs = tuple(sorted(self.keys.epochs))
            debit = participating.debit(log, self.journal, query, inputs, time_ms, epochs)
            if not debit.known:
                self.append(debit.made)
            return debit, self.newest()

    def status(self) -> Status:
        with self.lock:
            log = self.refresh()
            return summarise(log, self.journal, self.keys.epochs.keys())
