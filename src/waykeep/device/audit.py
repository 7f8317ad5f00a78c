"""The audit log: the owner's own reading of what they allowed and what happened, from objects and keys alone."""

from __future__ import annotations

import msgspec

from waykeep.authority.records import RunDone, Spent
from waykeep.device import journals, words
from waykeep.device.account import Account
from waykeep.device.receipts import open_receipt
from waykeep.errors import DeviceError
from waykeep.formats.ids import Digest


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
    lines += [Line("owner log", e.number, e.time_ms, words.title(e.body), words.entry(e), d) for _, e, d in log.entries]
    state, records = journals.read(account.host, account.keys.secrets, log)
    remembered = account.folder.heads().journal
    if remembered is not None and (state.head is None or state.head.number < remembered.number):
        raise DeviceError(
            "journal-rewound", f"the host shows a journal without record {remembered.number}, which was seen"
        )
    for number, (record, detail) in enumerate(records):
        lines.append(
            Line("journal", number, words.time_of(detail), words.title(detail), words.detail(detail, log), record)
        )
        if isinstance(detail, RunDone | Spent):
            open_receipt(detail.receipt.encode(), list(log.state_keys))
        if remembered is not None and number == remembered.number and record != remembered.digest:
            raise DeviceError("journal-rewound", f"the host shows another record {number} than this device has seen")
    return lines
