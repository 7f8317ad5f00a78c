"""Holders: somebody to whom an owner on a stage granted runs."""

from __future__ import annotations

from pathlib import Path

from tests.support import algorithms
from tests.support.people import DAY_MS, SOME_DAY_MS, Person, points
from tests.support.witness import Witness
from waykeep.authority.records import Receipt
from waykeep.authority.statements import Granted
from waykeep.device import granting, holder, witnesses
from waykeep.device.account import Account, now_ms
from waykeep.formats.messages import GrantedRows

ROWS = 50
HOUR_MS = 3_600_000
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

    def granted(self, device: Account, runs: int = 2, **changes: object) -> int:
        """Have the owner grant some runs; the entry's number."""
        device.host.put_bundle(self.bundle.digest, self._archive)
        body: dict[str, object] = {
            "holder": self.key.signer.public,
            "recipient": self.key.recipient,
            "algorithm": self.bundle.digest,
            "name": "slow 1.0.0",
            "parameters": {"rounds": (0,)},
            "inputs": {"location": ("ts_ms",)},
            "from_ms": WINDOW[0],
            "to_ms": WINDOW[1],
            "runs": runs,
            "not_before_ms": now_ms() - HOUR_MS,
            "until_ms": now_ms() + HOUR_MS,
        }
        return granting.give(device, Granted(**(body | changes)), again=True)  # type: ignore[arg-type]

    def use(self, grant: int, host: str = "", rounds: int = 0) -> tuple[GrantedRows, Receipt]:
        """One run; what was asked without an answer before is asked again."""
        return holder.use(
            self.file,
            host or self.person.stage.host_url,
            self.person.owner,
            self.person.trust,
            now_ms,
            grant=grant,
            digest=self.bundle.digest,
            parameters={"rounds": rounds},
            window=WINDOW,
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
