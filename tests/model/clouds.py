"""The model's user cloud: the order of a spend, cut where a host can cut it. Its decisions are the real ones."""

from __future__ import annotations

from dataclasses import dataclass

from tests.model.world import OWNER, SALT, Records, World, answered, fold_journal
from tests.unit import builders
from waykeep.authority import chains, dsse, journal, spending, witnessing
from waykeep.authority.asking import Spend
from waykeep.authority.keys import SigningKey
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.records import JOURNAL_TYPE, Debited, Detail, JournalObject, JournalRecord, SegmentsAccepted
from waykeep.authority.spending import Wanted
from waykeep.authority.witnessing import AdvanceJournal, Held
from waykeep.errors import WaykeepError
from waykeep.formats.ids import PublicKey, b64
from waykeep.formats.messages import Head
from waykeep.formats.wire import encode_json


@dataclass
class Pending:
    """A spend under way. ``phase``: begun, reading, recorded, asking, allowed."""

    asked: Spend
    holder: PublicKey
    log: OwnerState
    phase: str = "begun"
    nonce: bytes = b""
    envelope: bytes = b""
    answer: bytes | None = None
    held: Held | None = None
    debited: Debited | None = None


class Cloud:
    """One running copy: the log and the journal that the host showed it, and a state key."""

    def __init__(self, world: World, log: OwnerState, records: Records, key: SigningKey) -> None:
        self.world, self.key, self.records = world, key, records
        self.log = self.believed(log)
        self.journal = fold_journal(self.log, records)
        self.pending: Pending | None = None

    def believed(self, log: OwnerState) -> OwnerState:
        """What this code makes of a log."""
        return log

    def refresh(self, log: OwnerState) -> None:
        """Go on to a log that continues what this copy has; another is not read."""
        if log.holds(self.log.head) and log.head.number > self.log.head.number:
            before, self.log = self.log, self.believed(log)
            if before.rotations != log.rotations:
                self.journal = fold_journal(self.log, self.records)

    def append(self, detail: Detail) -> None:
        """A record, durable in this copy's store. Raises as the fold does; nothing is written then."""
        if not self.log.signs_now(self.key.public):
            return
        head = self.journal.head
        record = JournalRecord(
            owner=OWNER,
            number=0 if head is None else head.number + 1,
            previous=None if head is None else head.digest,
            owner_head=self.log.head,
            detail=journal.commit(SALT, detail),
        )
        item = JournalObject(dsse.sign(JOURNAL_TYPE, encode_json(record), self.key).decode(), b64(SALT), detail)
        self.journal = journal.fold(self.journal, self.log, [item])
        self.records = (*self.records, item)
        self.world.quoted[item.envelope] = self.log.head
        if self.records not in self.world.journals:
            self.world.journals.append(self.records)

    def upload(self, name: str) -> Head | None:
        """Accept a segment; the head that includes it, which this copy signs."""
        if not self.log.signs_now(self.key.public):
            return None
        self.append(SegmentsAccepted((builders.a_line(name),)))
        return self.journal.head

    # -- a spend -------------------------------------------------------------------------------------------------------

    def ask(self, asked: Spend, holder: PublicKey) -> None:
        """Begin a spend. Raises as `chains.find` does."""
        self.pending = None
        chains.find(self.log, asked.grant, asked.digest, asked.links, holder)
        self.pending = Pending(asked, holder, self.log)

    def step(self) -> None:
        """The next step of the spend under way; where it is refused, the spend is over."""
        try:
            if self.pending is not None:
                getattr(self, self.pending.phase)(self.pending)
        except WaykeepError:
            self.pending = None

    def begun(self, spend: Pending) -> None:
        spend.nonce, spend.phase = self.world.nonce(), "reading"

    def reading(self, spend: Pending) -> None:
        """The witness was asked what it holds, and the host lets it answer now."""
        self.stand(spend, self.world.read(self._witness(spend), spend.nonce, spend.log.pseudonym()))

    def stand(self, spend: Pending, answer: bytes) -> None:
        found = answered(self.world, spend.log, spend.nonce, None, answer)
        self.standing(spend.log, found.held)
        spend.held, spend.answer = found.held, answer
        wanted = Wanted({"location": ("ts_ms",)}, spend.asked.parameters, 1)
        debit = spending.debit(spend.log, self.journal, spend.asked, spend.holder, wanted, found.time_ms, ())
        if not debit.known:
            self.append(debit.made)
        spend.debited, spend.phase = debit.made, "recorded"

    def standing(self, log: OwnerState, held: Held) -> None:
        spending.standing(log, self.journal, held, self.key.public)

    def recorded(self, spend: Pending) -> None:
        if self.journal.head is None or spend.held is None:
            raise AssertionError("a debit was recorded")
        spend.nonce, spend.phase = self.world.nonce(), "asking"
        action = AdvanceJournal(spend.held.journal, self.journal.head, self.quoted(spend))
        witness = self._witness(spend)
        spend.envelope = witnessing.request(witness, spend.log.pseudonym(), spend.nonce, action, self.key)
        self.world.wire.append((witness, spend.envelope))

    def quoted(self, spend: Pending) -> Head:
        return spend.log.head

    def asking(self, spend: Pending) -> None:
        self.allow(spend, self.world.deliver(self._witness(spend), spend.envelope))

    def allow(self, spend: Pending, answer: bytes) -> None:
        found = answered(self.world, spend.log, spend.nonce, spend.envelope, answer)
        if spend.debited is None:
            raise AssertionError("a debit was recorded")
        self.judge(spend.log, spend.debited, found.time_ms)
        spend.answer, spend.phase = answer, "allowed"

    def judge(self, log: OwnerState, made: Debited, time_ms: int) -> None:
        spending.still(log, made, time_ms)

    def allowed(self, spend: Pending) -> None:
        """The effect."""
        self.pending = None
        if spend.debited is None:
            raise AssertionError("a debit was recorded")
        self.world.sent(spend.log, spend.debited, spend.answer)
        self.world.kept(self.journal)

    def told(self, answer: bytes) -> None:
        """The host hands over some answer, perhaps an old one, to a copy that waits for one. Raises as the checks."""
        spend = self.pending
        if spend is not None and spend.phase == "reading":
            self.stand(spend, answer)
        elif spend is not None and spend.phase == "asking":
            self.allow(spend, answer)

    def _witness(self, spend: Pending) -> PublicKey:
        spend.log.pseudonym()  # refuses where a thief forked the log before its witness was named
        if spend.log.witness is None:
            raise AssertionError("a pseudonym is one at a witness")
        return spend.log.witness.key
