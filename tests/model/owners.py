"""The model's owner: devices that are honest, a thief with one of them, and the paper."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from tests.model.clouds import Cloud
from tests.model.world import (
    OWNER,
    PSEUDONYM,
    SALT,
    START_MS,
    Branch,
    Records,
    World,
    authority,
    control,
    digest,
    fold_journal,
    key,
)
from waykeep.authority import controls, dsse, keys
from waykeep.authority.asking import Spend
from waykeep.authority.keys import SigningKey
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.permissions import Granted
from waykeep.authority.scopes import Scope
from waykeep.authority.statements import (
    ROTATION_TYPE,
    AuthorityRotated,
    Body,
    DeviceAdded,
    NodeApproved,
    RecipientsNamed,
    Resumed,
    Rotation,
    StateKeyNamed,
    WitnessNamed,
)
from waykeep.authority.witnessing import (
    AdvanceOwner,
    Close,
    Held,
    NameStateKey,
    Register,
    ReplaceControl,
    Resume,
    RetireStateKeys,
    Rotate,
)
from waykeep.errors import WaykeepError
from waykeep.formats.ids import PublicKey, b64
from waykeep.formats.messages import Head
from waykeep.formats.wire import encode_json

HOLDER, STRANGER = key("holder"), key("stranger")
ALGORITHM = digest("bundle")
WINDOW_MS = 1000
HOUR_MS = 3_600_000


def a_grant(runs: int = 1, *, holder: SigningKey = HOLDER, from_ms: int = 0, until_ms: int = HOUR_MS) -> Granted:
    """A grant whose window is given from the start of the model's time."""
    scope = Scope(
        streams={"location": ("ts_ms",)},
        parameters={"size": tuple(range(8))},
        from_ms=0,
        to_ms=1000,
        not_before_ms=START_MS + from_ms,
        until_ms=START_MS + until_ms,
    )
    return Granted(holder.public, "age1holder", ALGORITHM, "trips 1.0.0", "", scope, runs, 10**6, 1000)


def a_request(grant: int, request: int, size: int = 0) -> Spend:
    return Spend(f"{request:022d}", grant, ALGORITHM, {"size": size})


@dataclass
class Device:
    """An honest device. ``branch`` is the log as it last saw it, which it never goes behind."""

    world: World
    key: SigningKey
    branch: Branch
    control: SigningKey
    pseudonym: str = PSEUDONYM
    closing: tuple[PublicKey, bytes, Held] | None = None

    @property
    def log(self) -> OwnerState:
        return self.world.log(self.branch)

    @property
    def witness(self) -> PublicKey:
        if self.log.witness is None:
            raise AssertionError("the model's owner always has a witness")
        return self.log.witness.key

    def look(self, branch: Branch) -> bool:
        """Whether the host's log continues what this device has seen. Another one is an alarm."""
        if not self.world.log(branch).holds(self.log.head):
            return False
        self.branch = branch
        return True

    def catch_up(self, branch: Branch) -> bool:
        """Take the log that the witness holds for one's own, and sign what that one does not have again on its head."""
        held, log = self.held(), self.world.log(branch)
        if held is None or not log.holds(held.owner) or log.holds(self.log.head):
            return False
        digests = {digest for _, _, digest in log.entries}
        lost = [e.body for signer, e, digest in self.log.entries if signer == self.key.public and digest not in digests]
        self.branch = branch
        for body in lost:
            with suppress(WaykeepError):  # it is there already, or has nothing to take back
                self.append(body)
        return True

    def append(self, body: Body, signer: SigningKey | None = None) -> None:
        """Raises as the fold does."""
        self.branch = self.world.put(self.branch, body, signer or self.key)

    def ask(self, *actions: object, deliver: bool = True) -> None:
        """Requests by the control key; where the host does not deliver them they can still be delivered later."""
        for action in actions:
            envelope = self.world.sign(self.witness, action, self.control, self.log.pseudonym())
            if deliver:
                self.world.deliver(self.witness, envelope)

    def held(self) -> Held | None:
        return self.world.held(self.witness, self.log.pseudonym())

    def advance(self, *, deliver: bool = True) -> None:
        """Have the witness hold the owner log's head. Raises as the register does."""
        held = self.held()
        if held is not None and held.owner != self.log.head and self.log.holds(held.owner):
            self.ask(AdvanceOwner(held.owner, self.log.head), deliver=deliver)

    def name_state_key(self, state_key: SigningKey, *, deliver: bool = True) -> None:
        if state_key.public not in self.log.known:
            self.append(StateKeyNamed(state_key.public))
        self.ask(NameStateKey(state_key.public), deliver=deliver)
        self.advance(deliver=deliver)

    def resume(self, records: Records, *, deliver: bool = True) -> None:
        """Set the journal back to what the host still has: the entry first, then the witness."""
        held = self.held()
        if held is None or not self.log.holds(held.owner):
            return
        left = fold_journal(self.log, records).head
        self.append(Resumed(held.journal, left))
        self.ask(
            Resume(held.journal, left, held.owner, self.log.head, held.resumes + 1),
            deliver=deliver,
        )

    def replace_control(self, control_key: SigningKey) -> None:
        """Have the witness take requests by another control key. Raises as the register does."""
        if self.control.public != control_key.public:
            self.ask(ReplaceControl(control_key.public))
            self.control = control_key

    # -- a move --------------------------------------------------------------------------------------------------------

    def close(self, successor: PublicKey) -> None:
        """The first half of a move. Raises as the register does."""
        answer = self.world.ask(self.witness, Close(successor), self.control, self.log.pseudonym())
        self.closing = (successor, answer, self.world.answers[answer].held)

    def name_witness(self, signer: SigningKey) -> None:
        """The second half: the entry, and the new witness, which holds what the old one closed with."""
        if self.closing is None:
            return
        successor, answer, held = self.closing
        self.append(WitnessNamed(successor, "https://w", self.control.public, b64(SALT), answer.decode()), signer)
        self.closing = None
        self.register(self.control, held.journal, held.resumes, held.state_keys)

    def register(
        self, control_key: SigningKey, journal: Head | None, resumes: int, state_keys: tuple[PublicKey, ...]
    ) -> None:
        held = Held(self.log.head, journal, None, resumes, state_keys)
        following = keys.commitment(SALT, control(len(self.log.rotations) + 1).public)
        action = Register("token", control_key.public, following, held)
        self.world.ask(self.witness, action, control_key, self.log.pseudonym())


