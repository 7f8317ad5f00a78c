"""For each planted bug the moves among which it is found, and the promise that it breaks."""

from __future__ import annotations

from dataclasses import dataclass

from tests.model import faults
from tests.model.clouds import Cloud
from tests.model.machine import Protocol
from tests.model.owners import HOUR_MS
from tests.model.search import Move, move
from tests.model.thief import WithThief
from tests.model.world import Witness, key


@dataclass(frozen=True)
class Plant:
    """Attributes: depth: Of the search; the bug is found within it. before: What happened when it begins."""

    fault: type[Witness] | type[Cloud]
    promise: str
    moves: tuple[Move, ...]
    depth: int
    machine: type[Protocol] = Protocol
    before: tuple[Move, ...] = ()

    @property
    def name(self) -> str:
        return self.fault.__name__

    def start(self, *, planted: bool) -> Protocol:
        kind = "CLOUD" if issubclass(self.fault, Cloud) else "WITNESS"
        planting = type("Planting", (self.machine,), {kind: self.fault} if planted else {})
        machine: Protocol = planting()
        for name, arguments in self.before:
            getattr(machine, name)(*arguments)
        return machine


ONE_SPENDS = move("request", 0, 0, 1, 0, 5)
OTHER_SPENDS = move("request", 1, 0, 2, 0, 5)
SPENDS = (ONE_SPENDS, OTHER_SPENDS)
GROWS = (move("lets_a_segment_in", 1, 1, False), move("lets_a_segment_in", 1, 2, False))
PARTS = (
    move("request", 1, 0, 2, 0, 2),
    move("request", 0, 0, 1, 0, 3),
    move("goes_on", 0, 5),
    move("goes_on", 1, 5),
)
EMPTY_COPY = move("wakes_a_copy", 1, 0, -1, 0)
"""The other copy has the newest log, and no journal."""
SHOWS = (move("shows_a_log", 0, 0), move("shows_a_log", 1, 0))
RENEWED = (
    move("rotates"),
    move("names_a_state_key", 1),
    move("grants", 1, 1, 0, HOUR_MS),
    move("wakes_a_copy", 0, 0, -1, 0),
    EMPTY_COPY,
)


class Leaking(WithThief):
    """A state key that is in force is known to the host as well."""

    def begin(self) -> None:
        super().begin()
        self.leaked.append(key("state-0"))


EXCESS, LATE = "spends-beyond-grant", "after-withdrawal"
PLANTS = (
    Plant(faults.OnlyForward, EXCESS, (*SPENDS, *GROWS, *PARTS), 6, before=(EMPTY_COPY,)),
    Plant(faults.Eager, EXCESS, (*SPENDS, *GROWS), 4, before=(EMPTY_COPY,)),
    Plant(faults.Forgetful, EXCESS, (*SPENDS, *GROWS, move("restarts_a_witness", 0)), 5, before=(EMPTY_COPY,)),
    Plant(
        faults.NeverClosed,
        EXCESS,
        (*SPENDS, *SHOWS, EMPTY_COPY, move("closes_its_witness", 1), move("names_the_next_witness")),
        5,
        before=(EMPTY_COPY,),
    ),
    Plant(
        faults.Forgiving,
        EXCESS,
        (*GROWS, OTHER_SPENDS, EMPTY_COPY, move("resumes", 1, -1, True), move("kills", 0)),
        4,
        before=(ONE_SPENDS,),
    ),
    Plant(
        faults.Careless,
        LATE,
        (*SPENDS, *PARTS, *SHOWS, EMPTY_COPY, move("withdraws", 1), move("advances_the_owner_head", 1, True)),
        4,
    ),
    Plant(faults.Timeless, "outside-window", (*SPENDS, *PARTS, move("time_passes", HOUR_MS)), 4),
    Plant(
        faults.OwnerHeadByStateKey,
        "by-revoked-device",
        (
            move("thief_signs", 0, 0, 1, False),
            move("thief_signs", 1, 0, 1, False),
            move("revokes_the_phone", 2),
            move("a_leaked_state_key_asks", 0, 0, 0, 1),
            EMPTY_COPY,
            OTHER_SPENDS,
        ),
        6,
        Leaking,
    ),
    Plant(
        faults.KeepsStateKeys, EXCESS, (*SPENDS, *GROWS, move("a_leaked_state_key_asks", 0, 0, 0, 0)), 5, before=RENEWED
    ),
)
