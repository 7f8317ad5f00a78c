"""The model's host, witnesses and promises. The folds, the witness's rules and its statements are the real ones.

The host keeps every envelope ever made: branches of the owner log, journals, requests to witnesses and their answers.
It shows whom it likes whichever it likes, as often as it likes.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

import msgspec

from tests.unit import builders
from waykeep.authority import dsse, journal, journalstate, keys, ownerlog, witnessing
from waykeep.authority.journalstate import JournalState
from waykeep.authority.keys import SigningKey
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.permissions import Granted
from waykeep.authority.records import Debited, JournalObject
from waykeep.authority.statements import (
    INCEPTION_TYPE,
    OWNER_ENTRY_TYPE,
    Body,
    Inception,
    OwnerEntry,
)
from waykeep.authority.witnessing import Action, Answer, Held, Read, Request
from waykeep.errors import AuthorityError, WitnessError
from waykeep.formats.ids import Digest, PublicKey, b64, owner_id, sha256
from waykeep.formats.messages import Head
from waykeep.formats.wire import encode_json
from waykeep.witness import rules
from waykeep.witness.form import check_form
from waykeep.witness.row import Row

key = functools.lru_cache(maxsize=None)(builders.key)
START_MS = builders.NOW_MS
SALT = b"s" * 16
Branch = tuple[bytes, ...]
Records = tuple[JournalObject, ...]


class Broken(AssertionError):
    """A promise does not hold. Attributes: promise: Its name."""

    def __init__(self, promise: str, message: str) -> None:
        super().__init__(f"{promise}: {message}")
        self.promise = promise


def control(number: int) -> SigningKey:
    """The control key after ``number`` rotations; from number 1 on its secret is on the owner's paper only."""
    return key(f"control-{number}")


def authority(number: int) -> SigningKey:
    return key(f"authority-{number}")


INCEPTION = Inception(
    version=1,
    authority=authority(0).public,
    next_authority=keys.key_digest(authority(1).public),
    control=keys.commitment(SALT, control(0).public),
    next_control=keys.commitment(SALT, control(1).public),
)
OWNER = owner_id(encode_json(INCEPTION))
PSEUDONYM = keys.key_digest(control(0).public)
FIRST = dsse.sign(INCEPTION_TYPE, encode_json(INCEPTION), authority(0))


class Witness:
    """A witness that is durable before it answers. ``decide`` is the real one."""

    def __init__(self, name: str) -> None:
        self.key = key(f"witness-{name}")
        self.rows: dict[Digest, Row] = {}

    def decide(self, row: Row | None, asked: Request, signer: PublicKey) -> Row:
        return rules.decide(row, asked, signer)

    def keep(self, asked: Request, row: Row) -> None:
        self.rows[asked.pseudonym] = row

    def receive(self, envelope: bytes, time_ms: int) -> tuple[bytes, Held]:
        """The answer to a signed request. Raises as the register does."""
        asked, signer = witnessing.open_request(envelope, self.key.public)
        check_form(asked)
        row = self.decide(self.rows.get(asked.pseudonym), asked, signer)
        self.keep(asked, row)
        return witnessing.answer(asked, envelope, row.held, time_ms, self.key), row.held

    def read(self, asked: Read, time_ms: int) -> tuple[bytes, Held]:
        check_form(asked)
        row = self.rows.get(asked.pseudonym)
        if row is None:
            raise WitnessError("witness-unknown", "found a pseudonym that is not registered here", status=404)
        return witnessing.answer(asked, None, row.held, time_ms, self.key), row.held

    def restart(self) -> None:
        """What was durable is what it has then."""
        self.rows = msgspec.msgpack.decode(msgspec.msgpack.encode(self.rows), type=dict[Digest, Row])


@dataclass(frozen=True)
class Event:
    """What a witness answered, as nobody in the model but the promises know it."""

    index: int
    time_ms: int
    held: Held


