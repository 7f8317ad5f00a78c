"""Two manifests compared, in plain words: what is newly asked for, set or told, and what of it is more than before.

Each function yields lines. A line that is indented may hold text of an author's, which `waykeep.formats.manifest` made
printable; the others are Waykeep's own words, with names of a few known characters.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from waykeep.algorithm.describe import bits_in_words, column_in_words, domain_in_words, stream_in_words, value_in_words
from waykeep.formats.manifest import Choice, Domain, Field, Input, Integer, Manifest, Parameter
from waykeep.formats.results import result_bits


def about(before: Manifest, after: Manifest) -> Iterator[str]:
    """Who says what about it, and where it begins."""
    yield from _said("Another author", before.author, after.author)
    yield from _said("Another summary", before.summary, after.summary)
    yield from _said("It begins at another place", _entry(before), _entry(after))


def data(before: Manifest, after: Manifest) -> Iterator[str]:
    """Streams and columns newly or no longer asked for, and the reasons given."""
    old, new = _inputs(before), _inputs(after)
    for stream, given in new.items():
        if stream not in old:
            yield f"{stream} is newly asked for: {stream_in_words(stream)}"
            yield from (f"  - {column_in_words(column)}" for column in given.columns)
            yield f"  Its author says why: {given.why}"
            continue
        had = old[stream]
        more, less = _without(given.columns, had.columns), _without(had.columns, given.columns)
        yield from (f"{stream}: newly asked for is {column_in_words(column)}" for column in more)
        yield from (f"{stream}: no longer asked for is {column_in_words(column)}" for column in less)
        yield from _order(f"{stream}: the columns", had.columns, given.columns)
        yield from _said(f"{stream}: its author gives another reason", had.why, given.why)
    yield from (f"{stream} is no longer asked for: {stream_in_words(stream)}" for stream in _without(old, new))
    yield from _order("The streams", old, new)


def parameters(before: Manifest, after: Manifest) -> Iterator[str]:
    """What can be set, newly, no longer or otherwise."""
    old, new = _parameters(before), _parameters(after)
    for name, given in new.items():
        words, value = domain_in_words(given.domain), value_in_words(given.default)
        if name not in old:
            yield f"{name} can newly be set"
            yield f"  {words}; {value} unless you say otherwise"
            yield f"  {given.meaning}"
            continue
        had = old[name]
        yield from _domain(f"{name} takes", had.domain, given.domain)
        yield from _said(f"{name} has another value unless you say otherwise", value_in_words(had.default), value)
        yield from _said(f"{name} is said to mean something else", had.meaning, given.meaning)
    yield from (f"{name} can no longer be set" for name in _without(old, new))
    yield from _order("The parameters", old, new)


def outputs(before: Manifest, after: Manifest) -> Iterator[str]:
    """What may come out, and how much it can tell."""
    old, new = _fields(before), _fields(after)
    yield from _said("The result is said to mean something else", before.output.meaning, after.output.meaning)
    if before.output.max_rows != after.output.max_rows:
        yield f"Rows: at most {before.output.max_rows:,} before, {after.output.max_rows:,} now"
    for name, given in new.items():
        if name not in old:
            yield f"{name} is newly told in each row"
            yield f"  {domain_in_words(given.domain)}"
            yield f"  {given.meaning}"
            continue
        yield from _domain(f"{name} tells", old[name].domain, given.domain)
        yield from _said(f"{name} is said to mean something else", old[name].meaning, given.meaning)
    yield from (f"{name} is no longer told" for name in _without(old, new))
    yield from _order("The fields of a row", old, new)
    if result_bits(before) != result_bits(after):
        yield f"One run can tell at most {_bits(before, after)}"


def limits(before: Manifest, after: Manifest) -> Iterator[str]:
    """Memory and time."""
    old, new = before.limits, after.limits
    for what, was, now, unit in (
        ("Memory", old.memory_mib, new.memory_mib, "MiB"),
        ("Time of computing", old.cpu_s, new.cpu_s, "s"),
        ("Time in all", old.wall_s, new.wall_s, "s"),
    ):
        if was != now:
            yield f"{what}: {was:,} {unit} before, {now:,} {unit} now"


def libraries(before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[str]:
    """Versions of what it runs with, by name."""
    for name in sorted({*before, *after}):
        if name not in before:
            yield f"{name} {after[name]} is new"
        elif name not in after:
            yield f"{name} {before[name]} is gone"
        elif before[name] != after[name]:
            yield f"{name} {before[name]} before, {after[name]} now"


def widened(before: Manifest, after: Manifest) -> Iterator[str]:
    """A sentence for each way in which the second asks for, tells or takes more than the first."""
    old = _inputs(before)
    asked = [
        f"{stream} ({', '.join(more)})"
        for stream, given in _inputs(after).items()
        if (more := _without(given.columns, old[stream].columns if stream in old else ()))
    ]
    if asked:
        yield f"It asks for more than before: {', '.join(asked)}."
    if result_bits(after) > result_bits(before):
        yield f"One run can tell more than before: at most {_bits(before, after)}."
    had = _parameters(before)
    freer = [
        name
        for name, given in _parameters(after).items()
        if (has_more(had[name].domain, given.domain) if name in had else given.domain.size > 1)
    ]
    if freer:
        yield f"It can be set in more ways than before: {', '.join(freer)}."


def has_more(before: Domain, after: Domain) -> bool:
    """Whether ``after`` holds a value that ``before`` does not."""
    match before, after:
        case Integer(), Integer():
            return after.minimum < before.minimum or after.maximum > before.maximum
        case Choice(), Choice():
            return bool(_without(after.values, before.values))
        case _:
            return type(before) is not type(after)


def _domain(what: str, before: Domain, after: Domain) -> Iterator[str]:
    if before == after:
        return
    more, less = has_more(before, after), has_more(after, before)
    if more and less:
        how = "other values"
    elif more or less:
        how = "more values" if more else "fewer values"
    else:
        how = "the same values, said otherwise"
    yield f"{what} {how}"
    yield f"  before: {domain_in_words(before)}"
    yield f"  now: {domain_in_words(after)}"


def _said(what: str, before: str, after: str) -> Iterator[str]:
    if before != after:
        yield what
        yield f"  before: {before}"
        yield f"  now: {after}"


def _order(what: str, before: Iterable[str], after: Iterable[str]) -> Iterator[str]:
    old, new = tuple(before), tuple(after)
    if [name for name in old if name in new] != [name for name in new if name in old]:
        yield f"{what} come in another order"


def _without(names: Iterable[str], others: Iterable[str]) -> Sequence[str]:
    known = set(others)
    return [name for name in names if name not in known]


def _bits(before: Manifest, after: Manifest) -> str:
    was, now = result_bits(before), result_bits(after)
    one, other = bits_in_words(was), bits_in_words(now)
    return f"{one} before, {other} now" + (f" ({now - was:+.2g} bits)" if one == other else "")


def _entry(manifest: Manifest) -> str:
    return f"{manifest.module}:{manifest.function}"


def _inputs(manifest: Manifest) -> dict[str, Input]:
    return {given.stream: given for given in manifest.inputs}


def _parameters(manifest: Manifest) -> dict[str, Parameter]:
    return {given.name: given for given in manifest.parameters}


def _fields(manifest: Manifest) -> dict[str, Field]:
    return {field.name: field for field in manifest.output.fields}
