"""What changed between two versions of an algorithm, for an owner who approved the one and is asked for the other.

Beside `waykeep.algorithm.describe`: for programs of the owner's, never for an attested one. All is bounded and made
printable: the manifests' texts by `waykeep.formats.manifest`, the source by `waykeep.algorithm.difference_source`.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Final

import msgspec

from waykeep.algorithm import difference_manifest as manifests
from waykeep.algorithm.difference_source import HEADING, NOT_SHOWN, source_changes
from waykeep.formats.bundle import Bundle
from waykeep.formats.ids import Digest

MAX_SHOWN: Final = 2_000
"""The most lines of the source's difference that `tell` shows."""

_WIDTH: Final = 100


class Edition(msgspec.Struct, frozen=True):
    """An algorithm as it calls itself, and the digest that it is approved by."""

    name: str
    version: str
    digest: Digest


class Difference(msgspec.Struct, frozen=True):
    """Lines in plain words for each kind of change; empty where nothing changed.

    ``about`` is author, summary and entry; ``source`` a unified diff per ``.py`` file, see `difference_source`. An
    indented line belongs to the one before it, and may hold its author's words. ``widened`` has a sentence for each way
    in which the second asks for more data, may tell more bits, or takes more values of parameters.
    """

    before: Edition
    after: Edition
    about: tuple[str, ...]
    data: tuple[str, ...]
    parameters: tuple[str, ...]
    outputs: tuple[str, ...]
    limits: tuple[str, ...]
    libraries: tuple[str, ...]
    source: tuple[str, ...]
    widened: tuple[str, ...]

    @property
    def wider(self) -> bool:
        """Whether the second asks for, tells or takes more than the first."""
        return bool(self.widened)


def difference(before: Bundle, after: Bundle) -> Difference:
    """What is other in ``after``, in a few seconds at most, whatever they hold."""
    old, new = before.manifest, after.manifest
    return Difference(
        before=Edition(old.name, old.version, before.digest),
        after=Edition(new.name, new.version, after.digest),
        about=tuple(manifests.about(old, new)),
        data=tuple(manifests.data(old, new)),
        parameters=tuple(manifests.parameters(old, new)),
        outputs=tuple(manifests.outputs(old, new)),
        limits=tuple(manifests.limits(old, new)),
        libraries=tuple(manifests.libraries(before.libraries, after.libraries)),
        source=tuple(source_changes(before.files, after.files)),
        widened=tuple(manifests.widened(old, new)),
    )


def tell(found: Difference, *, shown: int = MAX_SHOWN) -> str:
    """A page of plain text: what is wider, what changed, and of the source's difference the first ``shown`` lines."""
    if found.before.digest == found.after.digest:
        return f"Nothing changed: both are {found.after.digest}, the same to the last byte.\n"
    parts = {
        "About it": found.about,
        "What it would read of yours": found.data,
        "What can be set": found.parameters,
        "What would come out": found.outputs,
        "What holds it": found.limits,
        "What it runs with": found.libraries,
    }
    lines = [*_editions(found), "", "What is wider than before", *_wider(found)]
    if not any(parts.values()):
        lines += ["", *_wrapped(_nothing_but(found))]
    for heading, part in parts.items():
        if part:
            lines += ["", heading, *(row for line in part for row in _wrapped(line))]
    if any(parts.values()) and (same := [heading for heading, part in parts.items() if not part]):
        lines += ["", "The same as before", *(f"  {heading}" for heading in same)]
    return "\n".join([*lines, "", "Its source", *_source(found, shown)]) + "\n"


def _editions(found: Difference) -> Iterator[str]:
    before, after = found.before, found.after
    yield f"{after.name} {after.version}, instead of {before.name} {before.version}"
    yield f"  before: {before.digest}"
    yield f"  now: {after.digest}"
    if before.name != after.name:
        yield "  They have different names: the second is not called a version of the first."
    elif before.version == after.version:
        yield "  Both call themselves the same version, and are not the same."
    elif _number(before.version) > _number(after.version):
        yield "  The second has the lower version: it is the older one, or says so."


def _number(version: str) -> tuple[int, ...]:
    return tuple(map(int, version.split(".")))


def _wider(found: Difference) -> Iterator[str]:
    for sentence in found.widened:
        yield from _wrapped(sentence)
    if not found.wider:
        yield from _wrapped(
            "Nothing: it asks for no more data than before, one run can tell no more, and it can be "
            "set in no more ways."
        )
        if found.outputs:
            yield "  Yet what it tells is not the same; see what would come out."


def _nothing_but(found: Difference) -> str:
    if found.source:
        return (
            "Nothing but its source changed: it reads the same data for the same reasons, with the same parameters, "
            "outputs, limits and libraries. What it makes of your data may be something else."
        )
    return "Nothing changed but its name or version, or how its manifest is written: it reads, does and tells the same."


def _source(found: Difference, shown: int) -> Iterator[str]:
    if not found.source:
        yield "  The same as before."
        return
    yield from (f"  {line.removeprefix(HEADING)}" for line in found.source if line.startswith(HEADING))
    yield ""
    yield "  - stands before a line as it was, + as it is now, > continues the line above. \\u.... and \\x.. stand for"
    yield "  a character that is not plain ASCII, and \\\\ for one backslash."
    yield ""
    yield from (f"  {line}" for line in found.source[:shown])
    more = len(found.source) - shown
    if more > 0:
        yield ""
        yield f"  {more:,} more {'line is' if more == 1 else 'lines are'} not shown."
        yield "  To see them say 'waykeep algo diff', with both digests."
    if any(NOT_SHOWN in line for line in found.source if line.startswith(HEADING)):
        yield "  To see all of it, get both bundles from your host (GET /v1/bundles/ and the digest), unpack each with"
        yield "  tar into a folder of its own, and say: diff -ruN before now | cat -v"


def _wrapped(line: str) -> list[str]:
    """The line between margins, whatever its words: nothing of an author's may come to stand at the left edge."""
    text = line.lstrip(" ")
    margin = " " * (2 + len(line) - len(text))
    return textwrap.wrap(
        text,
        _WIDTH if text.isascii() else _WIDTH // 2,  # a terminal may give a character the place of two
        initial_indent=margin,
        subsequent_indent=margin + "  ",
        break_on_hyphens=False,
    )
