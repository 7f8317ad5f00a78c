"""Owners on a stage: a device each, and what the store holds of theirs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest

from tests.support.stages import Watched
from waykeep.authority import journalstate
from waykeep.authority.journalstate import JournalState
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.records import Detail, JournalObject
from waykeep.channel.trust import Trust
from waykeep.device import account, keystore
from waykeep.device.account import Account
from waykeep.device.keystore import KeyFile, Secrets
from waykeep.device.profile import Folder, Profile
from waykeep.errors import WaykeepError
from waykeep.formats import agefile, streams
from waykeep.formats.ids import Digest, OwnerId, numbered, sha256
from waykeep.formats.messages import Head, Unlock
from waykeep.formats.wire import MIB, decode_json
from waykeep.vault.objects import Reader
from waykeep.vault.store import DirectoryStore

DAY_MS = 86_400_000
SOME_DAY_MS = 1_466_380_800_000
"""2016-06-20 UTC."""


class Person:
    """An owner who was just made on a stage.

    Args:
        name: Of the device's folder; unique on the stage.
        trust: What the device demands; the stage's by default.
    """

    def __init__(self, stage: Watched, name: str, trust: Trust | None = None) -> None:
        self.stage, self.folder = stage, Folder(stage.devices / name)
        self.key_file = stage.devices / f"{name}.key"
        self.lock = KeyFile(self.key_file, create=True)
        self.trust = trust or stage.trust()
        self.paper = account.create(
            self.folder, lambda made: Profile(made.owner, stage.host_url, self.trust), self.lock, name
        )
        self.owner: OwnerId = self.secrets.owner
        self.home = stage.store / "owners" / self.owner

    @property
    def secrets(self) -> Secrets:
        return keystore.load(self.folder.keystore, self.lock)

    def account(self, host: str = "") -> Account:
        """The device, open.

        Args:
            host: Another host than the stage's; from now on the device's.
        """
        if host:
            self.folder.save_profile(msgspec.structs.replace(self.folder.profile(), host=host))
        return Account(self.folder, self.lock)

    def unlock(self, **changes: object) -> Unlock:
        """The request with which this device unlocks its user cloud."""
        secrets = self.secrets
        asked = Unlock(secrets.logs, secrets.epochs, self.heads()[0], self.trust.to_message())
        return msgspec.structs.replace(asked, **changes)

    def waiting(self) -> list[str]:
        """What waits in the device's outbox."""
        with self.account() as device:
            return device.outbox.names()

    # -- what the store says -------------------------------------------------------------------------------------------

    def listing(self) -> dict[str, Digest]:
        """Every object of this owner in the store, with the digest of its bytes."""
        return {str(p.relative_to(self.home)): sha256(p.read_bytes()) for p in self.home.rglob("*") if p.is_file()}

    def log(self) -> OwnerState:
        """The owner log, folded from the store alone."""
        inception = self.path("owner-log", numbered(0)).read_bytes()
        known = Head(0, sha256(agefile.open_(inception, self.secrets.logs, limit=MIB, what="an inception")))
        return self._reader().owner_log(None, known)

    def heads(self) -> tuple[Head, Head | None]:
        """Heads of owner log and journal, from the store alone."""
        return self.log().head, self.journal().head

    def journal(self) -> JournalState:
        """The journal, folded from the store alone."""
        return self._reader().journal(journalstate.EMPTY, self.log())

    def details(self) -> list[Detail]:
        """What the journal's records tell, in order, from the store alone."""
        found = []
        for path in sorted(self.path("journal", "").iterdir()):
            plain = agefile.open_(path.read_bytes(), list(self.secrets.logs), limit=2 * MIB, what="a record")
            found.append(decode_json(plain, JournalObject, limit=2 * MIB, what="a record").detail)
        return found

    def _reader(self) -> Reader:
        return Reader(DirectoryStore(self.stage.store), self.owner, self.secrets.logs)

    def path(self, room: str, name: str) -> Path:
        return self.home / room / name

    def plant(self, room: str, name: str, data: bytes) -> Path:
        """Put an object as an outsider does who can write to the host's disk."""
        path = self.path(room, name)
        path.write_bytes(data)
        return path


@contextmanager
def unchanged(*people: Person, heads: bool = True) -> Iterator[None]:
    """Nothing of these owners changes inside: neither the store nor the heads of their logs."""
    before = [(p.listing(), p.heads() if heads else None) for p in people]
    yield
    assert [(p.listing(), p.heads() if heads else None) for p in people] == before


@contextmanager
def refused(rule: str, family: str = "") -> Iterator[None]:
    """What is tried inside is refused by this rule."""
    with pytest.raises(WaykeepError) as caught:
        yield
    assert caught.value.rule == rule, str(caught.value)
    assert family in ("", caught.value.family)


def points(first_ms: int, count: int, step_ms: int = 1000) -> pa.Table:
    """Rows of stream ``location``: a walk north, one row each step."""
    times = [first_ms + step_ms * n for n in range(count)]
    given: dict[str, Sequence[object]] = {
        "ts_ms": times,
        "write_ms": times,
        "lat_e7": [473_700_000 + 100 * n for n in range(count)],
        "lon_e7": [85_400_000] * count,
        "zone": ["Europe/Zurich"] * count,
    }
    wanted = streams.schema("location")
    return pa.table({name: given.get(name, [None] * count) for name in wanted.names}, schema=wanted)
