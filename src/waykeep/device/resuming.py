"""Going on where records of the journal are lost: what is left, what is missing, and the owner's word for it.

The entry comes first, then the witness: a command that was cut off in between is made up for by the next one, since
`OwnerWitness.follow` tells the witness of each resume in the log that it does not hold.
"""

from __future__ import annotations

import msgspec

from waykeep.authority import journal, journalstate
from waykeep.authority.journalstate import JournalState
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.statements import Resumed
from waykeep.device import journals
from waykeep.device.account import Account
from waykeep.errors import AuthorityError, DeviceError, FormatError
from waykeep.formats.ids import Digest, numbered, sha256
from waykeep.formats.messages import Head


class Gap(msgspec.Struct, frozen=True):
    """What the host shows of the journal, beside what was seen.

    Attributes:
        left: The newest record that the host shows, whose chain is good from the first record on.
        seen: The newest record that witness or this device know.
        forked: Whether the host shows another record of that number.
        grants: Grants in force, which all count as used up after a resume.
        half_done: A resume lies in the owner log, and the witness was not told yet.
        foreign: Resumes that the witness was told of, and the log does not hold: by whoever has the control key.
    """

    left: Head | None
    seen: Head | None
    forked: bool
    grants: tuple[int, ...]
    half_done: bool
    foreign: int = 0

    @property
    def missing(self) -> tuple[int, int] | None:
        """Numbers of the first and last record that are missing for certain."""
        first = 0 if self.left is None else self.left.number + 1
        return None if self.seen is None or self.seen.number < first else (first, self.seen.number)


def look(account: Account) -> Gap:
    """Compare the host's journal, the head that this device remembers, and the one that the witness holds."""
    log = account.log()
    state, digests = _read(account, log)
    seen, half_done, foreign = account.folder.heads().journal, False, 0
    if log.witness is not None:
        held = account.witness.connected(log).read().held
        half_done, foreign = held.resumes < len(log.resumed), max(0, held.resumes - len(log.resumed))
        if held.journal is not None and (seen is None or seen.number <= held.journal.number or half_done):
            seen = held.journal
    forked = seen is not None and seen.number < len(digests) and digests[seen.number] != seen.digest
    return Gap(state.head, seen, forked, tuple(log.grants), half_done, foreign)


def resume(account: Account, gap: Gap) -> int:
    """Sign a resume of a gap and tell the witness; the entry's number.

    Raises:
        DeviceError: ``resume-not-needed`` when nothing is missing.
    """
    log = account.log()
    if gap.half_done:
        account.witness.follow(log)
        return log.resumed[-1]
    for _ in range(gap.foreign):
        account.owner_log.append(Resumed(gap.seen, gap.left))
    if gap.foreign:
        log = account.log()
        account.witness.follow(log)
        again = look(account)
        return log.resumed[-1] if again.missing is None and not again.forked else resume(account, again)
    if gap.missing is None and not gap.forked:
        raise DeviceError("resume-not-needed", "found every record that was seen at the host", status=409)
    number = account.owner_log.append(Resumed(gap.seen, gap.left))
    log = account.log()
    if log.witness is not None:
        account.witness.follow(log)
    return number


def _read(account: Account, log: OwnerState) -> tuple[JournalState, list[Digest]]:
    """The journal that the host shows, up to the first record that is missing or not good."""
    state, digests = journalstate.EMPTY, list[Digest]()
    while (data := account.host.get("journal", numbered(len(digests)) + ".age")) is not None:
        try:
            item = journals.open_(data, account.keys.secrets)
            state = journal.fold(state, log, [item])
        except (AuthorityError, FormatError):
            break
        digests.append(sha256(item.envelope.encode()))
    return state, digests