@dataclass(frozen=True)
class Effect:
    """A result that was sent: of which grant's entry, what exactly, and the answer of the witness that allowed it."""

    grant: Digest
    runs: int
    content: bytes


@dataclass
class World:
    """Everything that the host stores, and what the promises count.

    Attributes:
        branches: Owner logs, each with all entries from the inception on.
        journals: All records of one journal, as some user cloud had them in its store.
        wire: Every request that was signed for a witness, to be delivered again at will.
        over: By a grant's entry the event from which on it may have no effect.
        barred: Event, keys that were out then, and entries that were in the log: others by these keys have no effect.
        acknowledged: By a segment's name the head that includes it and the state key that signed it.
        quoted: By a record's envelope the owner head that it quotes.
        exempt: Whether the thief's control key may undo withdrawals and revocations: until it is replaced or rotated.
    """

    witness_class: type[Witness] = Witness
    branches: list[Branch] = field(default_factory=list)
    journals: list[Records] = field(default_factory=lambda: [()])
    witnesses: dict[PublicKey, Witness] = field(default_factory=dict)
    wire: list[tuple[PublicKey, bytes]] = field(default_factory=list)
    answers: dict[bytes, Event] = field(default_factory=dict)
    folded: dict[bytes, OwnerState] = field(default_factory=dict)
    effects: list[Effect] = field(default_factory=list)
    over: dict[Digest, int] = field(default_factory=dict)
    barred: list[tuple[int, frozenset[PublicKey], frozenset[Digest]]] = field(default_factory=list)
    acknowledged: dict[str, tuple[Head, PublicKey]] = field(default_factory=dict)
    quoted: dict[str, Head] = field(default_factory=dict)
    exempt: bool = False
    time_ms: int = START_MS
    count: int = 0

    def __post_init__(self) -> None:
        self.folded[FIRST] = ownerlog.begin(OWNER, FIRST)
        self.branches.append((FIRST,))
        for name in ("a", "b", "c"):
            made = self.witness_class(name)
            self.witnesses[made.key.public] = made

    def unique(self) -> int:
        self.count += 1
        return self.count

    # -- logs ----------------------------------------------------------------------------------------------------------

    def log(self, branch: Branch) -> OwnerState:
        return self.folded[branch[-1]]

    def put(self, branch: Branch, body: Body, signer: SigningKey) -> Branch:
        """The branch with one more entry, which the host keeps. Raises as the fold does."""
        before = self.log(branch)
        entry = OwnerEntry(OWNER, before.head.number + 1, before.head.digest, self.time_ms, body)
        envelope = dsse.sign(OWNER_ENTRY_TYPE, encode_json(entry), signer)
        longer = (*branch, envelope)
        self.folded[envelope] = ownerlog.fold(before, [envelope])
        if longer not in self.branches:
            self.branches.append(longer)
        return longer

    def known(self, head: Head) -> OwnerState | None:
        """The log up to a head, None for a head that somebody made up."""
        return next((found for found in self.folded.values() if found.head == head), None)

    # -- witnesses -----------------------------------------------------------------------------------------------------

    def nonce(self) -> bytes:
        return self.unique().to_bytes(32, "big")

    def sign(self, witness: PublicKey, action: Action, signer: SigningKey, pseudonym: Digest = PSEUDONYM) -> bytes:
        """A request, which from now on is the host's to deliver."""
        envelope = witnessing.request(witness, pseudonym, self.nonce(), action, signer)
        self.wire.append((witness, envelope))
        return envelope

    def deliver(self, witness: PublicKey, envelope: bytes) -> bytes:
        answer, held = self.witnesses[witness].receive(envelope, self.time_ms)
        return self._answered(answer, held)

    def ask(self, witness: PublicKey, action: Action, signer: SigningKey, pseudonym: Digest = PSEUDONYM) -> bytes:
        return self.deliver(witness, self.sign(witness, action, signer, pseudonym))

    def read(self, witness: PublicKey, nonce: bytes, pseudonym: Digest = PSEUDONYM) -> bytes:
        answer, held = self.witnesses[witness].read(Read(pseudonym, b64(nonce)), self.time_ms)
        return self._answered(answer, held)

    def held(self, witness: PublicKey, pseudonym: Digest = PSEUDONYM) -> Held | None:
        """What a device is told now; None where the pseudonym is not registered."""
        row = self.witnesses[witness].rows.get(pseudonym)
        return None if row is None else row.held

    def _answered(self, answer: bytes, held: Held) -> bytes:
        event = Event(self.unique(), self.time_ms, held)
        self.answers.setdefault(answer, event)
        state = self.known(held.owner)
        if state is not None:
            for number in state.ended:
                self.over.setdefault(state.digest_at(number), event.index)
            in_force = {state.authority, *state.devices}
            out = (state.known | {INCEPTION.authority}) - in_force
            if out:
                self.barred.append((event.index, out, frozenset(digest for _, _, digest in state.entries)))
        return answer

    # -- promises ------------------------------------------------------------------------------------------------------

    def sent(self, log: OwnerState, debited: Debited, answer: bytes | None) -> None:
        """A result left a user cloud. Raises: Broken."""
        grant, signer = log.digest_at(debited.grant), log.entries[debited.grant - 1][0]
        body = log.entries[debited.grant - 1][1].body
        if not isinstance(body, Granted):
            raise Broken("spends-without-grant", "an effect of an entry that is no grant")
        runs, scope = body.runs, body.scope
        event = Event(self.unique(), self.time_ms, None) if answer is None else self.answers[answer]
        self.effects.append(Effect(grant, runs, encode_json(debited)))
        contents = {effect.content for effect in self.effects if effect.grant == grant}
        if len(contents) > runs:
            raise Broken("spends-beyond-grant", f"{len(contents)} effects of a grant of {runs}")
        if not (scope.not_before_ms or 0) <= event.time_ms < (scope.until_ms or 0):
            raise Broken("outside-window", f"at {event.time_ms - START_MS} ms")
        if self.exempt:
            return
        if self.over.get(grant, event.index) < event.index:
            raise Broken("after-withdrawal", "an effect of a grant whose end was witnessed")
        for index, keys_out, entries in self.barred:
            if index < event.index and signer in keys_out and grant not in entries:
                raise Broken("by-revoked-device", "an effect of what a device signed that was out by then")

    def kept(self, state: JournalState) -> None:
        """A segment whose signed head lies in a journal at hand is in its fold. Raises: Broken."""
        for name, (head, _) in self.acknowledged.items():
            if state.head is None or head.number > state.head.number or state.digest_at(head.number) != head.digest:
                continue  # the device that remembers the head notices
            if state.segment(name) is None:
                raise Broken("acknowledged-lost", "a segment of a signed head is not in the fold")

    def folds(self, branch: Branch) -> None:
        """A fold is the same whenever it is made, and what folded once folds ever after. Raises: Broken."""
        log = self.log(branch)
        if ownerlog.fold(self.log((FIRST,)), branch[1:]) != log:
            raise Broken("fold-in-steps", "a log folded entry by entry is another than folded at once")
        for records in self.journals:
            if records and log.holds(self.quoted[records[-1].envelope]):
                try:
                    fold_journal(log, records)
                except AuthorityError as error:
                    raise Broken("journal-readable", error.rule) from error


def answered(world: World, log: OwnerState, nonce: bytes, envelope: bytes | None, answer: bytes) -> Answer:
    """A user cloud's check of an answer. Raises as `witnessing.open_answer`."""
    if log.witness is None:
        raise AssertionError("the model's owner always has a witness")
    return witnessing.open_answer(answer, [log.witness.key], log.pseudonym(), nonce, envelope)


def fold_journal(log: OwnerState, records: Records) -> JournalState:
    return journal.fold(journalstate.EMPTY, log, records)


def digest(text: str) -> Digest:
    return sha256(text.encode())
