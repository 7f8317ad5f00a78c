"""One scan under way: matches what it reads, and takes apart what lies packed in it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from waykeep.demo.canaries import MINIMUM_PATTERN, Canary
from waykeep.demo.findings import Finding, ScanReport, Skipped
from waykeep.demo.matcher import Matcher
from waykeep.demo.places import Buffer, Together
from waykeep.demo.unpack import MAGIC_BYTES, Form, Source, find, unpack

_CHUNK = 4 << 20
_BATCH = 8 << 20

_DEPTH = 4
_STREAM_BYTES = 64 << 20
_UNPACKED_BYTES = 1 << 30
"""What may come out of one stream, and out of one place; the rest is counted as skipped."""


class Scanner:
    """Looks through places one after the other.

    Args:
        canaries: What to look for, or a matcher made of it.

    Raises:
        ValueError: There is nothing to look for.
    """

    def __init__(self, canaries: Sequence[Canary] | Matcher) -> None:
        self._matcher = canaries if isinstance(canaries, Matcher) else Matcher(canaries)
        self._overlap = max(self._matcher.longest, MAGIC_BYTES, 64)
        self._places = self._bytes = self._unpacked = self._left = 0
        self._findings: dict[tuple[str, int], tuple[int, int]] = {}
        self._skipped: Counter[str] = Counter()
        self._examples: dict[str, str] = {}

    def look(self, place: str, source: Source, base: int = 0) -> None:
        """Looks through one place; `base` is added to the offsets in it."""
        self._left = _UNPACKED_BYTES
        self._look_into(source, lambda offset: (place, base + offset), 0)
        self._places += 1
        self._bytes += source.size - source.lost
        if source.lost:
            self.skip("bytes that cannot be read", place, source.lost)

    def skip(self, reason: str, place: str, count: int = 1) -> None:
        """Notes that something was not looked at."""
        self._skipped[reason] += count
        self._examples.setdefault(reason, place)

    def report(self) -> ScanReport:
        """What was found so far."""
        canaries = self._matcher.canaries
        return ScanReport(
            self._places,
            self._bytes,
            self._unpacked,
            tuple(
                Finding(canaries[number].kind, canaries[number].label, place, offset, count)
                for (place, number), (offset, count) in self._findings.items()
            ),
            tuple(Skipped(reason, self._examples[reason], count) for reason, count in self._skipped.items()),
        )

    def _look_into(self, source: Source, where: Callable[[int], tuple[str, int]], depth: int) -> None:
        inner = Together()
        base64_done = 0
        for start in range(0, source.size, _CHUNK):
            data = source.read(start, _CHUNK + self._overlap)
            self._match(data, start, where)
            for offset, form in find(data, _CHUNK) if depth < _DEPTH else ():
                if form == "base64" and start + offset < base64_done:
                    continue
                used = self._take_apart(source, start + offset, form, where, inner)
                base64_done = max(base64_done, start + offset + used)
                if len(inner.data) >= _BATCH:
                    self._look_into(Buffer(bytes(inner.data)), inner.where, depth + 1)
                    inner = Together()
        if inner.data:
            self._look_into(Buffer(bytes(inner.data)), inner.where, depth + 1)

    def _match(self, data: bytes, start: int, where: Callable[[int], tuple[str, int]]) -> None:
        for offset, number in self._matcher.search(data):
            # What begins in the overlap begins in the next chunk as well.
            if offset < _CHUNK:
                place, at = where(start + offset)
                first, count = self._findings.get((place, number), (at, 0))
                self._findings[place, number] = first, count + 1

    def _take_apart(
        self, source: Source, offset: int, form: Form, where: Callable[[int], tuple[str, int]], inner: Together
    ) -> int:
        outside, at = where(offset)
        used = 0
        for unpacked in unpack(source, offset, form, min(_STREAM_BYTES, self._left)):
            used = max(used, unpacked.used)
            place = f"{outside} > {form}@{at:#x}{unpacked.part and ' ' + unpacked.part}"
            if len(unpacked.data) >= MINIMUM_PATTERN:
                inner.add(place, unpacked.data)
                self._unpacked += len(unpacked.data)
                self._left = max(0, self._left - len(unpacked.data))
            if unpacked.left_out:
                self.skip(f"packed, {unpacked.left_out}", place)
        return used
