"""An owner whose journal grows in a real store, with snapshots at any place; and stores that count, or fail."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from tests.unit.authority import entries
from tests.unit.builders import NOW_MS, Owner, a_line, an_owner
from waykeep.authority import dsse, journalstate
from waykeep.authority.journalstate import JournalState
from waykeep.authority.keys import SigningKey
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.records import (
    SNAPSHOT_TYPE,
    Debited,
    Detail,
    RunDone,
    SegmentEntry,
    SegmentsAccepted,
    Snapshot,
    Spent,
)
from waykeep.authority.statements import RecipientsNamed
from waykeep.errors import VaultError
from waykeep.formats import agefile
from waykeep.formats.ids import numbered, sha256
from waykeep.formats.messages import Head
from waykeep.formats.wire import MIB, decode_frame, decode_json, encode_json
from waykeep.vault import catalogue, snapshots
from waykeep.vault.objects import Journal, Reader
from waykeep.vault.snapshots import Packed
from waykeep.vault.store import DirectoryStore

T = TypeVar("T")
STREAMS = ("location", "battery", "derived/trips")
GRANT = entries.a_grant(streams={"location": ("ts_ms",)}, parameters={}, runs=1000, bits=10**9)


def a_debit(request_id: str, grant: int, read_to: Head | None) -> Debited:
    """A run of `GRANT`, the entry of that number."""
    return entries.a_debit(grant, request_id, parameters={}, read_to=read_to)


class Life:
    """An owner's store with a journal that grows. Args: log: Of an owner who has one; `GRANT` is added to it."""

    def __init__(self, folder: Path, log: Owner | None = None, store: type[DirectoryStore] = DirectoryStore) -> None:
        self.store = store(folder)
        self.owner = an_owner() if log is None else log
        self.home = f"owners/{self.owner.id}"
        self.store.create_owner(self.owner.id)
        self.owner.add(GRANT, self.owner.device)
        self.grant = self.log.head.number
        self.secrets = [self.owner.log_secret]
        self.publish()
        self.state = journalstate.EMPTY
        self.random = random.Random(7)

    @property
    def log(self) -> OwnerState:
        return self.owner.state

    @property
    def journal(self) -> Journal:
        return Journal(self.store, self.owner.id, self.owner.state_key, os.urandom)

    def renew(self) -> None:
        """Name a new log recipient, as after a device was revoked."""
        self.secrets.append(agefile.generate()[0])
        named = RecipientsNamed(agefile.recipient_of(self.secrets[-1]), self.owner.log_recipients[1])
        self.owner.add(named)
        self.publish()

    def publish(self) -> None:
        """Put the owner log's entries that the store lacks."""
        for number, envelope in enumerate(self.owner.envelopes):
            if numbered(number) not in self.store.names(f"{self.home}/owner-log"):
                recipients = [agefile.recipient_of(secret) for secret in self.secrets[-2:]]
                sealed = agefile.seal(envelope, recipients)
                self.store.put_new(f"{self.home}/owner-log/{numbered(number)}", sealed)

    def reader(self) -> Reader:
        return Reader(self.store, self.owner.id, tuple(self.secrets))

    # -- the user cloud ------------------------------------------------------------------------------------------------

    def grow(self, count: int) -> None:
        for _ in range(count):
            self.state = self.journal.append(self.state, self.log, self.detail())

    def detail(self) -> Detail:
        """Something new, of any kind."""
        number = 0 if self.state.head is None else self.state.head.number + 1
        match self.random.randrange(6):
            case 0:
                first = NOW_MS + self.random.randrange(10**6)
                window = {"first_ms": first, "last_ms": first + self.random.randrange(10**6)}
                line = self.line(number, 0, stream="derived/trips", kind="derived", source="derived", **window)
                return RunDone(f"run {number}", sha256(b"a"), "trips 1", 1, {}, {}, 1, NOW_MS, "", line)
            case 1:
                return a_debit(f"{number:022}", self.grant, self.state.head)
            case 2 if self.state.debits:
                for request_id in self.state.debits:
                    if not self.state.spent(request_id):
                        return Spent(request_id, "trips 1", {}, 1, NOW_MS, "")
        return SegmentsAccepted(tuple(self.line(number, n) for n in range(self.random.randrange(1, 4))))

    def line(self, number: int, place: int, **changes: object) -> SegmentEntry:
        first = NOW_MS + self.random.randrange(10**6)
        given: dict[str, object] = {
            "stream": self.random.choice(STREAMS[:2]),
            "epoch": 1 + number % 2,
            "first_ms": first,
            "last_ms": first + self.random.randrange(10**6),
            "rows": 5,
            "rows_new": 4,
        }
        return a_line(f"{number}-{place}.age", **given | changes)

    def snapshot(self, key: SigningKey | None = None) -> None:
        self.state = snapshots.write(self.reader(), self.log, self.state, key or self.owner.state_key)

    # -- whoever wakes -------------------------------------------------------------------------------------------------

    def folded(self) -> JournalState:
        """The journal without any snapshot."""
        return self.reader().journal(journalstate.EMPTY, self.log)

    def woken(self) -> JournalState:
        """The journal from the newest snapshot on."""
        found = self.reader()
        log = snapshots.owner_log(found, Head(0, sha256(self.owner.envelopes[0])))
        return found.journal(snapshots.read(found, log), log)

    # -- the store's own -----------------------------------------------------------------------------------------------

    def names(self) -> list[str]:
        return self.store.names(f"{self.home}/snapshots")

    def index(self) -> str:
        """The name of the newest index."""
        return max(name for name in self.names() if len(name) == 14)

    def chunks(self) -> list[str]:
        """The names of what is neither an index nor marks."""
        return [name for name in self.names() if len(name) != 14 and not name.endswith("-ids.age")]

    def data(self, name: str) -> bytes:
        return self.store.get(f"{self.home}/snapshots/{name}")

    def plant(self, name: str, data: bytes | None) -> None:
        """Have the host put something under a name; None takes away what lies there."""
        self.store.delete(f"{self.home}/snapshots/{name}")
        if data is not None:
            self.store.put_new(f"{self.home}/snapshots/{name}", data)

    def unpacked(self) -> tuple[Snapshot, Packed]:
        """What the newest index says."""
        plain = agefile.open_(self.data(self.index()), self.secrets, limit=MIB, what="an index")
        packed = decode_frame(plain, Packed, limit=MIB, what="an index")
        return decode_json(dsse.peek(packed.envelope, SNAPSHOT_TYPE).payload, Snapshot, what="an index"), packed

    def forge(
        self, key: SigningKey | None = None, owner_log: tuple[bytes, ...] | None = None, **changes: object
    ) -> None:
        """Replace the newest index by one that says something else, signed by any key."""
        said, packed = self.unpacked()
        payload = encode_json(msgspec.structs.replace(said, **changes))
        envelope = dsse.sign(SNAPSHOT_TYPE, payload, key or self.owner.state_key)
        made = Packed(envelope, packed.owner_log if owner_log is None else owner_log)
        self.plant(self.index(), agefile.seal(msgspec.msgpack.encode(made), self.log.log_recipients()))


