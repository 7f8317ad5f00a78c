"""What an algorithm is, in words for the person who is asked to approve it.

All text of the author's was bounded and made printable by `waykeep.formats.manifest`; it is shown as theirs, indented
under headings of ours, so that it cannot pass for a statement of Waykeep's.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from typing import Final

from waykeep.formats import streams
from waykeep.formats.bundle import Bundle
from waykeep.formats.manifest import Boolean, Choice, Domain, Input, Integer, Manifest, Parameter, Value
from waykeep.formats.results import result_bits

_STREAMS: Final = {
    "location": "every position that your phone recorded",
    "filtered-location": "the positions that your phone recorded, without the doubtful ones",
    "motion-activity": "how your phone guessed that you moved",
    "battery": "the state of your phone's battery",
    "transition": "when your phone noticed that a trip began or ended",
}
_COLUMNS: Final = {
    "ts_ms": "when, to the thousandth of a second",
    "write_ms": "when the phone wrote it down, to the thousandth of a second",
    "lat_e7": "how far north or south, to about a centimetre",
    "lon_e7": "how far east or west, to about a centimetre",
    "accuracy_cm": "how sure the phone was of the place",
    "altitude_cm": "how high above the sea, to the centimetre",
    "speed_cm_s": "how fast you moved",
    "heading_cdeg": "in which direction you moved",
    "zone": "the time zone that you were in",
    "type": "the kind of movement: walking, cycling, in a vehicle, ...",
    "confidence": "how sure the phone was of it",
    "level_pct": "how full the battery was",
    "status": "whether it was charging",
    "state": "what the phone's trip detection was doing",
    "transition": "what it noticed",
    "entry": "the whole entry as your phone recorded it, with everything that is in it",
}
_WIDTH: Final = 100


def describe(bundle: Bundle) -> str:
    """A page of plain text: who made it, what it reads and how precisely, what it may tell, its limits, its digest."""
    manifest = bundle.manifest
    lines = [f"{manifest.name} {manifest.version}, by {manifest.author}", *_wrapped(manifest.summary, 0), ""]
    lines.append("What it would read of yours")
    for given in manifest.inputs:
        lines += _input(given)
    lines += ["", "What can be set"]
    lines += [line for given in manifest.parameters for line in _parameter(given)] or ["  Nothing."]
    lines += ["", "What would come out", *_output(manifest), "", "What holds it", *_limits(manifest), ""]
    lines += ["What exactly you would approve", *_source(bundle)]
    return "\n".join(lines) + "\n"


def _input(given: Input) -> Iterator[str]:
    yield f"  {given.stream}: {stream_in_words(given.stream)}"
    for column in given.columns:
        yield f"    - {column_in_words(column)}"
    yield from _wrapped(f"Its author says why: {given.why}", 4)


def _parameter(given: Parameter) -> Iterator[str]:
    yield f"  {given.name}: {domain_in_words(given.domain)}; {value_in_words(given.default)} unless you say otherwise"
    yield from _wrapped(given.meaning, 4)


def _output(manifest: Manifest) -> Iterator[str]:
    output = manifest.output
    yield from _wrapped(output.meaning, 2)
    yield f"  At most {output.max_rows:,} {'row' if output.max_rows == 1 else 'rows'}, each with"
    for field in output.fields:
        yield f"    - {field.name}: {domain_in_words(field.domain)}"
        yield from _wrapped(field.meaning, 6)
    yield from _wrapped(
        f"One run can tell at most {bits_in_words(result_bits(manifest))}. No other answer leaves it.", 2
    )


def _limits(manifest: Manifest) -> Iterator[str]:
    limits = manifest.limits
    yield "  It runs alone, without network, files or other programs, once, and then ends."
    yield f"  {limits.memory_mib:,} MiB of memory, {limits.cpu_s} s of computing, {limits.wall_s} s in all."


def _source(bundle: Bundle) -> Iterator[str]:
    sources = {path: content for path, content in bundle.files.items() if path.endswith(".py")}
    lines = sum(content.count(b"\n") for content in sources.values())
    size = sum(map(len, sources.values()))
    files = "1 file" if len(sources) == 1 else f"{len(sources)} files"
    yield f"  {files} of Python, {lines:,} lines, {size:,} bytes: {', '.join(sorted(sources))}"
    yield from _wrapped("It runs with " + ", ".join(f"{n} {v}" for n, v in sorted(bundle.libraries.items())) + ".", 2)
    yield f"  {bundle.digest}"
    yield "  The digest stands for exactly this: with one byte changed it is another algorithm, and not approved."


def stream_in_words(stream: str) -> str:
    """What a stream holds."""
    if streams.is_derived(stream):
        return "what another algorithm found and you had stored"
    return _STREAMS.get(stream, "entries of this kind, whole")


def column_in_words(column: str) -> str:
    """What a column holds, and its name."""
    return f"{_COLUMNS.get(column, 'as that algorithm describes it')} ({column})"


def domain_in_words(domain: Domain) -> str:
    """Which values a parameter or a field may take; a unit is in its author's words."""
    match domain:
        case Integer(minimum, maximum, unit):
            return f"a whole number from {minimum:,} to {maximum:,}" + (f" ({unit})" if unit else "")
        case Choice(values):
            return f"one of {', '.join(values)}"
        case Boolean():
            return "yes or no"


def value_in_words(value: Value) -> str:
    """A value of a parameter."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,}" if isinstance(value, int) else value


def bits_in_words(bits: float) -> str:
    """How much can be told, in bits, and where they are many also in KiB."""
    size = f"{bits:,.1f} bits" if bits < 100 else f"{bits:,.0f} bits"
    return size if bits < 8192 else f"{size} ({bits / 8192:,.1f} KiB)"


def _wrapped(text: str, indent: int) -> list[str]:
    margin = " " * indent
    return textwrap.wrap(text, _WIDTH, initial_indent=margin, subsequent_indent=margin, break_long_words=False)
