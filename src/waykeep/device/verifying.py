"""``audit --verify``: both logs from the host's objects, the owner's keys and what was seen before, and nothing else.

Findings, by their names:

1. ``audit-truncated``: an object that was cut off, changed, or encrypted to other keys.
2. ``audit-foreign``: an object that is no number of its log, or a statement whose signer may not make it.
3. ``audit-fork``: an entry or record that does not follow the one before, or another one than device or witness saw.
4. ``audit-gap``: later numbers lie there, and one before is missing.
5. ``audit-rollback``: less than this device or the witness has seen.
6. ``audit-receipt``: a receipt that no user cloud of this owner signed, or that says something else than its record.
7. ``audit-segment``: data that a record accepted, and that does not lie at the host.
8. ``audit-unwitnessed``: the witness could not be asked, so it says nothing against a host that rewinds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress

import msgspec

from waykeep.authority import dsse, journal, journalstate, ownerlog
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.records import Detail, RunDone, SegmentsAccepted, Spent
from waykeep.authority.statements import OWNER_ENTRY_TYPE
from waykeep.device import journals
from waykeep.device.account import Account
from waykeep.device.chain import beside
from waykeep.device.receipts import open_receipt
from waykeep.errors import AuthorityError, DeviceError, FormatError, WaykeepError
from waykeep.formats import agefile
from waykeep.formats.ids import Digest, numbered, sha256
from waykeep.formats.messages import Head
from waykeep.formats.wire import MIB

_ASK = "ask the host's operator for what is missing; until then believe nothing that rests on it"
HINTS = {
    "audit-truncated": _ASK,
    "audit-foreign": "somebody puts objects there that are not yours: ask the operator who can write to your store",
    "audit-fork": "two versions of your log are about; 'waykeep witness stop' stops all spends until that is clear",
    "audit-gap": _ASK,
    "audit-rollback": _ASK + "; if it is lost for good: 'waykeep resume'",
    "audit-receipt": "do not use that result",
    "audit-segment": "upload it again where you still have it; ask the operator for the rest",
    "audit-unwitnessed": "try again when your witness answers",
}


class Finding(msgspec.Struct, frozen=True):
    """Something that is not as it should be: a rule's name, and in plain words what was seen."""

    rule: str
    words: str


class Verified(msgspec.Struct, frozen=True):
    """What was checked, and what was found."""

    entries: int
    records: int
    receipts: int
    findings: tuple[Finding, ...]


def verify(account: Account) -> Verified:
    """Check everything; the user cloud is not asked, and no copy on this device stands in for an object.

    Raises:
        HostError: When the host cannot be asked. DeviceError: ``owner-log-rewound`` when it shows no inception.
    """
    with suppress(AuthorityError, DeviceError, FormatError):  # a newer log secret may lie there for this device
        account.owner_log.chain.state()
    findings: list[Finding] = []
    log = _owner_log(account, findings)
    heads = account.folder.heads()
    held = _held(account, log, findings)
    owner_digests = [log.first, *(digest for _, _, digest in log.entries)]
    records = _journal(account, log, findings)
    digests = [digest for digest, _ in records]
    for who, owner, record in (
        ("This device has", heads.owner, heads.journal),
        ("Your witness has", held[0], held[1]),
    ):
        _seen(who, "entry", "owner log", owner, owner_digests, findings)
        _seen(who, "record", "journal", record, digests, findings)
    receipts = _receipts(records, log, findings)
    _segments(account, records, findings)
    unique = tuple(dict.fromkeys(findings))
    return Verified(len(owner_digests), len(digests), receipts, unique)


def _owner_log(account: Account, findings: list[Finding]) -> OwnerState:
    owner, state = account.owner, list[OwnerState]()

    def take(data: bytes) -> None:
        envelope = agefile.open_(data, account.keys.secrets.logs, limit=MIB, what="an owner-log entry")
        state[:] = [ownerlog.fold(state[0], [envelope]) if state else ownerlog.begin(owner, envelope)]

    _walk(account, "owner-log", "", "entry", take, findings)
    if not state:
        raise DeviceError("owner-log-rewound", "the host shows no entry of your owner log that is yours", status=409)
    return state[0]


def _journal(account: Account, log: OwnerState, findings: list[Finding]) -> journals.Records:
    state, records = [journalstate.EMPTY], journals.Records()

    def take(data: bytes) -> None:
        item = journals.open_(data, account.keys.secrets)
        state[:] = [journal.fold(state[0], log, [item])]
        records.append((sha256(item.envelope.encode()), item.detail))

    _walk(account, "journal", ".age", "record", take, findings)
    return records


