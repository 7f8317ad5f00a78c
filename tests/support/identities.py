"""More devices of one owner, and an owner whose devices are gone."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from tests.support.people import SOME_DAY_MS, Person, points
from tests.support.witness import Witness
from waykeep.device import enrolling, recovery, witnesses
from waykeep.device.account import Account, now_ms
from waykeep.device.keystore import KeyFile
from waykeep.device.owner import Paper
from waykeep.device.profile import Folder
from waykeep.device.recovery import Recovered
from waykeep.formats.messages import Accepted


class Device:
    """A further device of a person.

    Args:
        name: Of its folder; unique on the stage.
        host: Another address of the host.
    """

    def __init__(self, person: Person, name: str, host: str = "") -> None:
        self.person, self.name = person, name
        self.folder = Folder(person.stage.devices / name)
        key = person.stage.devices / f"{name}.key"
        self.lock = KeyFile(key, create=not key.exists())
        self.profile = person.folder.profile()
        if host:
            self.profile = msgspec.structs.replace(self.profile, host=host)

    def account(self) -> Account:
        return Account(self.folder, self.lock)

    def request(self) -> str:
        return enrolling.enroll(self.folder, self.profile, self.lock, self.name)

    def added(self, by: Account, *, with_authority: bool = False) -> Device:
        """Adds it, and takes what was left for it."""
        enrolling.add(by, enrolling.parse_request(self.request()), with_authority=with_authority)
        enrolling.finish(self.folder, self.lock)
        return self

    def recovered(self, paper: Paper, void_from: int | None = None) -> Paper:
        """Takes the owner's id back on this machine; the new paper (or the one shown when it was begun here)."""
        shown: list[Paper] = []
        self.recovering(paper, void_from, shown.append)
        return shown[0] if shown else paper

    def recovering(
        self, paper: Paper, void_from: int | None = None, show: Callable[[Paper], None] = lambda shown: None
    ) -> Recovered:
        """As `recovered`; what came of it."""
        return recovery.recover(
            self.folder, self.profile, self.lock, lambda: paper, self.name, void_from=void_from, show=show, clock=now_ms
        )


def upload(device: Account, step: int = 0, count: int = 10) -> Accepted:
    """Upload rows of a stretch of time of their own."""
    device.queue({"location": points(SOME_DAY_MS + step * 86_400_000, count)}, "imported")
    done = device.upload()
    assert set(done.outcome.values()) == {"accepted"}, done.detail
    return done


def choose(device: Account, witness: Witness) -> None:
    """Choose a witness for a device's owner."""
    witnesses.use(device, witness.url, witnesses.key_of(witness.url, witness.key), witness.tokens.pop())
