"""Accepting uploaded segments: what is refused changes nothing, what brings new rows is recorded."""

from __future__ import annotations

import msgspec

from waykeep.authority.records import SegmentEntry, SegmentsAccepted
from waykeep.errors import AuthorityError, FormatError, VaultError
from waykeep.formats.ids import parse_object
from waykeep.formats.messages import Accepted
from waykeep.usercloud import reading
from waykeep.usercloud.cloud import Cloud
from waykeep.vault import segments
from waykeep.vault.segments import Segment

AT_ONCE = 256


def accept(cloud: Cloud, names: tuple[str, ...]) -> Accepted:
    """Check uploaded segments and record those that bring new rows, in one record.

    Raises:
        UserCloudError: ``locked``, ``state-key-unnamed``. VaultError: ``journal-taken``, ``store-failed``.
    """
    with cloud.lock:
        cloud.require_named()
        outcome: dict[str, str] = {}
        detail: dict[str, str] = {}
        lines: list[SegmentEntry] = []
        pending: list[tuple[SegmentEntry, Segment]] = []
        for name in dict.fromkeys(names):
            try:
                line, found = _check(cloud, name, pending)
            except (FormatError, AuthorityError, VaultError) as error:
                outcome[name], detail[name] = error.rule, error.message
                continue
            if line is None or found is None:
                outcome[name] = "known"
                continue
            outcome[name] = "accepted"
            lines.append(line)
            pending.append((line, found))
        if lines:
            cloud.append(SegmentsAccepted(tuple(lines)))
        head = cloud.signed_head() if cloud.journal.head is not None else b""
        return Accepted(outcome, detail, sum(line.rows_new for line in lines), head)


def accept_left(cloud: Cloud) -> None:
    """Accept again what was accepted by records that a rotation made void. What is refused stays where it is."""
    with cloud.lock:
        names, cloud.left = cloud.left, ()
        for start in range(0, len(names), AT_ONCE):
            accept(cloud, names[start : start + AT_ONCE])


def _check(
    cloud: Cloud, name: str, pending: list[tuple[SegmentEntry, Segment]]
) -> tuple[SegmentEntry, Segment] | tuple[None, None]:
    key = f"owners/{cloud.owner}/{parse_object('segments', name)}"
    if cloud.journal.segment(name) is not None:
        return None, None
    found = segments.open_(cloud.store.get(key), cloud.log, cloud.keys.epochs)
    if found.header.kind != "recorded":
        raise VaultError("segment-kind", "found a derived segment among uploads", status=403)
    line = segments.entry(name, found, 0)
    present = [p.rows for entry, p in pending if entry.stream == line.stream]
    present += [p.rows for _, p in reading.parts(cloud, line.stream, line.first_ms, line.last_ms + 1)]
    new = segments.count_new(found, present)
    if new == 0:
        cloud.store.delete(key)
        return None, None
    return msgspec.structs.replace(line, rows_new=new), found