def _walk(
    account: Account, room: str, suffix: str, what: str, take: Callable[[bytes], None], findings: list[Finding]
) -> None:
    """Every object of a log in order, up to the first that is missing or not good, with nothing good beside it."""
    names, number, good = account.host.names(room), 0, set[str]()
    while (data := account.host.get(room, numbered(number) + suffix)) is not None:
        try:
            take(data)
        except (AuthorityError, FormatError) as error:
            found = _beside(account, room, number, take)
            if found is None and room == "owner-log" and account.owner_log.chain.blocked == number:
                findings.append(_under_the_next(account, number, data, error))
                break
            if found is None:
                findings.append(_bad(what, number, error))
                break
            good.add(found)
            words = (
                f"Under the number of {what} {number} lies something else ({error.rule}); the {what} lies beside it."
            )
            findings.append(Finding("audit-foreign", words))
        number += 1
    else:
        later = [int(name[:10]) for name in names if name[:10].isdecimal() and int(name[:10]) > number]
        if later:
            findings.append(Finding("audit-gap", f"The {what} {number} is missing, and {max(later)} lies there."))
    foreign = [name for name in names if name.removesuffix(suffix) != name[:10] or not name[:10].isdecimal()]
    foreign = [name for name in foreign if name not in good]
    if foreign:
        findings.append(Finding("audit-foreign", f"Of the objects there, {len(foreign)} are no {what} of any number."))


def _beside(account: Account, room: str, number: int, take: Callable[[bytes], None]) -> str | None:
    """The name beside an owner-log entry's number whose object is good and was taken, if there is one."""
    for name, data in beside(account.host, number) if room == "owner-log" else ():
        with suppress(AuthorityError, FormatError):
            take(data)
            return name
    return None


def _under_the_next(account: Account, number: int, data: bytes, error: WaykeepError) -> Finding:
    if error.rule == "log-order" and _by_a_key_in_force(account, data):
        words = f"Under the number of the next entry, {number}, lies one that follows another entry than {number - 1}."
        return Finding("audit-fork", words)
    words = f"Under the number of the next entry, {number}, lies something else ({error.rule})."
    return Finding("audit-foreign", words)


def _by_a_key_in_force(account: Account, data: bytes) -> bool:
    log = account.owner_log.chain.known()
    envelope = agefile.open_(data, account.keys.secrets.logs, limit=MIB, what="an owner-log entry")
    return dsse.peek(envelope, OWNER_ENTRY_TYPE).signer in (log.authority, *log.devices)


def _bad(what: str, number: int, error: WaykeepError) -> Finding:
    if isinstance(error, FormatError):
        words = f"The {what} {number} was cut off, changed, or is not for you ({error.rule})."
        return Finding("audit-truncated", words)
    rule = "audit-fork" if error.rule in ("log-order", "journal-order") else "audit-foreign"
    reason = "does not follow the one before" if rule == "audit-fork" else "was not made by whoever may"
    return Finding(rule, f"The {what} {number} {reason} ({error.rule}).")


def _held(account: Account, log: OwnerState, findings: list[Finding]) -> tuple[Head | None, Head | None]:
    """Owner and journal head that the witness holds, if there is one."""
    if log.witness is None:
        return None, None
    try:
        held = account.witness.connected(log).read().held
    except WaykeepError as error:
        findings.append(Finding("audit-unwitnessed", f"Your witness could not be asked ({error.rule})."))
        return None, None
    return held.owner, held.journal


def _seen(
    who: str, what: str, chain: str, seen: Head | None, digests: Sequence[Digest], findings: list[Finding]
) -> None:
    if seen is None:
        return
    if seen.number >= len(digests):
        shown = f"up to {what} {len(digests) - 1}" if digests else f"no {what}"
        words = f"{who} seen {what} {seen.number} of your {chain}; the host shows {shown}."
        findings.append(Finding("audit-rollback", words))
    elif digests[seen.number] != seen.digest:
        words = f"{who} seen another {what} {seen.number} of your {chain} than the host shows."
        findings.append(Finding("audit-fork", words))


def _receipts(records: Sequence[tuple[Digest, Detail]], log: OwnerState, findings: list[Finding]) -> int:
    count = 0
    for number, (_, said) in enumerate(records):
        if not isinstance(said, RunDone | Spent):
            continue
        count += 1
        run_id = said.run_id if isinstance(said, RunDone) else said.request_id
        try:
            receipt = open_receipt(said.receipt.encode(), list(log.state_keys))
            fits = (receipt.owner, receipt.run_id, receipt.rows_out) == (log.owner, run_id, said.rows_out)
        except (AuthorityError, FormatError):
            fits = False
        if not fits:
            findings.append(
                Finding("audit-receipt", f"The receipt of record {number} is not of that run, or not signed.")
            )
    return count


def _segments(account: Account, records: Sequence[tuple[Digest, Detail]], findings: list[Finding]) -> None:
    lying = set(account.host.names("segments"))
    named = [line.name for _, said in records if isinstance(said, SegmentsAccepted) for line in said.segments]
    named += [said.stored.name for _, said in records if isinstance(said, RunDone) and said.stored is not None]
    gone = [name for name in named if name not in lying]
    if gone:
        findings.append(Finding("audit-segment", f"Of {len(named)} segments, {len(gone)} do not lie at the host."))
