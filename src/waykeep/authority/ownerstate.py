"""What an owner log says up to a head. `waykeep.authority.ownerlog` has the rules."""

from __future__ import annotations

import msgspec

from waykeep.authority import keys
from waykeep.authority.permissions import Approved, BudgetSet, Granted, Withheld
from waykeep.authority.statements import (
    DeviceAdded,
    EpochOpened,
    Inception,
    NodeApproved,
    OwnerEntry,
    RecipientsNamed,
    WitnessNamed,
    WriterAdded,
)
from waykeep.authority.studies import Signed
from waykeep.errors import AuthorityError
from waykeep.formats.ids import Digest, OwnerId, PublicKey
from waykeep.formats.messages import Head

Line = tuple[PublicKey, OwnerEntry, Digest]
"""Signer, entry, and digest of the envelope."""


class Named(msgspec.Struct, frozen=True):
    """A state key's life.

    Records by it quote owner heads of ``since <= number < until``. ``void``: it was named by an entry without effect,
    and so its records have none.
    """

    since: int
    until: int
    void: bool = False


FOREVER = 1 << 60


class Ended(msgspec.Struct, frozen=True):
    """Why an approval or grant is in force no longer (the name of a rule), and from which entry on."""

    rule: str
    since: int


class OwnerState(msgspec.Struct, frozen=True):
    """What the log says up to ``head``.

    Attributes:
        first: Digest of the inception's envelope.
        authority, next_authority, next_control: As the last rotation has them.
        control: Commitment to the control key that is used now.
        rotated: Number of the entry of the last rotation, 0 if there was none; ``rotations`` their envelopes, and
            ``controls`` those of the control keys that go with them.
        devices, writers, nodes, epochs, approvals, grants: What is in force. Epochs stay.
        approvers: By a node's recipient who approved it.
        wrote: Writers, also those that were revoked: what they wrote before stays.
        state_keys: Every state key that was ever named.
        memberships: Studies that the owner takes part in, by number. joined: All that ever were, by number.
        budgets: What all studies may learn, by number; the newest counts.
        ended: Approvals, grants and memberships that are in force no longer, by number.
        barred: Links that were revoked, by grant, issuer and holder; and the number of the entry that did it.
        shunned: By holder the numbers of the entries that took back all they had.
        withheld: What is taken out of every approval and grant, by number.
        last_epoch: The highest epoch ever named, also without effect.
        closed_at: The journal head that the witness before held when it was closed: the journal still has it.
        resumed: Numbers of the entries that set the journal back.
        entries: All, from number 1 on, also those without effect.
        base: What was in force right after the last rotation, None if there was none.
    """

    owner: OwnerId
    inception: Inception
    head: Head
    first: Digest
    authority: PublicKey
    next_authority: Digest
    control: Digest
    next_control: Digest
    rotated: int = 0
    rotations: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    devices: dict[PublicKey, DeviceAdded] = {}
    writers: dict[PublicKey, WriterAdded] = {}
    wrote: dict[PublicKey, WriterAdded] = {}
    known: frozenset[PublicKey] = frozenset()
    nodes: dict[str, NodeApproved] = {}
    approvers: dict[str, PublicKey] = {}
    epochs: dict[int, EpochOpened] = {}
    last_epoch: int = 0
    state_keys: dict[PublicKey, Named] = {}
    approvals: dict[int, Approved] = {}
    grants: dict[int, Granted] = {}
    memberships: dict[int, Signed] = {}
    joined: dict[int, Signed] = {}
    budgets: dict[int, BudgetSet] = {}
    ended: dict[int, Ended] = {}
    barred: dict[tuple[int, PublicKey, PublicKey], int] = {}
    shunned: dict[PublicKey, tuple[int, ...]] = {}
    withheld: dict[int, Withheld] = {}
    witness: WitnessNamed | None = None
    closed_at: Head | None = None
    waived: bool = False
    resumed: tuple[int, ...] = ()
    recipients: tuple[RecipientsNamed, ...] = ()
    entries: tuple[Line, ...] = ()
    base: OwnerState | None = None

    def digest_at(self, number: int) -> Digest:
        """The digest of entry ``number``, which lies between 0 and the head's."""
        return self.entries[number - 1][2] if number else self.first

    def holds(self, head: Head) -> bool:
        """Whether ``head`` is an entry of this log."""
        return head.number <= self.head.number and self.digest_at(head.number) == head.digest

    def granted(self, number: int, quoted: int | None = None) -> Granted | None:
        """The grant of entry ``number`` if it was in force when the head was entry ``quoted``; None is now."""
        quoted = self.head.number if quoted is None else quoted
        if not 1 <= number <= quoted <= self.head.number:
            return None
        body, ended = self.entries[number - 1][1].body, self.ended.get(number)
        in_force = number in self.grants or (ended is not None and quoted < ended.since)
        return body if isinstance(body, Granted) and in_force else None

    def member(self, study: Digest, quoted: int | None = None) -> tuple[int, Signed] | None:
        """Number and study of a membership that was in force when the head was entry ``quoted``; None is now."""
        quoted = self.head.number if quoted is None else quoted
        for number, signed in self.joined.items():
            ended = self.ended.get(number)
            in_force = number in self.memberships or (ended is not None and quoted < ended.since)
            if signed.digest == study and number <= quoted <= self.head.number and in_force:
                return number, signed
        return None

    def budget(self, quoted: int | None = None) -> BudgetSet | None:
        """What counted when the head was entry ``quoted``; None is now."""
        known = [number for number in self.budgets if quoted is None or number <= quoted]
        return self.budgets[max(known)] if known else None

    def bars(self, grant: int, issuer: PublicKey, holder: PublicKey, quoted: int | None = None) -> bool:
        """Whether a link of a grant was revoked when the head was entry ``quoted``; None is now."""
        quoted = self.head.number if quoted is None else quoted
        if self.barred.get((grant, issuer, holder), quoted + 1) <= quoted:
            return True
        return any(grant < number <= quoted for number in self.shunned.get(holder, ()))

    def log_recipients(self) -> tuple[str, str]:
        """Who can open logs and journal. Raises: AuthorityError: ``log-recipients`` before they are named."""
        if not self.recipients:
            raise AuthorityError(
                "log-recipients", "found an owner log that does not name its recipients yet", status=409
            )
        return self.recipients[-1].log, self.recipients[-1].recovery

    def signs_now(self, key: PublicKey) -> bool:
        """Whether records by this state key that quote the head have effect."""
        named = self.state_keys.get(key)
        return named is not None and not named.void and named.since <= self.head.number < named.until

    def pseudonym(self) -> Digest:
        """What the owner is called at the witness. Raises: AuthorityError: ``witness-missing``."""
        if self.witness is None:
            raise AuthorityError(
                "witness-missing",
                "found no witness in the owner log, so nothing may be done for others",
                hint="choose one with 'waykeep witness use', or read there what it means to do without",
                status=409,
            )
        return keys.key_digest(self.witness.control)
