"""The part of a journal's fold that a snapshot holds, in chunks that are loaded when they are needed, and then kept.

A chunk is two age files of one random name: what its records told, in MessagePack, and the marks by which is known what
it may hold (`waykeep.vault.marks`). Their digests are in the snapshot's index. They are written once. Where one is
missing or changed, the journal itself is folded again: never is less answered than was recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from waykeep.authority.journalstate import JournalState
from waykeep.authority.participation import Contributed, Intended, StudyDebited
from waykeep.authority.records import ChunkRef, Debited, SegmentEntry, Snapshot
from waykeep.errors import FormatError, VaultError
from waykeep.formats.ids import Digest, sha256
from waykeep.formats.wire import MIB, decode_frame
from waykeep.vault import marks
from waykeep.vault.marks import Kind, Marks
from waykeep.vault.objects import Reader

RECORDS = 2048
"""Records of a chunk at most."""
PLAIN = MIB
"""Bytes of a chunk at most, unless one record alone has more."""
MAX_CHUNK = 4 * MIB
DIGEST_BYTES = 32


class Chunk(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What some consecutive records told. Whoever looks for an id looks in all chunks, so it may lie in any.

    Attributes:
        first: The number of the first record. digests: 32 bytes for each record.
        segments: With the number of the record that accepted it.
    """

    first: int
    digests: bytes
    segments: tuple[tuple[int, SegmentEntry], ...]
    runs: tuple[str, ...]
    debits: tuple[Debited, ...]
    outcomes: tuple[str, ...]
    intents: tuple[Intended, ...]
    contributions: tuple[StudyDebited, ...]
    sent: tuple[Contributed, ...]

    @property
    def records(self) -> int:
        return len(self.digests) // DIGEST_BYTES

    def marks(self) -> bytes:
        return marks.encode(self._names())

    def _names(self) -> Iterator[tuple[Kind, str]]:
        yield from (("segment", entry.name) for _, entry in self.segments)
        yield from (("run", run_id) for run_id in self.runs)
        yield from (("debit", debit.request_id) for debit in self.debits)
        yield from (("spent", request_id) for request_id in self.outcomes)
        yield from (("intended", _of(made.study, made.period)) for made in self.intents)
        yield from (("study-debit", _of(made.query.study, made.query.repetition)) for made in self.contributions)
        yield from (("contributed", made.query) for made in self.sent)


_HALVED = ("runs", "debits", "outcomes", "intents", "contributions", "sent")


def _of(study: Digest, number: int) -> str:
    """What is marked of a period or a repetition of a study."""
    return f"{study} {number}"


def after(state: JournalState) -> Chunk:
    """Everything that came after a state's base, which is something."""
    numbers = sorted(state.digests)
    return Chunk(
        numbers[0],
        b"".join(bytes.fromhex(state.digests[number].removeprefix("sha256:")) for number in numbers),
        tuple((state.places[name], entry) for name, entry in state.segments.items()),
        tuple(state.runs),
        tuple(state.debits.values()),
        tuple(state.outcomes),
        tuple(Intended(study, period, query) for (study, period), query in state.intents.items()),
        tuple(state.contributions.values()),
        tuple(state.sent.values()),
    )


def join(one: Chunk, other: Chunk) -> Chunk:
    """``other``'s records follow ``one``'s."""
    return Chunk(
        one.first,
        one.digests + other.digests,
        one.segments + other.segments,
        one.runs + other.runs,
        one.debits + other.debits,
        one.outcomes + other.outcomes,
        one.intents + other.intents,
        one.contributions + other.contributions,
        one.sent + other.sent,
    )


def cut(chunk: Chunk) -> list[tuple[Chunk, bytes]]:
    """As many chunks as the bounds ask for, each with its plaintext."""
    if chunk.records <= RECORDS:
        plain = msgspec.msgpack.encode(chunk)
        if len(plain) <= PLAIN or chunk.records == 1:
            return [(chunk, plain)]
    return [part for half in _halves(chunk) for part in cut(half)]


