"""Taking back and withholding, whatever the host does."""

from __future__ import annotations

import msgspec

from waykeep.authority.areas import Area
from waykeep.authority.permissions import Taking, Withheld
from waykeep.device.account import Account
from waykeep.errors import DeviceError, WaykeepError
from waykeep.formats import streams

TRIPS = "derived/trips"


class Revoked(msgspec.Struct, frozen=True):
    """What came of taking something back, or withholding it.

    Attributes:
        number: Of the entry, None where the host did not take it.
        refusal: Why not, or why the witness was not told.
        retired: How many state keys were retired at the witness instead, so that nothing is spent any more.
    """

    number: int | None
    refusal: str
    retired: int


def revoke(account: Account, what: Taking, *, at_witness: bool = False) -> Revoked:
    """Append an entry that takes back or withholds.

    Where the host does not take the entry, all state keys are retired at the witness: nothing is spent any more.

    Args:
        at_witness: Retire them in any case, also while the host cannot be reached.

    Raises:
        AuthorityError: ``log-unknown`` when there is no such thing in force. DeviceError: ``entry-pending``.
    """
    try:
        done = account.owner_log.append(what)
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


def withholding(from_ms: int | None, to_ms: int | None, area: Area | None, words: str) -> Withheld:
    """Raises: DeviceError: ``withholding-empty`` where it would be everything."""
    if from_ms is None and to_ms is None and area is None:
        raise DeviceError(
            "withholding-empty",
            "found neither a time nor an area to withhold",
            hint="'waykeep grant revoke --all' takes everything back",
        )
    return Withheld(from_ms, to_ms, area, words)


def trip_at(account: Account, at_ms: int) -> tuple[int, int]:
    """Begin and end of the trip that was under way, in ms, from the trips that the owner had kept.

    Raises: DeviceError: ``trip-unknown``.
    """
    hint = "approve the algorithm trips with '--store trips' and run it, or give --from and --to"
    try:
        trips, _ = account.read(TRIPS, streams.MIN_TS_MS, streams.MAX_TS_MS)
    except WaykeepError as error:
        if error.rule != "stream-empty":
            raise
        raise DeviceError("trip-unknown", "found no trips that were kept", hint=hint) from None
    if not {"start_ms", "end_ms"} <= set(trips.column_names):
        raise DeviceError("trip-unknown", "found trips without beginnings and ends", hint=hint)
    spans = zip(trips.column("start_ms").to_pylist(), trips.column("end_ms").to_pylist(), strict=True)
    found = [(start, end + 1) for start, end in spans if start <= at_ms <= end]
    if not found:
        raise DeviceError("trip-unknown", "found no trip at that time", hint=hint)
    return min(start for start, _ in found), max(end for _, end in found)
