"""Holders: somebody to whom an owner on a stage granted runs."""

from __future__ import annotations

from pathlib import Path

from tests.support import algorithms
from tests.support.people import DAY_MS, SOME_DAY_MS, Person, points
from tests.support.witness import Witness
from tests.unit.builders import scoped
from waykeep.authority.asking import Ask
from waykeep.authority.permissions import Granted
from waykeep.authority.scopes import Scope
from waykeep.device import granting, holder, tickets, witnesses
from waykeep.device.account import Account, now_ms
from waykeep.device.holder import Got
from waykeep.device.tickets import Opened

ROWS = 50
HOUR_MS = 3_600_000
DEADLINE_MS = 1500
"""Long enough for a run on a busy machine."""
WINDOW = (SOME_DAY_MS, SOME_DAY_MS + DAY_MS)


class Holder:
    """A researcher with a key file, who counts an owner's rows.

    Args:
        name: Of the key file; unique on the stage.
    """

    def __init__(self, person: Person, name: str = "study") -> None:
        self.person = person
        self.file = Path(person.stage.devices / f"{person.folder.path.name}-{name}.holder")
        self.key = holder.make(self.file)
        self.bundle, self._archive = algorithms.slow()
        self.tickets: dict[int, Opened] = {}

    def granted(self, device: Account, runs: int = 2, **changes: object) -> int:
        """Have the owner grant some runs; the entry's number."""
        device.host.put_bundle(self.bundle.digest, self._archive)
        scope = Scope(
            streams={"location": ("ts_ms",)},
            parameters={"rounds": (0,)},
            from_ms=WINDOW[0],
            to_ms=WINDOW[1],
            not_before_ms=now_ms() - HOUR_MS,
            until_ms=now_ms() + HOUR_MS,
        )
        grant = Granted(
            holder=self.key.signer.public,
            recipient=self.key.recipient,
            algorithm=self.bundle.digest,
            name="slow 1.0.0",
            purpose="to count",
            scope=scope,
            runs=runs,
            bits=10**6,
            deadline_ms=DEADLINE_MS,
        )
        number = granting.give(device, scoped(grant, changes), again=True)
        self.take(device, number)
        return number

    def take(self, device: Account, number: int) -> None:
        """Take a grant's ticket from its owner."""
        self.tickets[number] = tickets.open_(granting.ticket(device, number))

    def use(self, grant: int, host: str = "", rounds: int = 0, ask: Ask = Ask()) -> Got:  # noqa: B008 - it is frozen
        """One run; what was asked without an answer before is asked again."""
        return holder.use(
            self.file,
            self.tickets[grant],
            self.person.trust,
            now_ms,
            ask=ask,
            parameters={"rounds": rounds},
            host_url=host or self.person.stage.host_url,
        )

    def forget_request(self) -> None:
        """The next one is another request."""
        for path in self.file.parent.glob(f"{self.file.name}.*.asked"):
            path.unlink()


def with_rows(person: Person, device: Account) -> None:
    """Upload `ROWS` rows within `WINDOW`."""
    device.queue({"location": points(SOME_DAY_MS, ROWS)}, "imported")
    assert set(device.upload().outcome.values()) == {"accepted"}


def choose(device: Account, witness: Witness) -> None:
    """The owner chooses this witness."""
    witnesses.use(device, witness.url, witness.key, witness.tokens.pop())