def _halves(chunk: Chunk) -> tuple[Chunk, Chunk]:
    records = chunk.records // 2
    second = chunk.first + records
    digests = records * DIGEST_BYTES
    segments = sum(number < second for number, _ in chunk.segments)
    one: dict[str, Any] = {
        "first": chunk.first,
        "digests": chunk.digests[:digests],
        "segments": chunk.segments[:segments],
    }
    other: dict[str, Any] = {
        "first": second,
        "digests": chunk.digests[digests:],
        "segments": chunk.segments[segments:],
    }
    for name in _HALVED:
        ids = getattr(chunk, name)
        one[name], other[name] = ids[: (len(ids) + 1) // 2], ids[(len(ids) + 1) // 2 :]
    return Chunk(**one), Chunk(**other)


def ref(name: str, plain: bytes, ids: bytes, chunk: Chunk) -> ChunkRef:
    """The index's line of a chunk. Args: name: 32 hex digits. ids: Its marks."""
    spans: dict[str, tuple[int, int]] = {}
    for _, entry in chunk.segments:
        first, last = spans.get(entry.stream, (entry.first_ms, entry.last_ms))
        spans[entry.stream] = (min(first, entry.first_ms), max(last, entry.last_ms))
    last_record = chunk.first + chunk.records - 1
    return ChunkRef(name, sha256(plain), len(plain), sha256(ids), chunk.first, last_record, spans)


def objects(line: ChunkRef) -> tuple[str, str]:
    """The names of a chunk's two objects: what its records told, and its marks."""
    return f"{line.name}.age", f"{line.name}-ids.age"


class Held:
    """A chunk that was loaded, by names and ids."""

    def __init__(self, chunk: Chunk) -> None:
        self.chunk = chunk
        self.segments = {entry.name: entry for _, entry in chunk.segments}
        self.debits = {debit.request_id: debit for debit in chunk.debits}
        self.runs, self.outcomes = frozenset(chunk.runs), frozenset(chunk.outcomes)
        self.intents = {(made.study, made.period): made.query for made in chunk.intents}
        self.contributions = {(made.query.study, made.query.repetition): made for made in chunk.contributions}
        self.sent = {made.query: made for made in chunk.sent}

    def digest(self, number: int) -> Digest:
        start = (number - self.chunk.first) * DIGEST_BYTES
        return Digest("sha256:" + self.chunk.digests[start : start + DIGEST_BYTES].hex())


class Chunks:
    """A snapshot as the base of a fold (`waykeep.authority.journalstate.Base`).

    Args:
        refold: Folds the journal anew up to the snapshot's record, where a chunk is not what it should be.

    Attributes:
        whole: What that gave, once it was needed; then the chunks are not asked any more.
    """

    def __init__(self, index: Snapshot, reader: Reader, refold: Callable[[], JournalState]) -> None:
        self.index, self._reader, self._refold = index, reader, refold
        self.whole: JournalState | None = None
        self._held: dict[str, Held] = {}
        self._marks: Marks | None = None

    def held(self, line: ChunkRef) -> Held | None:
        """A chunk, or None where the store does not hold it as it was."""
        if line.name not in self._held:
            plain = self._open(objects(line)[0], line.digest)
            try:
                chunk = decode_frame(plain or b"", Chunk, limit=MAX_CHUNK, what="a snapshot's chunk")
            except FormatError:
                return None
            self._held[line.name] = Held(chunk)
        return self._held[line.name]

    def digest(self, number: int) -> Digest | None:
        line = next((line for line in self.index.chunks if line.first <= number <= line.last), None)
        if line is None:
            return None
        held = self._all([line])
        return self._folded().digest_at(number) if held is None else held[0].digest(number)

    def segment(self, name: str) -> SegmentEntry | None:
        held = self._holding("segment", name)
        if held is None:
            return self._folded().segments.get(name)
        return next((each.segments[name] for each in held if name in each.segments), None)

    def ran(self, run_id: str) -> bool:
        held = self._holding("run", run_id)
        return run_id in self._folded().runs if held is None else any(run_id in each.runs for each in held)

    def debit(self, request_id: str) -> Debited | None:
        held = self._holding("debit", request_id)
        if held is None:
            return self._folded().debits.get(request_id)
        return next((each.debits[request_id] for each in held if request_id in each.debits), None)

    def spent(self, request_id: str) -> bool:
        held = self._holding("spent", request_id)
        if held is None:
            return request_id in self._folded().outcomes
        return any(request_id in each.outcomes for each in held)

    def intended(self, study: Digest, period: int) -> Digest | None:
        held = self._holding("intended", _of(study, period))
        if held is None:
            return self._folded().intents.get((study, period))
        return next((each.intents[study, period] for each in held if (study, period) in each.intents), None)

    def contributing(self, study: Digest, repetition: int) -> StudyDebited | None:
        key, held = (study, repetition), self._holding("study-debit", _of(study, repetition))
        if held is None:
            return self._folded().contributions.get(key)
        return next((each.contributions[key] for each in held if key in each.contributions), None)

    def contributed(self, query: Digest) -> Contributed | None:
        held = self._holding("contributed", query)
        if held is None:
            return self._folded().sent.get(query)
        return next((each.sent[query] for each in held if query in each.sent), None)

    def of_stream(self, stream: str, from_ms: int, to_ms: int) -> list[tuple[int, SegmentEntry]]:
        """Segments of a stream, at least those that overlap a window, with their records' numbers; in their order."""
        spans = ((line, line.streams.get(stream)) for line in self.index.chunks)
        held = self._all([line for line, span in spans if span and span[0] < to_ms and span[1] >= from_ms])
        if held is None:
            whole = self._folded()
            lines = [(whole.places[name], entry) for name, entry in whole.segments.items()]
        else:
            lines = [line for each in held for line in each.chunk.segments]
        return [(number, entry) for number, entry in lines if entry.stream == stream]

    def _holding(self, kind: Kind, text: str) -> list[Held] | None:
        """The chunks that may hold something, None where not all of them are at hand."""
        if self._marks is None:
            self._marks = Marks([self._open(objects(line)[1], line.ids) for line in self.index.chunks])
        return self._all([self.index.chunks[number] for number in self._marks.find(kind, text)])

    def _all(self, lines: list[ChunkRef]) -> list[Held] | None:
        if self.whole is not None:
            return None
        found = [held for line in lines if (held := self.held(line)) is not None]
        return found if len(found) == len(lines) else None

    def _folded(self) -> JournalState:
        if self.whole is None:
            self.whole = self._refold()
        return self.whole

    def _open(self, name: str, digest: Digest) -> bytes | None:
        """The plaintext of an object of this snapshot, None if it is not the one that was written."""
        try:
            plain = self._reader.open("snapshots", name, limit=MAX_CHUNK)
        except (FormatError, VaultError) as error:
            if error.rule == "store-failed":
                raise
            return None
        return plain if plain is not None and sha256(plain) == digest else None
