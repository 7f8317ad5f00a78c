"""What a device remembers of its owner's logs, and the alarm when it is shown less, or something else."""

from __future__ import annotations

import msgspec

from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.statements import Resumed
from waykeep.device.profile import Folder
from waykeep.errors import DeviceError
from waykeep.formats.messages import Head

_MAY_HAVE = (
    "Either the operator restored an old copy or lost data, or somebody shows you an old state on purpose, to hide "
    "what you did since (a revocation, say)"
)


def remember(folder: Folder, **heads: Head | int) -> None:
    """Keep what was seen, durably, where it is newer: another command may have seen more meanwhile."""
    with folder.locked():
        merge(folder, **heads)


def merge(folder: Folder, **heads: Head | int) -> None:
    """As `remember`, for a caller that holds the folder's lock."""
    before = folder.heads()
    newer = {name: head for name, head in heads.items() if not _behind(head, getattr(before, name))}
    after = msgspec.structs.replace(before, **newer)
    if after != before:
        folder.save_heads(after)


def resumed(folder: Folder, log: OwnerState) -> None:
    """Let the remembered journal head go back where the owner log says so, once for each entry that does."""
    if not log.resumed or log.resumed[-1] <= folder.heads().resumed:
        return
    with folder.locked():
        before = after = folder.heads()
        for number in log.resumed:
            body = log.entries[number - 1][1].body
            if number > before.resumed and isinstance(body, Resumed):
                back = after.journal is not None and (body.head is None or body.head.number < after.journal.number)
                after = msgspec.structs.replace(after, resumed=number, journal=body.head if back else after.journal)
        if after != before:
            folder.save_heads(after)


def see_journal(folder: Folder, head: Head | None) -> None:
    """Remember a journal head, which must not be behind the one that is remembered.

    Raises:
        DeviceError: ``journal-rewound``.
    """
    known = folder.heads().journal
    if known is not None and (head is None or head.number < known.number):
        shown = "is empty" if head is None else f"ends with record {head.number}"
        raise journal_rewound(f"the journal that is shown {shown}; this device has seen record {known.number}")
    if known is not None and head is not None and head.number == known.number and head != known:
        raise journal_rewound(f"the journal that is shown has another record {known.number} than this device has seen")
    if head is not None:
        remember(folder, journal=head)


def journal_rewound(found: str) -> DeviceError:
    return DeviceError(
        "journal-rewound",
        f"ALARM: {found}. {_MAY_HAVE}. Nothing was sent",
        hint="ask the operator for the missing records; if they are lost for good: 'waykeep resume'",
        status=409,
    )


def log_rewound(found: str) -> DeviceError:
    return DeviceError(
        "owner-log-rewound",
        f"ALARM: {found}. {_MAY_HAVE}. Nothing was sent",
        hint="ask the operator for the missing entries; until they are back, 'waykeep witness stop' stops all spends",
        status=409,
    )


def _behind(head: Head | int, seen: Head | int | None) -> bool:
    if isinstance(head, Head) and isinstance(seen, Head):
        return head.number < seen.number
    return isinstance(head, int) and isinstance(seen, int) and head < seen
