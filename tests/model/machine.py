"""The protocol as a state machine: rules are what host, owner and thief can do, and promises are kept or `Broken`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from typing import ClassVar, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RULE_MARKER, RuleBasedStateMachine, precondition, rule

from tests.model import owners
from tests.model.clouds import Cloud
from tests.model.owners import HOUR_MS, WINDOW_MS, a_grant, a_request, born, recover, retire_unknown, rotate
from tests.model.world import START_MS, Branch, Broken, Witness, World, authority, digest, fold_journal, key
from waykeep.authority.keys import SigningKey
from waykeep.authority.permissions import Withdrawn
from waykeep.authority.statements import KeyRevoked, StateKeyRetired
from waykeep.authority.witnessing import (
    Action,
    AdvanceJournal,
    AdvanceOwner,
    NameStateKey,
    Resume,
    RetireStateKeys,
)
from waykeep.errors import WaykeepError
from waykeep.formats.ids import sha256
from waykeep.formats.messages import Head

T = TypeVar("T")
SLOT = st.integers(0, 1)
RECENT = st.sampled_from((0, 0, 0, 1, 1, 2, 3, 4, 6))
"""How far back from the newest."""
REFUSED = suppress(WaykeepError)

STEPS = st.sampled_from((5, 5, 1, 2, 3, 4))
"""How many of the five steps of a spend the host lets happen."""


def recent(things: Sequence[T], back: int) -> T:
    return things[-1 - back % len(things)]


class Protocol(RuleBasedStateMachine):
    """A host that does what it likes, an honest owner with two devices, two copies of the user cloud, three witnesses.

    Attributes:
        WITNESS, CLOUD: What runs; a planted bug is a subclass of one of them.
        RECOVERS: Whether each example ends with a recovery, which must succeed.
    """

    WITNESS: ClassVar[type[Witness]] = Witness
    CLOUD: ClassVar[type[Cloud]] = Cloud
    RECOVERS: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        self.world = World(self.WITNESS)
        self.laptop, self.phone = born(self.world)
        self.clouds: list[Cloud | None] = [None, None]
        self.state_keys = [key("state-0")]
        self.stolen: int | None = None
        """Number of the phone's last honest entry, once a thief has it."""
        self.rotated = False
        self.leaked: list[SigningKey] = []
        """State keys that the owner retired at log and witness: for instance as their node was withdrawn."""
        self.begin()

    def begin(self) -> None:
        """Where a machine starts: with a grant in force."""
        self.laptop.append(a_grant())
        self.laptop.advance()
        self.phone.branch = self.laptop.branch
        self.clouds = [self.awake(self.laptop.branch, 0, 0), None]

    def awake(self, branch: Branch, back: int, key_back: int) -> Cloud:
        records = recent(self.world.journals, back)
        return self.CLOUD(self.world, self.world.log(branch), records, recent(self.state_keys, key_back))

    def request(self, slot: int, grant: int, request: int, size: int, steps: int) -> None:
        """A request to a copy, which the host wakes with what is newest where it does not run."""
        if self.clouds[slot] is None:
            with REFUSED:
                self.clouds[slot] = self.awake(self.laptop.branch, 0, 0)
        cloud = self.clouds[slot]
        if cloud is None or not cloud.log.grants:
            return
        number = recent(sorted(cloud.log.grants), grant)
        with REFUSED:
            cloud.ask(a_request(number, request, size), cloud.log.grants[number].holder)
        for _ in range(steps):
            cloud.step()

    # -- the host ------------------------------------------------------------------------------------------------------

    @rule(slot=SLOT, branch=RECENT, records=RECENT, state_key=st.integers(0, 2))
    def wakes_a_copy(self, slot: int, branch: int, records: int, state_key: int) -> None:
        self.clouds[slot] = None
        with REFUSED:
            self.clouds[slot] = self.awake(recent(self.world.branches, branch), records, state_key)

    @rule(slot=SLOT, branch=RECENT)
    def shows_a_log(self, slot: int, branch: int) -> None:
        cloud = self.clouds[slot]
        if cloud is not None:
            with REFUSED:
                cloud.refresh(self.world.log(recent(self.world.branches, branch)))

    @rule(slot=SLOT, grant=st.integers(0, 2), request=SLOT, size=st.sampled_from((0, 0, 1)), steps=STEPS)
    def passes_a_request_on(self, slot: int, grant: int, request: int, size: int, steps: int) -> None:
        self.request(slot, grant, request, size, steps)

    @rule(slot=SLOT)
    def spends(self, slot: int) -> None:
        self.request(slot, 0, self.world.unique() + 100, 0, 5)

    @rule(slot=SLOT, steps=STEPS)
    def goes_on(self, slot: int, steps: int) -> None:
        for _ in range(steps):
            cloud = self.clouds[slot]
            if cloud is not None:
                cloud.step()

    @rule(slot=SLOT, back=RECENT)
    def tells_an_old_answer(self, slot: int, back: int) -> None:
        cloud = self.clouds[slot]
        if cloud is not None:
            with REFUSED:
                cloud.told(recent(list(self.world.answers), back))

    @rule(slot=SLOT, name=st.integers(0, 5), told=st.booleans())
    def lets_a_segment_in(self, slot: int, name: int, told: bool) -> None:
        cloud = self.clouds[slot]
        if cloud is not None:
            with REFUSED:
                head = cloud.upload(f"{name}.age")
                # A device believes a head that was made under the log it knows.
                if told and head is not None and self.laptop.log.holds(cloud.log.head):
                    self.world.acknowledged[f"{name}.age"] = (head, cloud.key.public)

    @rule(slot=SLOT)
    def kills(self, slot: int) -> None:
        self.clouds[slot] = None

    @rule(back=RECENT)
    def delivers_again(self, back: int) -> None:
        with REFUSED:
            self.world.deliver(*recent(self.world.wire, back))

    @rule(which=st.integers(0, 2))
    def restarts_a_witness(self, which: int) -> None:
        list(self.world.witnesses.values())[which].restart()

    @rule(ms=st.sampled_from((1, 1, WINDOW_MS, WINDOW_MS, HOUR_MS)))
    def time_passes(self, ms: int) -> None:
        self.world.time_ms += ms

    # -- the owner -----------------------------------------------------------------------------------------------------

    def device(self, which: int) -> owners.Device:
        return self.laptop if which or self.stolen is not None or self.rotated else self.phone

    @rule(
        which=SLOT,
        runs=st.integers(1, 2),
        starts=st.sampled_from((0, 0, WINDOW_MS)),
        lasts=st.sampled_from((1, HOUR_MS, HOUR_MS)),
    )
    def grants(self, which: int, runs: int, starts: int, lasts: int) -> None:
        begins = self.world.time_ms - START_MS + starts
        with REFUSED:
            device = self.device(which)
            device.append(a_grant(runs, from_ms=begins, until_ms=begins + lasts))
            device.advance()

    @rule(which=SLOT)
    def withdraws(self, which: int) -> None:
        device = self.device(which)
        with REFUSED:
            if device.log.grants:
                device.append(Withdrawn(max(device.log.grants)))

    @rule(which=SLOT, deliver=st.booleans())
    def advances_the_owner_head(self, which: int, deliver: bool) -> None:
        with REFUSED:
            self.device(which).advance(deliver=deliver)

    @rule(which=SLOT, branch=RECENT)
    def a_device_looks(self, which: int, branch: int) -> None:
        device, shown = self.device(which), recent(self.world.branches, branch)
        if not device.look(shown):
            device.catch_up(shown)

    @rule(which=SLOT)
    def names_a_state_key(self, which: int) -> None:
        made = key(f"state-{self.world.unique()}")
        with REFUSED:
            self.device(which).name_state_key(made)
            self.state_keys.append(made)

    @rule(which=RECENT)
    def retires_a_state_key(self, which: int) -> None:
        gone = recent(self.state_keys, which)
        with REFUSED:
            if self.laptop.log.signs_now(gone.public):
                self.laptop.append(StateKeyRetired(gone.public))
            self.laptop.ask(RetireStateKeys((gone.public,)))
            self.leaked.append(gone)

    @rule(which=RECENT, branch=RECENT, records=RECENT, kind=st.integers(0, 3))
    def a_leaked_state_key_asks(self, which: int, branch: int, records: int, kind: int) -> None:
        held = self.laptop.held()
        if held is None or not self.leaked:
            return
        leaked, head = recent(self.leaked, which), head_of(self.world, records)
        actions: tuple[Action, ...] = (
            AdvanceJournal(held.journal, head or Head(0, digest("made up")), held.owner),
            AdvanceOwner(held.owner, self.world.log(recent(self.world.branches, branch)).head),
            NameStateKey(leaked.public),
            Resume(held.journal, head, held.owner, Head(held.owner.number + 1, held.owner.digest), held.resumes + 1),
        )
        with REFUSED:
            self.world.ask(self.laptop.witness, actions[kind], leaked, self.laptop.log.pseudonym())

    @rule(which=SLOT, records=RECENT, deliver=st.booleans())
    def resumes(self, which: int, records: int, deliver: bool) -> None:
        with REFUSED:
            self.device(which).resume(recent(self.world.journals, records), deliver=deliver)

    @rule(which=st.integers(1, 2))
    def closes_its_witness(self, which: int) -> None:
        with REFUSED:
            self.laptop.close(list(self.world.witnesses)[which])

    @rule()
    def names_the_next_witness(self) -> None:
        with REFUSED:
            self.laptop.name_witness(authority(len(self.laptop.log.rotations)))

    @precondition(lambda self: not self.rotated)
    @rule(steps=st.sampled_from((5, 5, 1, 2, 3, 4)))
    def revokes_the_phone(self, steps: int) -> None:
        """As a device does it, up to where it is cut off; what is missing is done by the next time."""
        laptop, revoked = self.laptop, key("phone").public
        whole: list[Callable[[], None]] = [
            lambda: laptop.append(KeyRevoked(revoked), authority(0)) if revoked in laptop.log.devices else None,
            laptop.advance,
            lambda: retire_unknown(laptop),
            lambda: laptop.replace_control(key("control-new")),
            lambda: retire_unknown(laptop),
        ]
        with REFUSED:
            for step in whole[:steps]:
                step()
            held = laptop.held()
            # A witness that holds another log is an alarm, and only the paper helps.
            if steps == len(whole) and held is not None and held.owner == laptop.log.head:
                self.world.exempt = False

    @rule(told=st.sampled_from((True, True, False)))
    def rotates(self, told: bool = True) -> None:
        if len(self.laptop.log.rotations) < 3:
            self.laptop = rotate(self.world, *self.recovered(), f"device-{self.world.unique()}", told=told)
            self.rotated = True
            self.leaked += self.state_keys

    def recovered(self) -> tuple[Branch, int | None]:
        """The longest log that continues what the laptop knows, and its first entry that a thief may have made."""
        known = [b for b in self.world.branches if self.world.log(b).holds(self.laptop.log.head)]
        branch = max(known, key=len)
        log = self.world.log(branch)
        suspect = () if self.stolen is None or self.rotated else (key("phone").public, authority(0).public)
        foreign = [
            e.number for s, e, _ in log.entries if s in suspect and e.number > max(self.stolen or 0, log.rotated)
        ]
        return branch, min(foreign, default=None)

    def teardown(self) -> None:
        """The owner is never stuck, whatever happened, once the host shows what it has."""
        if self.RECOVERS:
            for cloud in self.clouds:
                if cloud is not None and fold_journal(cloud.log, cloud.records) != cloud.journal:
                    raise Broken("fold-in-steps", "a journal folded record by record is another than folded at once")
            recover(self.world, *self.recovered()[:1], self.world.journals, self.recovered()[1])


def head_of(world: World, back: int) -> Head | None:
    records = recent(world.journals, back)
    return None if not records else Head(len(records) - 1, sha256(records[-1].envelope.encode()))


def focused(machine: type[Protocol], rules: Collection[str], **attributes: object) -> type[Protocol]:
    """The machine with some of its rules only, so that a search of the same length goes deeper."""
    others = {n for n, v in inspect.getmembers(machine) if hasattr(v, RULE_MARKER)} - set(rules)
    return type("Focused", (machine,), {**dict.fromkeys(others), **attributes})
