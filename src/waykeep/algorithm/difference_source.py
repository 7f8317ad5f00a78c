"""The Python source of two bundles, compared line by line, for the eyes of the person who is asked to approve one.

The source is hostile until they approved it, so what is shown cannot differ from what would run:

- Only printable ASCII is shown as itself. Every other character (control, tab, a right-to-left override, a letter that
  only looks like another) is a ``\\u`` escape, a byte that is no UTF-8 a ``\\x`` escape, and a backslash is doubled, so
  that an escape of ours is never one of the author's.
- Lines end where they end for Python (LF, CR, CRLF), and nowhere else.
- The first character of a line is ours: `` ``, ``+``, ``-``, ``@`` as in a unified diff (POSIX.1-2017, diff -u),
  ``>`` continues the line above, ``\\`` is a remark, and ``===`` stands before what is said about a file.
- A file that tells Python another encoding than UTF-8 (PEP 263) is named: there, escapes could be code.

`difflib` takes time up to the product of lines and matches. Its work is bounded before it begins, for all files
together; a file beyond that is told by its digests.
"""

from __future__ import annotations

import difflib
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from typing import Final

from waykeep.formats import ids

HEADING: Final = "=== "
NOT_SHOWN: Final = "not shown line by line"
"""In the heading of a file that is too large to compare."""
MAX_LINES: Final = 5_000
"""The most lines of one file, before or after, that are compared; lines at both ends that are the same do not count."""
MAX_ALL_LINES: Final = 50_000
"""The most lines of all files."""
MAX_WORK: Final = 30_000_000
"""The most steps of `difflib` for all files, each about 70 ns."""
WIDTH: Final = 96
"""The longest line, in characters; what is longer is continued below."""

_CONTEXT = 3
_POPULAR_FROM, _POPULAR_PART = 200, 100
"""From how many lines on `difflib` passes over lines that are more than one in a hundred ("autojunk")."""
_LINE = re.compile(r"[^\r\n]*(?:\r\n?|\n)|[^\r\n]+")
_PLAIN = re.compile(r"[ -\[\]-~]*")
_HUNK = re.compile(r"@@ -([0-9]+)(.*) \+([0-9]+)(.*) @@")
_CODING = re.compile(rb"coding[:=][ \t]*([-\w.]{1,40})", re.ASCII)


class _Budget:
    """What is left of lines and of work."""

    def __init__(self) -> None:
        self._lines, self._work = MAX_ALL_LINES, MAX_WORK

    def take(self, before: Sequence[str], after: Sequence[str]) -> bool:
        """Whether these lines may be compared; then what they cost is gone."""
        lines = len(before) + len(after)
        if max(len(before), len(after)) > MAX_LINES or lines > self._lines:
            return False
        work = _work(before, after)
        if work > self._work:
            return False
        self._lines -= lines
        self._work -= work
        return True


def source_changes(before: Mapping[str, bytes], after: Mapping[str, bytes]) -> Iterator[str]:
    """Printable lines, of at most `WIDTH` characters but for headings, for each ``.py`` file that is not the same."""
    budget = _Budget()
    for path in sorted(path for path in {*before, *after} if path.endswith(".py")):
        old, new = before.get(path), after.get(path)
        if old != new:
            yield from _file(path, old, new, budget)


def _file(path: str, old: bytes | None, new: bytes | None, budget: _Budget) -> Iterator[str]:
    what = "added" if old is None else "removed" if new is None else "changed"
    was, now = _lines(old or b""), _lines(new or b"")
    skip, one, other = _middle(was, now)
    if not budget.take(one, other):
        sizes = [f"{_count(len(was))} before ({ids.sha256(old)})"] if old is not None else []
        sizes += [f"{_count(len(now))} now ({ids.sha256(new)})"] if new is not None else []
        yield f"{HEADING}{path}: {'replaced' if what == 'changed' else what}, {NOT_SHOWN}:"
        yield from (f"{HEADING}  {size}" for size in sizes)
        yield from _encoding(path, new)
        return
    # The first two lines name the files.
    found = list(difflib.unified_diff(one, other, n=_CONTEXT))[2:]
    signs = Counter(line[0] for line in found)
    counts = [f"{_count(signs[sign])} {did}" for sign, did in (("+", "added"), ("-", "removed")) if signs[sign]]
    size = ", ".join(counts) if what == "changed" else _count(len(was) + len(now))
    yield f"{HEADING}{path}: {what}, {size}"
    yield from _encoding(path, new)
    yield from chain.from_iterable(_shown(line, skip) for line in found)


def _count(lines: int) -> str:
    return "1 line" if lines == 1 else f"{lines:,} lines"


def _encoding(path: str, content: bytes | None) -> Iterator[str]:
    for line in re.split(rb"\r\n?|\n", content or b"", maxsplit=2)[:2]:
        for name in _CODING.findall(line) if b"#" in line else ():
            if name.lower().replace(b"_", b"-") not in (b"utf-8", b"utf8"):
                yield f"{HEADING}{path}: names another encoding, {name.decode()}: it may do other than it seems to"


def _lines(content: bytes) -> list[str]:
    return _LINE.findall(content.decode("utf-8", "surrogateescape"))


def _middle(was: list[str], now: list[str]) -> tuple[int, list[str], list[str]]:
    """How many lines both begin with, beyond those of context; and of both what lies between equal ends."""
    most = min(len(was), len(now))
    head = next((at for at in range(most) if was[at] != now[at]), most)
    tail = next((at for at in range(most - head) if was[-1 - at] != now[-1 - at]), most - head)
    skip, drop = max(0, head - _CONTEXT), max(0, tail - _CONTEXT)
    return skip, was[skip : len(was) - drop], now[skip : len(now) - drop]


def _work(before: Sequence[str], after: Sequence[str]) -> int:
    """An upper bound of the steps of `difflib.SequenceMatcher`.

    It searches the longest match, and then on both sides of it. At any depth of this the parts of ``before`` do not
    overlap, so a depth takes at most a step per line and per line of ``after`` that equals it. Each depth but the last
    has found a match, with a line in it that is not passed over, or else where both begin (once at most, for to the
    right of a match both begin with different lines).
    """
    counts = Counter(after)
    most = len(after) // _POPULAR_PART + 1 if len(after) >= _POPULAR_FROM else len(after)
    equal = [count for line in before if 0 < (count := counts[line]) <= most]
    return (len(before) + sum(equal)) * (min(len(equal), len(after)) + 2)


def _shown(line: str, skip: int) -> Iterator[str]:
    if (hunk := _HUNK.match(line)) is not None:
        yield f"@@ -{int(hunk[1]) + skip}{hunk[2]} +{int(hunk[3]) + skip}{hunk[4]} @@"
        return
    text = line.removesuffix("\n")
    yield from [text] if _PLAIN.fullmatch(text) and len(text) <= WIDTH else _folded(text)
    if not line.endswith(("\n", "\r")):
        yield "\\ the file ends here, without the end of a line"


def _folded(text: str) -> Iterator[str]:
    row = ""
    for character in text:
        shown = _printable(character)
        if len(row) + len(shown) > WIDTH:
            yield row
            row = ">"
        row += shown
    yield row


@lru_cache(maxsize=1024)
def _printable(character: str) -> str:
    number = ord(character)
    if character == "\\":
        return "\\\\"
    if " " <= character <= "~":
        return character
    if 0xDC80 <= number <= 0xDCFF:  # what "surrogateescape" makes of a byte that is no UTF-8
        return f"\\x{number - 0xDC00:02x}"
    return f"\\u{number:04x}" if number <= 0xFFFF else f"\\U{number:08x}"
