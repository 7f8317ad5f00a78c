"""A thief who has one of the owner's devices, and the host's help."""

from __future__ import annotations

from typing import ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.model.machine import RECENT, REFUSED, Protocol, head_of, recent
from tests.model.owners import HOUR_MS, STRANGER, a_grant
from tests.model.world import SALT, START_MS, authority, control, digest, key
from waykeep.authority.permissions import Withdrawn
from waykeep.authority.statements import Body, NodeApproved, Resumed, StateKeyNamed, WitnessNamed
from waykeep.authority.witnessing import Action, AdvanceOwner, Close, Resume, RetireStateKeys
from waykeep.formats.ids import b64
from waykeep.formats.messages import Head


class WithThief(Protocol):
    """As before, and a thief has the phone's key. ``CONTROL``: and the control key and the authority.

    With the control key a thief does not name state keys of its own here: ``test_counterexample_control_key_…`` does.
    """

    CONTROL: ClassVar[bool] = False

    def begin(self) -> None:
        super().begin()
        self.stolen = self.laptop.log.head.number
        self.world.exempt = self.CONTROL

    @rule(branch=RECENT, kind=st.integers(0, 5), runs=st.integers(1, 2), all_keys=st.booleans())
    def thief_signs(self, branch: int, kind: int, runs: int, all_keys: bool) -> None:
        shown = recent(self.world.branches, branch)
        log = self.world.log(shown)
        bodies: tuple[Body, ...] = (
            a_grant(runs, holder=STRANGER, until_ms=self.world.time_ms - START_MS + HOUR_MS),
            Resumed(None, None),
            StateKeyNamed(key(f"thief-{self.world.unique()}").public),
            NodeApproved("age1thief", "thief"),
            Withdrawn(max(log.grants, default=1)),
            WitnessNamed(key("witness-c").public, "https://c", control(0).public, b64(SALT)),
        )
        with REFUSED:
            self.world.put(shown, bodies[kind], authority(0) if all_keys and self.CONTROL else key("phone"))

    @precondition(lambda self: self.CONTROL)
    @rule(kind=st.integers(0, 4), branch=RECENT, records=RECENT, successor=st.integers(1, 2))
    def thief_asks_the_witness(self, kind: int, branch: int, records: int, successor: int) -> None:
        world, witness = self.world, self.laptop.witness
        held = world.held(witness, self.laptop.log.pseudonym())
        if held is None:
            return
        head = world.log(recent(world.branches, branch)).head
        back = head_of(world, records)
        actions: tuple[Action, ...] = (
            AdvanceOwner(held.owner, head),
            AdvanceOwner(held.owner, Head(held.owner.number + 1, digest("made up"))),
            Resume(held.journal, back, held.owner, head, held.resumes + 1),
            Close(list(world.witnesses)[successor]),
            RetireStateKeys(held.state_keys[:1]),
        )
        with REFUSED:
            world.ask(witness, actions[kind], control(0), self.laptop.log.pseudonym())
