"""A crowd: synthetic people as owners, each with a device, a witness and a budget, who join studies and go to sleep."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from waykeep.authority import journalstate
from waykeep.authority.participation import Contributed
from waykeep.channel.trust import Trust
from waykeep.demo.stage import Stage
from waykeep.device import memberships, witnesses
from waykeep.device.account import Account, now_ms
from waykeep.device.keystore import KeyFile
from waykeep.device.making import create
from waykeep.device.profile import Folder, Profile
from waykeep.device.trusting import default_policy
from waykeep.formats import streams
from waykeep.formats.ids import OwnerId
from waykeep.supervisor.measure import reference_values
from waykeep.synthetic import people
from waykeep.vault.objects import Reader
from waykeep.vault.store import DirectoryStore

YEAR_MS = 365 * 86_400_000
AT_ONCE = 4


class Member(NamedTuple):
    """Somebody of a crowd: an owner, and who they are."""

    owner: OwnerId
    folder: Path
    key: KeyFile
    person: people.Person

    def account(self) -> Account:
        return Account(Folder(self.folder), self.key)


class Crowd:
    """People on a stage, whose host, supervisor and witness run.

    Args:
        devices: A folder for their devices.
        tokens: Of the stage's witness, one for each.
        first, days: When they lived.
    """

    def __init__(self, stage: Stage, devices: Path, tokens: Sequence[str], first: datetime.date, days: int) -> None:
        self.stage, self._devices, self._tokens = stage, devices, list(tokens)
        self._witness = witnesses.key_of(stage.witness_url)
        self._first, self._days = first, days
        self.trust = Trust({"insecure": stage.root}, reference_values(), default_policy(shared_uid=not stage.own_uids))
        self.members: list[Member] = []

    def gather(
        self, seed: int, count: int, envelopes: Sequence[bytes], epsilon: float, done: Callable[[int], None]
    ) -> None:
        """Make so many people, who join all studies and go to sleep. ``done`` is told how many there are."""

        def one(number: int) -> Member:
            return self._join(people.person(seed, number, self._days, self._first), envelopes, epsilon)

        with ThreadPoolExecutor(AT_ONCE) as pool:
            for member in pool.map(one, range(count)):
                self.members.append(member)
                done(len(self.members))

    def sent(self) -> Iterator[Contributed]:
        """What everybody's journal says that they answered; read from the store, by their own keys."""
        for member in self.members:
            with member.account() as device:
                reader = Reader(DirectoryStore(self.stage.store), member.owner, device.keys.secrets.logs)
                yield from reader.journal(journalstate.EMPTY, device.owner_log.state()).sent.values()

    def _join(self, person: people.Person, envelopes: Sequence[bytes], epsilon: float) -> Member:
        folder = self._devices / f"{person.number:05}"
        key = KeyFile(folder.with_suffix(".key"), create=True)
        create(Folder(folder), lambda made: Profile(made.owner, self.stage.host_url, self.trust), key, "phone")
        with Account(Folder(folder), key) as device:
            witnesses.use(device, self.stage.witness_url, self._witness, self._tokens.pop())
            wanted = {name for name in streams.RECORDED if name in ("filtered-location", "motion-activity")}
            device.queue({name: person.tables[name] for name in wanted}, "imported")
            device.upload()
            memberships.set_budget(device, epsilon, YEAR_MS, now_ms() - YEAR_MS // 2)
            for envelope in envelopes:
                memberships.join(device, envelope)
            device.connect()
            device.suspend()
            return Member(device.owner, folder, key, person)