def same(one: JournalState, other: JournalState) -> None:
    """Both answer alike, whatever is asked."""
    assert (one.head, one.quoted, one.used) == (other.head, other.quoted, other.used)
    last = -1 if one.head is None else one.head.number
    for number in range(last + 2):
        assert one.digest_at(number) == other.digest_at(number)
        for place in range(3):
            assert one.segment(f"{number}-{place}.age") == other.segment(f"{number}-{place}.age")
        assert one.ran(f"run {number}") == other.ran(f"run {number}")
        assert one.debit(f"{number:022}") == other.debit(f"{number:022}")
        assert one.spent(f"{number:022}") == other.spent(f"{number:022}")
    assert catalogue.totals(one) == catalogue.totals(other)
    assert catalogue.epochs(one) == catalogue.epochs(other)
    assert catalogue.runs(one) == catalogue.runs(other)
    for stream in STREAMS:
        for until in (None, last // 2, -1):
            for window in ((0, 1 << 50), (NOW_MS + 200_000, NOW_MS + 1_200_000)):
                found = catalogue.select(one, stream, *window, until)
                assert found == catalogue.select(other, stream, *window, until)


class Counting(DirectoryStore):
    """Notes which objects are read and put."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.got: list[str] = []
        self.put: list[str] = []

    def get(self, key: str) -> bytes:
        self.got.append(key)
        return super().get(key)

    def put_new(self, key: str, data: bytes) -> bool:
        self.put.append(key)
        return super().put_new(key, data)


class Failing(DirectoryStore):
    """Fails at one call that changes something and at every later one, as a store does that was killed there.

    Attributes:
        left: Calls until then; below zero it never fails.
    """

    left = -1

    def put_new(self, key: str, data: bytes) -> bool:
        return self._do(lambda: super(Failing, self).put_new(key, data))

    def delete(self, key: str) -> None:
        self._do(lambda: super(Failing, self).delete(key))

    def _do(self, call: Callable[[], T]) -> T:
        if self.left == 0:
            raise VaultError("store-failed", "the store was killed", status=503)
        self.left -= 1
        return call()