def rotate(world: World, branch: Branch, void_from: int | None, name: str, *, told: bool = True) -> Device:
    """From paper: a new authority, and a device of its own, at the log's witness whatever that holds.

    Args:
        told: Whether the witness is; where it was down the next rotation tells it of both.
    """
    log = world.log(branch)
    number = len(log.rotations) + 1
    public = Rotation(OWNER, number, authority(number).public, keys.key_digest(authority(number + 1).public))
    envelope = dsse.sign(ROTATION_TYPE, encode_json(public), authority(number)).decode()
    following = keys.commitment(SALT, control(number + 1).public)
    body = AuthorityRotated(envelope, controls.rotation(control(number), SALT, following), void_from)
    longer = world.put(branch, body, authority(number))
    device = Device(world, key(name), longer, control(number))
    device.append(DeviceAdded(device.key.public, "new"), authority(number))
    offer_again(world, device.log)
    if told:
        action = Rotate(device.log.controls, device.log.head)
        world.ask(device.witness, action, control(number), device.log.pseudonym())
        for named in (entry.body for _, entry, _ in log.entries[log.rotated :]):
            if isinstance(named, WitnessNamed) and named.key != device.witness:
                with suppress(WaykeepError):  # void now: a user cloud on the log of before still asks it
                    world.ask(named.key, action, control(number), keys.key_digest(named.control))
        world.exempt = False
    return device


def offer_again(world: World, log: OwnerState) -> None:
    """Records by state keys that were made void have no effect, so their segments are not acknowledged any more."""
    for name, (_, signer) in list(world.acknowledged.items()):
        if log.state_keys[signer].void:
            del world.acknowledged[name]


def born(world: World) -> tuple[Device, Device]:
    """An owner with a laptop, a phone, a witness and one state key."""
    laptop = Device(world, key("laptop"), world.branches[0], control(0))
    witness = key("witness-a").public
    for body in (
        RecipientsNamed("age1log", "age1recovery"),
        DeviceAdded(key("laptop").public, "laptop"),
        DeviceAdded(key("phone").public, "phone"),
        WitnessNamed(witness, "https://a", control(0).public, b64(SALT)),
    ):
        laptop.append(body, authority(0))
    laptop.append(StateKeyNamed(key("state-0").public))
    laptop.register(control(0), None, 0, (key("state-0").public,))
    return laptop, Device(world, key("phone"), laptop.branch, control(0))


# -- never stuck -------------------------------------------------------------------------------------------------------


def recover(world: World, branch: Branch, journals: list[Records], void_from: int | None) -> None:
    """What an owner does with paper when nothing else helps; at its end a new grant is spent, or this raises."""
    device = rotate(world, branch, void_from, f"device-{world.unique()}")
    settle(device)
    held = device.held()
    if held is None:
        raise AssertionError("a witness that took a rotation holds the pseudonym")
    state_key = key(f"state-new-{world.unique()}")
    device.name_state_key(state_key)
    best = max((records for records in journals if _folds(device.log, records)), key=len)
    found = fold_journal(device.log, best)
    if (held.journal is not None and (found.head is None or found.head.number < held.journal.number)) or (
        held.journal is not None and found.digest_at(held.journal.number) != held.journal.digest
    ):
        device.resume(best)
    device.append(a_grant(until_ms=world.time_ms - START_MS + HOUR_MS))
    device.advance()
    cloud = Cloud(world, device.log, best, state_key)
    before = len(world.effects)
    cloud.ask(a_request(device.log.head.number, 9_000_000 + world.unique()), HOLDER.public)
    for _ in range(5):
        cloud.step()
    if len(world.effects) != before + 1:
        raise AssertionError("a recovered owner's grant was not spent")
    world.folds(device.branch)


def settle(device: Device) -> None:
    """Bring the counts of resumes in log and witness together, of which a thief may have moved one."""
    held = device.held()
    while held is not None and held.resumes != len(device.log.resumed):
        if held.resumes > len(device.log.resumed):
            device.append(Resumed(held.journal, held.journal))
            device.advance()
        else:
            # Each resume at the witness takes a new entry, which must not be another resume.
            device.append(NodeApproved("age1none", f"settled {device.log.head.number}"))
            device.ask(Resume(held.journal, held.journal, held.owner, device.log.head, held.resumes + 1))
        held = device.held()


def _folds(log: OwnerState, records: Records) -> bool:
    try:
        fold_journal(log, records)
    except WaykeepError:
        return False
    return True


def retire_unknown(device: Device) -> None:
    """Retire at the witness each state key that the log does not name."""
    held = device.held()
    if held is not None:
        unknown = tuple(k for k in held.state_keys if not device.log.signs_now(k))
        if unknown:
            device.ask(RetireStateKeys(unknown))
