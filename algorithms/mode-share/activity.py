"""Which way of moving was in force at any time, from the phone's own guesses.

Android repeats its guess every half minute while it tracks; iOS speaks only when something changes, and often says that
it does not know. So a guess is in force until the next one, or until it is too old, whichever comes first; *unknown*
and *none* do not end it at once. *Tilting* says nothing about moving and is left out.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pyarrow as pa

from track import LAST_MS, Ints, column

MODES = ("walking", "running", "cycling", "vehicle", "still", "unknown")
WALKING, RUNNING, CYCLING, VEHICLE, STILL, UNKNOWN = range(6)

TILTING = 5
MODE_OF_TYPE = {
    0: VEHICLE,
    1: CYCLING,
    2: WALKING,  # on foot, which Android reports beside the finer 7 and 8
    3: STILL,
    7: WALKING,
    8: RUNNING,
    10: VEHICLE,  # stopped while in a vehicle
    11: VEHICLE,  # air or high-speed rail
}
"""e-mission's codes of the types that say how somebody moves; 4 (unknown), 9 (none) and all others do not."""


class Spells(NamedTuple):
    """Times in which one mode was in force; they do not overlap.

    Attributes:
        start: Begin, ms, shape (n,), increasing.
        end: End, ms, not before the begin and not after the next begin.
        mode: Index into MODES, never UNKNOWN.
    """

    start: Ints
    end: Ints
    mode: Ints


def spells(table: pa.Table, min_confidence: int, hold_ms: int, carry_ms: int) -> Spells:
    """The spells of a table of motion activity with the columns ts_ms, type and confidence, in any order.

    Args:
        table: The guesses.
        min_confidence: A guess below it, or without confidence, counts as *unknown*.
        hold_ms: How long a guess is in force if nothing follows it.
        carry_ms: How long it stays in force after an *unknown* or *none*.
    """
    (t, t_set), (kind, kind_set) = column(table, "ts_ms"), column(table, "type")
    confidence, confidence_set = column(table, "confidence")
    usable = t_set & kind_set & (t >= 0) & (t < LAST_MS) & (kind != TILTING)
    sure = confidence_set & (confidence >= min_confidence)
    mode = np.full(len(t), UNKNOWN, dtype=np.int64)
    for code, meaning in MODE_OF_TYPE.items():
        mode[(kind == code) & sure] = meaning
    t, mode, confidence = t[usable], mode[usable], confidence[usable]
    order = np.lexsort((mode, -confidence, t))
    order = order[np.diff(t[order], prepend=-1) > 0]
    t, mode = t[order], mode[order]

    told, untold = np.flatnonzero(mode != UNKNOWN), np.flatnonzero(mode == UNKNOWN)
    start = t[told]
    never = np.int64(LAST_MS)
    next_told = np.append(start[1:], never)[: len(start)]
    next_untold = np.append(t[untold], never)[np.searchsorted(untold, told)]
    return Spells(start, np.minimum(np.minimum(next_told, start + hold_ms), next_untold + carry_ms), mode[told])


def in_force(known: Spells, start: Ints, end: Ints) -> Ints:
    """The mode that was in force for most of each time; UNKNOWN where for most of it none was.

    Args:
        known: What the phone told.
        start: Begins of the times that are asked for, ms, shape (n,).
        end: Their ends.

    Returns:
        Indices into MODES, shape (n,).
    """
    shares = np.zeros((UNKNOWN + 1, len(start)))
    for mode in range(UNKNOWN):
        chosen = known.mode == mode
        if np.any(chosen):
            edges = np.stack((known.start[chosen], known.end[chosen]), axis=1).ravel()
            lengths = (known.end - known.start)[chosen]
            spent = np.concatenate(([0], np.repeat(np.cumsum(lengths), 2)))[:-1]
            shares[mode] = np.interp(end, edges, spent) - np.interp(start, edges, spent)
    shares[UNKNOWN] = (end - start) - np.sum(shares, axis=0)
    return np.asarray(np.argmax(shares, axis=0), dtype=np.int64)
