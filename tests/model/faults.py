"""Planted bugs: each changes one step of witness or user cloud."""

from __future__ import annotations

import msgspec

from tests.model.clouds import Cloud, Pending
from tests.model.world import Witness
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.permissions import Granted
from waykeep.authority.records import Debited
from waykeep.authority.statements import Resumed
from waykeep.authority.witnessing import AdvanceJournal, AdvanceOwner, Close, Held, Request, Rotate
from waykeep.formats.ids import PublicKey
from waykeep.formats.messages import Head
from waykeep.witness.row import Row


class OnlyForward(Witness):
    """Takes any greater number instead of comparing and swapping."""

    def decide(self, row: Row | None, asked: Request, signer: PublicKey) -> Row:
        action = asked.action
        if row is not None and isinstance(action, AdvanceJournal):
            asked = msgspec.structs.replace(asked, action=msgspec.structs.replace(action, extends=row.held.journal))
        return super().decide(row, asked, signer)


class OwnerHeadByStateKey(Witness):
    """Lets a state key advance the owner head."""

    def decide(self, row: Row | None, asked: Request, signer: PublicKey) -> Row:
        if row is not None and isinstance(asked.action, AdvanceOwner) and signer in row.held.state_keys:
            signer = row.control
        return super().decide(row, asked, signer)


class NeverClosed(Witness):
    """Signs a close, and goes on signing."""

    def keep(self, asked: Request, row: Row) -> None:
        if not isinstance(asked.action, Close):
            super().keep(asked, row)


class KeepsStateKeys(Witness):
    """A rotation leaves the state keys that were named."""

    def keep(self, asked: Request, row: Row) -> None:
        before = self.rows.get(asked.pseudonym)
        if before is not None and isinstance(asked.action, Rotate):
            held = msgspec.structs.replace(row.held, state_keys=before.held.state_keys)
            row = msgspec.structs.replace(row, held=held, retired=before.retired)
        super().keep(asked, row)


class Forgetful(Witness):
    """Answers before it is durable: a restart forgets the newest change."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.durable = dict(self.rows)

    def keep(self, asked: Request, row: Row) -> None:
        self.durable = dict(self.rows)
        super().keep(asked, row)

    def restart(self) -> None:
        self.rows = dict(self.durable) or self.rows


class Forgiving(Cloud):
    """A resume leaves in force what was."""

    def believed(self, log: OwnerState) -> OwnerState:
        entries = {entry.number: entry.body for _, entry, _ in log.entries}
        revived = {
            number: entries[number]
            for number, ended in log.ended.items()
            if isinstance(entries[ended.since], Resumed) and isinstance(entries[number], Granted)
        }
        ended = {number: e for number, e in log.ended.items() if number not in revived}
        return msgspec.structs.replace(log, grants=log.grants | revived, ended=ended)


class Eager(Cloud):
    """Sends the result as soon as the record is durable."""

    def recorded(self, spend: Pending) -> None:
        spend.answer = None
        self.allowed(spend)


class Careless(Cloud):
    """Does not compare owner heads: takes the witness's for its own."""

    def standing(self, log: OwnerState, held: Held) -> None:
        super().standing(log, msgspec.structs.replace(held, owner=log.head, resumes=len(log.resumed)))

    def quoted(self, spend: Pending) -> Head:
        if spend.held is None:
            raise AssertionError("the witness was read")
        return spend.held.owner


class Timeless(Cloud):
    """Judges the window by the time at which it was asked, not by that of the witness's answer."""

    def judge(self, log: OwnerState, made: Debited, time_ms: int) -> None:
        pass
