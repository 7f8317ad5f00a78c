"""The catalogue of accepted segments: a snapshot's chunks and what came after; chosen from without opening one."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence

import msgspec

from waykeep.authority.journalstate import JournalState
from waykeep.authority.permissions import Withheld
from waykeep.authority.records import SegmentEntry, Snapshot, Span, StreamTotal
from waykeep.formats import streams
from waykeep.vault.chunks import Chunks


def select(
    state: JournalState,
    stream: str,
    from_ms: int,
    to_ms: int,
    until: int | None = None,
    withheld: Mapping[int, Withheld] | None = None,
) -> list[SegmentEntry]:
    """Segments of a stream that can hold rows of ``from_ms <= ts_ms < to_ms``, in the order they were accepted.

    A derived segment is one result over a window of time and cannot be cut, so it is chosen only if its window lies
    within the one asked for; and a later result over a window that covers it supersedes it.

    Args:
        until: Leave out what was accepted after this record; None takes all.
        withheld: By its entry's number what the owner takes out. A derived result may tell of it unless it was made
            under that entry, and so it is left out.
    """
    before = state.base.of_stream(stream, from_ms, to_ms) if isinstance(state.base, Chunks) else []
    after = [(state.places[name], entry) for name, entry in state.segments.items() if entry.stream == stream]
    of_stream = [entry for number, entry in (*before, *after) if until is None or number <= until]
    if not streams.is_derived(stream):
        return [entry for entry in of_stream if entry.first_ms < to_ms and entry.last_ms >= from_ms]
    inside = [
        entry
        for entry in of_stream
        if from_ms <= entry.first_ms and entry.last_ms <= to_ms and not _touched(entry, withheld or {})
    ]
    return [inside[number] for number in superseding([(entry.first_ms, entry.last_ms) for entry in inside])]


def _touched(entry: SegmentEntry, withheld: Mapping[int, Withheld]) -> bool:
    """Whether a derived result over a window that touches what is withheld was made without knowing of it."""
    return any(
        entry.made_under < number and entry.first_ms < ends and entry.last_ms > begins
        for number, (begins, ends) in ((number, line.span) for number, line in withheld.items())
    )


def superseding(windows: Sequence[tuple[int, int]]) -> list[int]:
    """The numbers of those windows that no later one covers, ascending."""
    chosen: list[int] = []
    # Of the chosen windows those that no other covers: both their beginnings and their ends ascend.
    begins: list[int] = []
    ends: list[int] = []
    for number in range(len(windows) - 1, -1, -1):
        first, last = windows[number]
        before = bisect_right(begins, first)
        if before and ends[before - 1] >= last:
            continue
        start, end = bisect_left(begins, first), bisect_right(ends, last)
        begins[start:end], ends[start:end] = [first], [last]
        chosen.append(number)
    return chosen[::-1]


def totals(state: JournalState) -> dict[str, StreamTotal]:
    """What a read of all times would take, by stream; no chunk is loaded for it."""
    index = _index(state)
    found = dict(index.totals) if index is not None else {}
    for entry in state.segments.values():
        if not streams.is_derived(entry.stream):
            found[entry.stream] = _added(found.get(entry.stream), (entry.first_ms, entry.last_ms, entry.rows_new))
    for stream, spans in current(state).items():
        for span in spans:
            found[stream] = _added(found.get(stream), span)
    return dict(sorted(found.items()))


def current(state: JournalState) -> dict[str, tuple[Span, ...]]:
    """The results of each derived stream that no later one supersedes, over all times."""
    index = _index(state)
    found = {stream: list(spans) for stream, spans in index.current.items()} if index is not None else {}
    for entry in state.segments.values():
        if streams.is_derived(entry.stream):
            found.setdefault(entry.stream, []).append((entry.first_ms, entry.last_ms, entry.rows_new))
    return {
        stream: tuple(spans[number] for number in superseding([span[:2] for span in spans]))
        for stream, spans in found.items()
    }


def epochs(state: JournalState) -> frozenset[int]:
    """Epochs that segments were encrypted to."""
    index = _index(state)
    return frozenset(index.epochs if index is not None else ()) | {entry.epoch for entry in state.segments.values()}


def runs(state: JournalState) -> int:
    """How many runs of the owner's own there were."""
    index = _index(state)
    return len(state.runs) + (index.runs if index is not None else 0)


def _index(state: JournalState) -> Snapshot | None:
    return state.base.index if isinstance(state.base, Chunks) else None


def _added(total: StreamTotal | None, span: Span) -> StreamTotal:
    first_ms, last_ms, rows = span
    if total is None:
        return StreamTotal(1, rows, first_ms, last_ms)
    return msgspec.structs.replace(
        total,
        segments=total.segments + 1,
        rows=total.rows + rows,
        first_ms=min(total.first_ms, first_ms),
        last_ms=max(total.last_ms, last_ms),
    )
