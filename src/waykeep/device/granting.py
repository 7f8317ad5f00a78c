"""Grants to others: from what a person types to an entry, what is left of each, and the holder's first ticket."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from waykeep.authority.permissions import MAX_DEADLINE_MS, MAX_READ_ROWS, MIN_DEADLINE_MS, Granted
from waykeep.device.account import Account
from waykeep.device.approvals import allowed_of, inputs_of, require, store_as
from waykeep.device.scoping import Terms, scope_of
from waykeep.device.tickets import VERSION, Ticket
from waykeep.errors import DeviceError, WaykeepError
from waykeep.formats import agefile, answers, results, streams
from waykeep.formats.bundle import Bundle
from waykeep.formats.ids import Digest, PublicKey
from waykeep.formats.wire import encode_json

MAX_RUNS, MAX_BITS = 100_000, 10**12
READ_DEADLINE_MS = 2_000
START_MS = 5_000
"""What starting and appraising an algorithm's service may take, beside the run itself."""


class Grant(msgspec.Struct, frozen=True):
    """A grant as a person sees it.

    Attributes:
        ended: The rule by which it is in force no longer, or empty.
        used, used_bits: Of its runs and bits; None where the user cloud cannot be asked.
    """

    number: int
    grant: Granted
    ended: str
    used: int | None
    used_bits: int | None


class To(msgspec.Struct, frozen=True):
    """To whom, for what, and how much of it.

    Attributes:
        bits: Of output over all runs; None is as much as the runs can tell.
        deadline_ms: When answers are sent; None is as late as the slowest run.
    """

    holder: PublicKey
    recipient: str
    runs: int
    purpose: str = ""
    bits: int | None = None
    deadline_ms: int | None = None


def propose_grant(found: Bundle, digest: Digest, to: To, terms: Terms, settings: list[str], store: str = "") -> Granted:
    """The grant of a bundle as it asks.

    Raises:
        DeviceError: ``bundle-changed``, ``runs-malformed``, ``deadline-malformed``, ``until-missing``; as
            `approvals.propose`. FormatError.
    """
    require(found, digest)
    _check(to, terms)
    name = f"{found.manifest.name} {found.manifest.version}"
    return Granted(
        holder=to.holder,
        recipient=to.recipient,
        algorithm=digest,
        name=name,
        purpose=to.purpose or name,
        scope=scope_of(terms, inputs_of(found), allowed_of(found, settings)),
        runs=to.runs,
        bits=to.bits or min(to.runs * results.whole_bits(found.manifest), MAX_BITS),
        deadline_ms=to.deadline_ms or min(START_MS + 1000 * found.manifest.limits.wall_s, MAX_DEADLINE_MS),
        store_as=store_as(store),
    )


def propose_read(to: To, terms: Terms, inputs: Mapping[str, Sequence[str]], rows: int) -> Granted:
    """A grant of a read.

    Args:
        inputs: Per stream its columns. rows: At most so many, the newest.

    Raises:
        DeviceError: ``runs-malformed``, ``rows-malformed``, ``deadline-malformed``, ``until-missing``; FormatError:
            ``read-unbounded``; and as `scope_of`.
    """
    _check(to, terms)
    if not 1 <= rows <= MAX_READ_ROWS:
        raise DeviceError("rows-malformed", f"found a number of rows that is not from 1 to {MAX_READ_ROWS:,}")
    size = answers.of_read(inputs, rows)
    return Granted(
        holder=to.holder,
        recipient=to.recipient,
        algorithm=None,
        name="a look at " + ", ".join(sorted(inputs)),
        purpose=to.purpose or "to look at it",
        scope=scope_of(terms, inputs, {}),
        runs=to.runs,
        bits=to.bits or min(to.runs * 8 * size, MAX_BITS),
        deadline_ms=to.deadline_ms or READ_DEADLINE_MS,
        rows=rows,
    )


def columns_of(text: str) -> tuple[str, tuple[str, ...]]:
    """A stream and its columns, from ``location`` or ``location:ts_ms,lat_e7``; without columns time and place.

    Raises: DeviceError: ``columns-unknown``; FormatError: ``stream-unknown``.
    """
    stream, _, listed = text.partition(":")
    stream = streams.parse_stream(stream)
    if streams.is_derived(stream):
        columns = tuple(name for name in listed.split(",") if name)
        if not columns:
            raise DeviceError("columns-unknown", "found no columns", hint=f"write {stream}:column,column")
        return stream, columns
    names = streams.schema(stream).names
    usual = ("ts_ms", "lat_e7", "lon_e7") if streams.has_places(stream) else tuple(n for n in names if n != "write_ms")
    columns = tuple(listed.split(",")) if listed else usual
    if not set(columns) <= set(names):
        raise DeviceError("columns-unknown", f"found a column that {stream} does not have", hint=f"{', '.join(names)}")
    return stream, columns


def _check(to: To, terms: Terms) -> None:
    agefile.parse_recipient(to.recipient)
    if not 1 <= to.runs <= MAX_RUNS:
        raise DeviceError("runs-malformed", f"found a number of runs that is not from 1 to {MAX_RUNS}")
    if to.deadline_ms is not None and not MIN_DEADLINE_MS <= to.deadline_ms <= MAX_DEADLINE_MS:
        raise DeviceError("deadline-malformed", "found a deadline that is not from 100 ms to 10 minutes")
    if not terms.until:
        raise DeviceError("until-missing", "found no day on which the grant ends", hint="say it with --until")


def give(account: Account, grant: Granted, *, again: bool = False) -> int:
    """Append a grant; its number. One that says the same and is in force stands, unless ``again``."""
    log = account.log()
    same = [number for number, other in log.grants.items() if encode_json(other) == encode_json(grant)]
    with account.unfinished():
        number = same[-1] if same and not again else account.owner_log.append(grant)
        account.upkeep.mend()
    return number


def ticket(account: Account, number: int) -> Ticket:
    """What the holder of a grant needs. Raises: DeviceError: ``grant-unknown`` where none of it is in force."""
    log = account.log()
    if number not in log.grants:
        raise DeviceError("grant-unknown", f"found no grant of number {number} in force", hint="waykeep grant list")
    return Ticket(VERSION, account.profile.host, account.owner_log.chain.envelope(number).decode())


def listed(account: Account) -> list[Grant]:
    """All grants that were ever given. What was used is known where the user cloud can be asked."""
    log = account.log()
    try:
        spent: dict[str, tuple[int, int]] | None = account.status().spent
    except WaykeepError as error:
        if error.rule in ("journal-rewound", "owner-log-rewound"):
            raise
        spent = None
    found = []
    for _, entry, _ in log.entries:
        if isinstance(entry.body, Granted):
            ended = log.ended.get(entry.number)
            used = (None, None) if spent is None else spent.get(str(entry.number), (0, 0))
            found.append(Grant(entry.number, entry.body, "" if ended is None else ended.rule, *used))
    return found
