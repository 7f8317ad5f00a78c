"""The audit log: the owner's own reading of what they allowed and what happened, from objects and keys alone."""

from __future__ import annotations

import datetime

import msgspec

from waykeep.authority import journal
from waykeep.authority.journal import JournalState
from waykeep.authority.ownerlog import OwnerState
from waykeep.authority.statements import (
    Approved,
    Detail,
    DeviceAdded,
    EpochOpened,
    JournalObject,
    OwnerEntry,
    RecipientsNamed,
    RunDone,
    SegmentsAccepted,
    StateKeyNamed,
    WriterAdded,
)
from waykeep.device.account import Account
from waykeep.device.receipts import open_receipt
from waykeep.errors import DeviceError
from waykeep.formats import agefile
from waykeep.formats.ids import Digest, numbered, sha256
from waykeep.formats.wire import MIB, decode_json

_TITLES: dict[type, str] = {
    DeviceAdded: "device",
    WriterAdded: "writer",
    RecipientsNamed: "log keys",
    EpochOpened: "epoch",
    StateKeyNamed: "user cloud",
    Approved: "approval",
    SegmentsAccepted: "data accepted",
    RunDone: "run",
}


class Line(msgspec.Struct, frozen=True):
    """One line of the audit log.

    Attributes:
        chain: ``owner log`` or ``journal``.
        time_ms: None where a record holds no time.
        title, words: Its kind, and what it says.
        digest: Of the signed envelope.
    """

    chain: str
    number: int
    time_ms: int | None
    title: str
    words: str
    digest: Digest


def read(account: Account) -> list[Line]:
    """Both logs in plain words, after every chain, signature, commitment and receipt in them was checked.

    The user cloud is not asked: the objects come from the host, and are believed for their signatures.

    Raises:
        DeviceError: ``owner-log-rewound``, ``journal-rewound``; AuthorityError named by the rules of the folds.
    """
    log = account.log()
    lines = [
        Line(
            "owner log",
            0,
            None,
            "inception",
            "Your owner id was made; this statement is what it is a digest of.",
            log.first,
        )
    ]
    lines += [Line("owner log", e.number, e.time_ms, _TITLES[type(e.body)], _entry(e), d) for _, e, d in log.entries]
    state, records = _journal(account, log)
    remembered = account.folder.heads().journal
    if remembered is not None and (state.head is None or state.head.number < remembered.number):
        raise DeviceError(
            "journal-rewound", f"the host shows a journal without record {remembered.number}, which was seen"
        )
    for number, (record, detail) in enumerate(records):
        lines.append(Line("journal", number, _time(detail), _TITLES[type(detail)], _detail(detail, log), record))
        if isinstance(detail, RunDone):
            open_receipt(detail.receipt.encode(), list(log.state_keys))
        if remembered is not None and number == remembered.number and record != remembered.digest:
            raise DeviceError("journal-rewound", f"the host shows another record {number} than this device has seen")
    return lines


def _journal(account: Account, log: OwnerState) -> tuple[JournalState, list[tuple[Digest, Detail]]]:
    state = journal.EMPTY
    records: list[tuple[Digest, Detail]] = []
    while (data := account.host.get("journal", numbered(len(records)) + ".age")) is not None:
        plain = agefile.open_(data, [account.log_secret], limit=2 * MIB, what="a journal object")
        item = decode_json(plain, JournalObject, limit=2 * MIB, what="a journal object")
        state = journal.fold(state, log, [item])
        records.append((sha256(item.envelope.encode()), item.detail))
    return state, records


def _entry(entry: OwnerEntry) -> str:
    match entry.body:
        case DeviceAdded(_, name):
            return f"Your device “{name}” was added."
        case WriterAdded(_, name, source):
            return f"The writer “{name}” may add data ({source})."
        case RecipientsNamed():
            return "Your log key and your recovery key were named: they can open your logs."
        case EpochOpened(number):
            return f"Epoch {number} began: new data is encrypted to its key."
        case StateKeyNamed():
            return "Your user cloud started with a new signing key, which your device accepted after appraising it."
        case Approved():
            return _approval(entry.body)


def _approval(approval: Approved) -> str:
    data = ", ".join(f"{stream} ({len(columns)} columns)" for stream, columns in sorted(approval.inputs.items()))
    kept = f" Results are kept as {approval.store_as}." if approval.store_as else " Results are not kept."
    window = _window(approval.from_ms, approval.to_ms)
    return f"You approved {approval.name} ({approval.algorithm[:19]}…) to read {data}, {window}.{kept}"


def _detail(detail: Detail, log: OwnerState) -> str:
    match detail:
        case SegmentsAccepted(segments):
            rows = sum(line.rows_new for line in segments)
            writers = {log.writers[line.writer].name for line in segments if line.writer in log.writers}
            streams = ", ".join(sorted({line.stream for line in segments}))
            by = ", ".join(sorted(writers))
            return f"{rows} new rows were accepted in {len(segments)} segments ({streams}) from {by}."
        case RunDone():
            rows_in = sum(detail.rows_in.values())
            kept = f" and were kept as {detail.stored.stream}" if detail.stored else ""
            came = f"{detail.name} read {rows_in} rows; {detail.rows_out} rows came out{kept}."
            return f"{came} Its signed receipt lies in your journal."


def _time(detail: Detail) -> int | None:
    return detail.time_ms if isinstance(detail, RunDone) else None


def _window(from_ms: int, to_ms: int) -> str:
    first, last = (datetime.datetime.fromtimestamp(ms / 1000, datetime.UTC) for ms in (from_ms, to_ms))
    return f"from {first:%Y-%m-%d %H:%M} to {last:%Y-%m-%d %H:%M} UTC"
