"""Was it synced before anybody was told? Judged from a trace alone, call by call.

Rules, of what has to lie behind an answer:

1. The bytes of a file with a name: its last write was followed by an `fsync` of it.
2. A name that came or went (created, linked, renamed, unlinked, a folder made): followed by an `fsync` of its folder.
3. A mode: followed by an `fsync` of the file or folder that has it.

A call dirties when it is entered and a sync cleans when it has returned, so calls of other threads do not help. A file
without a name is nobody's until it is linked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import PurePath

from tests.support.durability_strace import ANSWERS, Call

Relies = Callable[[Call], bool]


@dataclass(frozen=True)
class Unsynced:
    """What an answer relied on and was not synced.

    Attributes:
        what: ``bytes``, ``names in`` or ``mode of``.
        line: Of the trace, where the answer began.
    """

    what: str
    path: str
    line: int


@dataclass(frozen=True)
class Judged:
    """Attributes: ``names`` that came or went and were answered for, and what was found unsynced."""

    names: tuple[str, ...]
    unsynced: tuple[Unsynced, ...]


def answered(call: Call) -> bool:
    """Whether somebody relies on all that was done before: a peer that is answered, or who sees a command end."""
    return call.verb in ANSWERS


def judge(calls: Iterable[Call], watched: Callable[[str], bool], relies: Relies = answered) -> Judged:
    """Judge a trace.

    Args:
        watched: Whether a path is one whose changes must last.
        relies: Which calls are such that what was done before must be durable.
    """
    events = sorted([(c.began, 0, c) for c in calls] + [(c.ended, 1, c) for c in calls], key=lambda event: event[:2])
    state, names, answers, unsynced = _Dirty(watched), list[str](), 0, list[Unsynced]()
    pending: list[str] = []
    for _, after, call in events:
        if after:
            if call.verb.startswith("fsync") and not call.error:
                state.sync(call)
            continue
        if relies(call):
            answers += 1
            unsynced += [Unsynced(what, path, call.began) for what, path in state.found()]
            names += pending
            pending = []
        if not call.error:
            pending += state.change(call)
    return Judged(tuple(names), tuple(unsynced))


class _Dirty:
    def __init__(self, watched: Callable[[str], bool]) -> None:
        self._watched = watched
        self._files: set[str] = set()
        self._unnamed: set[str] = set()
        self._folders: set[str] = set()
        self._modes: set[str] = set()

    def found(self) -> list[tuple[str, str]]:
        return [
            *(("bytes", path) for path in sorted(self._files - self._unnamed)),
            *(("names in", path) for path in sorted(self._folders)),
            *(("mode of", path) for path in sorted(self._modes)),
        ]

    def sync(self, call: Call) -> None:
        for dirty in (self._files, self._folders, self._modes):
            dirty.discard(call.path)

    def change(self, call: Call) -> list[str]:
        """Take a change in; the names that came or went."""
        if not self._watched(call.path):
            return []
        folder = str(PurePath(call.path).parent)
        match call.verb:
            case "write" | "truncate":
                self._files.add(call.path)
                if PurePath(call.path).name.startswith("#"):
                    self._unnamed.add(call.path)
            case "chmod":
                self._modes.add(call.path)
            case "create" | "mkdir" | "rmdir" | "unlink":
                self._folders.add(folder)
                self._files.discard(call.path)
                return [call.path]
            case "link":
                self._folders.add(folder)
                self._unnamed.discard(call.source)
                return [call.path]
            case "rename":
                self._folders |= {folder, str(PurePath(call.source).parent)}
                if call.source in self._files:
                    self._files = self._files - {call.source} | {call.path}
                return [call.path]
        return []
