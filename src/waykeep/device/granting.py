"""Grants to others: from what a person types to an entry, and taking one back, whatever the host does."""

from __future__ import annotations

import msgspec

from waykeep.authority.statements import Granted, Withdrawn
from waykeep.device.account import Account
from waykeep.device.approvals import day_ms, propose
from waykeep.errors import DeviceError, WaykeepError
from waykeep.formats import agefile
from waykeep.formats.bundle import Bundle
from waykeep.formats.ids import Digest, PublicKey
from waykeep.formats.wire import encode_json

MAX_RUNS = 100_000


class Grant(msgspec.Struct, frozen=True):
    """A grant as a person sees it. ``ended`` is the rule by which it is in force no longer, or empty."""

    number: int
    grant: Granted
    ended: str
    used: int | None


class Revoked(msgspec.Struct, frozen=True):
    """What came of taking a grant back.

    Attributes:
        number: Of the entry, None where the host did not take it.
        refusal: Why not, or why the witness was not told.
        retired: How many state keys were retired at the witness instead, so that nothing is spent any more.
    """

    number: int | None
    refusal: str
    retired: int


def propose_grant(
    found: Bundle,
    digest: Digest,
    *,
    holder: PublicKey,
    recipient: str,
    runs: int,
    until: str,
    first: str,
    after: str,
    settings: list[str],
) -> Granted:
    """The grant of a bundle as it asks. Raises as `propose`; DeviceError: ``runs-malformed``; FormatError."""
    agefile.parse_recipient(recipient)
    if not 1 <= runs <= MAX_RUNS:
        raise DeviceError("runs-malformed", f"found a number of runs that is not from 1 to {MAX_RUNS}")
    approval = propose(found, digest, first, after, "", settings)
    return Granted(
        holder=holder,
        recipient=recipient,
        algorithm=digest,
        name=approval.name,
        parameters=approval.parameters,
        inputs=approval.inputs,
        from_ms=approval.from_ms,
        to_ms=approval.to_ms,
        runs=runs,
        not_before_ms=0,
        until_ms=day_ms(until),
    )


def give(account: Account, grant: Granted, *, again: bool = False) -> int:
    """Append a grant; its number. One that says the same and is in force stands, unless ``again``."""
    log = account.log()
    same = [number for number, other in log.grants.items() if encode_json(other) == encode_json(grant)]
    with account.unfinished():
        number = same[-1] if same and not again else account.owner_log.append(grant)
        account.upkeep.mend()
    return number


def listed(account: Account) -> list[Grant]:
    """All grants that were ever given. Runs that were used are known where the user cloud can be asked."""
    log = account.log()
    try:
        spent: dict[str, int] | None = account.status().spent
    except WaykeepError as error:
        if error.rule in ("journal-rewound", "owner-log-rewound"):
            raise
        spent = None
    found = []
    for _, entry, _ in log.entries:
        if isinstance(entry.body, Granted):
            ended = log.ended.get(entry.number)
            used = None if spent is None else spent.get(str(entry.number), 0)
            found.append(Grant(entry.number, entry.body, "" if ended is None else ended.rule, used))
    return found


def revoke(account: Account, number: int, *, at_witness: bool = False) -> Revoked:
    """Take a grant or an approval back.

    Where the host does not take the entry, all state keys are retired at the witness: nothing is spent any more.

    Args:
        at_witness: Retire them in any case, also while the host cannot be reached.

    Raises:
        AuthorityError: ``log-unknown`` when none of this number is in force. DeviceError: ``entry-pending``.
    """
    try:
        done = account.owner_log.append(Withdrawn(number))
    except DeviceError as error:
        if error.rule not in WITHHELD and not (at_witness and error.rule == "entry-pending"):
            raise
        return Revoked(None, error.rule, stop(account))
    with account.unfinished():
        account.upkeep.mend()
    untold = account.witness.untold
    return Revoked(done, "" if untold is None else untold.rule, stop(account) if at_witness else 0)


WITHHELD = ("entry-withheld", "owner-log-rewound", "owner-log-contended")
"""Refusals after which a revocation goes to the witness alone."""


_KNOWN_TOO_LITTLE = ("owner-log-unread", "witness-missing", "witness-closed")


def stop(account: Account) -> int:
    """Retire all state keys at the witness; how many. The host is asked only where no copy here names that witness.

    Raises: AuthorityError: ``witness-missing``; ChannelError, WitnessError, DeviceError.
    """
    try:
        return account.witness.retire(account.owner_log.chain.known())
    except WaykeepError as error:
        if error.rule not in _KNOWN_TOO_LITTLE:
            raise
    return account.witness.retire(account.log())
