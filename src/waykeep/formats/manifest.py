"""``algorithm.toml``: what an algorithm is, which data it asks for, and what may come out of it.

Everything in it is bounded here, once: a name, a range or a text that this module returned needs no second look.
Parameters and output fields take their values from a *domain* (`Integer`, `Choice`, `Boolean`); there are no floats
and no free text, so the number of results that a schema allows can be counted (`waykeep.formats.results`).
The format is TOML 1.0; ``docs/spec.md`` lists the keys.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from typing import Final, TypeVar

import msgspec

from waykeep.errors import FormatError
from waykeep.formats import manifest_file, streams

Value = int | str | bool

MAX_MANIFEST: Final = 32 << 10
"""The largest manifest, in bytes."""
MAX_LINE: Final = 500
"""The longest line, in bytes: `tomllib` takes time quadratic in the length of a dotted key (64 KiB of it: 19 s)."""
MAX_RESULT: Final = 3 << 20
"""The largest result that a schema may allow, in bytes of MessagePack; so it always fits a frame."""

_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{0,31}")
_VERSION = re.compile(r"(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})\.(0|[1-9][0-9]{0,5})")
_ENTRY = re.compile(r"([a-z_][a-z0-9_]*(?:\.[a-z_][a-z0-9_]*){0,3}):([a-zA-Z_][a-zA-Z0-9_]{0,63})")
_CHOICE = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")

K = TypeVar("K")


class _Frozen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Integer(_Frozen, frozen=True):
    """The integers ``minimum <= value <= maximum`` (within int64); ``unit`` is words for a person, or empty."""

    minimum: int
    maximum: int
    unit: str = ""

    @property
    def size(self) -> int:
        """Number of values in the domain."""
        return self.maximum - self.minimum + 1

    def holds(self, value: object) -> bool:
        """Whether ``value`` lies in the domain; a bool is no integer."""
        return type(value) is int and self.minimum <= value <= self.maximum


class Choice(_Frozen, frozen=True):
    """One of the words ``values``."""

    values: tuple[str, ...]

    @property
    def size(self) -> int:
        return len(self.values)

    def holds(self, value: object) -> bool:
        return type(value) is str and value in self.values


class Boolean(_Frozen, frozen=True):
    """True or false."""

    @property
    def size(self) -> int:
        return 2

    def holds(self, value: object) -> bool:
        return type(value) is bool


Domain = Integer | Choice | Boolean


class Input(_Frozen, frozen=True):
    """A stream that the algorithm asks for, the columns of it, and in plain words why."""

    stream: str
    columns: tuple[str, ...]
    why: str


class Parameter(_Frozen, frozen=True):
    name: str
    domain: Domain
    default: Value
    meaning: str


class Field(_Frozen, frozen=True):
    """A column of the result."""

    name: str
    domain: Domain
    meaning: str


class Output(_Frozen, frozen=True):
    """The result: at most ``max_rows`` rows, each with exactly these fields, in this order."""

    meaning: str
    max_rows: int
    fields: tuple[Field, ...]


class Limits(_Frozen, frozen=True):
    """Memory beyond that of the preloaded libraries (MiB), processor time and time of the clock (seconds)."""

    memory_mib: int
    cpu_s: int
    wall_s: int


CEILINGS: Final = Limits(manifest_file.MAX_MEMORY_MIB, manifest_file.MAX_CPU_S, manifest_file.MAX_WALL_S)
"""The limits of any algorithm."""


class Manifest(_Frozen, frozen=True):
    """A manifest that was checked. ``module`` is dotted, ``function`` a name in it."""

    name: str
    version: str
    author: str
    summary: str
    module: str
    function: str
    inputs: tuple[Input, ...]
    parameters: tuple[Parameter, ...]
    limits: Limits
    output: Output

    def input(self, stream: str) -> Input | None:
        """The input of that stream, if the algorithm asks for it."""
        return next((given for given in self.inputs if given.stream == stream), None)


def parse_manifest(data: bytes) -> Manifest:
    """The manifest in the bytes of an ``algorithm.toml``.

    Raises:
        FormatError: ``manifest-too-large``, ``manifest-malformed`` (no TOML, an unknown or missing key, a wrong type
            or bound), ``manifest-name``, ``manifest-text``, ``manifest-input``, ``manifest-domain``,
            ``manifest-output-too-large``.
    """
    if len(data) > MAX_MANIFEST:
        raise FormatError(
            "manifest-too-large", f"found {len(data)} bytes, at most {MAX_MANIFEST} are taken", status=413
        )
    if any(len(line) > MAX_LINE for line in data.split(b"\n")):
        raise FormatError("manifest-malformed", f"found a line of more than {MAX_LINE} bytes")
    try:
        file = msgspec.convert(tomllib.loads(data.decode()), type=manifest_file.File, strict=True)
    except msgspec.ValidationError as error:
        raise FormatError("manifest-malformed", f"found a manifest that does not fit: {_printable(error)}") from None
    except (ValueError, RecursionError) as error:
        raise FormatError("manifest-malformed", f"found no TOML: {_printable(error)}") from None

    match = _ENTRY.fullmatch(file.entry)
    if not _NAME.fullmatch(file.name) or not _VERSION.fullmatch(file.version) or match is None:
        raise FormatError(
            "manifest-name",
            "found a name, version or entry in another form than Waykeep's",
            hint='expected like name = "trips", version = "1.0.0", entry = "trips:run"',
        )
    manifest = Manifest(
        name=file.name,
        version=file.version,
        author=_text(file.author),
        summary=_text(file.summary),
        module=match[1],
        function=match[2],
        inputs=tuple(_input(stream, given) for stream, given in file.inputs.items()),
        parameters=tuple(_parameter(name, given) for name, given in _named(file.parameters).items()),
        limits=Limits(file.limits.memory_mib, file.limits.cpu_s, file.limits.wall_s),
        output=Output(
            meaning=_text(file.output.meaning),
            max_rows=file.output.max_rows,
            fields=tuple(
                Field(name, _domain(name, given), _text(given.meaning))
                for name, given in _named(file.output.fields).items()
            ),
        ),
    )
    if max_result_bytes(manifest) > MAX_RESULT:
        raise FormatError(
            "manifest-output-too-large",
            f"found a schema whose largest result exceeds {MAX_RESULT} bytes",
            hint="declare fewer rows or fields",
        )
    return manifest


def max_result_bytes(manifest: Manifest) -> int:
    """The length in bytes of the longest result in MessagePack (headers of at most 5 bytes, integers of 9)."""

    def cell(field: Field) -> int:
        longest = max(map(len, field.domain.values)) if isinstance(field.domain, Choice) else 4
        return 5 + len(field.name) + 5 + longest

    return 64 + manifest.output.max_rows * (5 + sum(cell(field) for field in manifest.output.fields))


def _input(stream: str, given: manifest_file.Input) -> Input:
    known = streams.parse_stream(stream)
    if len(set(given.columns)) != len(given.columns):
        raise FormatError("manifest-input", f"found a column of {known} twice")
    names = None if streams.is_derived(known) else streams.schema(known).names
    for column in given.columns:
        if not _IDENTIFIER.fullmatch(column) or (names is not None and column not in names):
            raise FormatError("manifest-input", f"found a column that {known} does not have")
    return Input(known, given.columns, _text(given.why))


def _parameter(name: str, given: manifest_file.Parameter) -> Parameter:
    domain = _domain(name, given)
    if not domain.holds(given.default):
        raise FormatError("manifest-domain", f"found a default of {name} that it does not allow")
    return Parameter(name, domain, given.default, _text(given.meaning))


def _domain(name: str, given: manifest_file.Parameter | manifest_file.Field) -> Domain:
    if isinstance(given, manifest_file.IntegerParameter | manifest_file.IntegerField):
        if given.minimum > given.maximum:
            raise FormatError("manifest-domain", f"found a minimum of {name} above its maximum")
        return Integer(given.minimum, given.maximum, _text(given.unit) if given.unit else "")
    if isinstance(given, manifest_file.ChoiceParameter | manifest_file.ChoiceField):
        if len(set(given.values)) != len(given.values) or not all(map(_CHOICE.fullmatch, given.values)):
            raise FormatError(
                "manifest-domain", f"found values of {name} that repeat, or are no words of a-z, 0-9, _, -"
            )
        return Choice(given.values)
    return Boolean()


def _named(table: Mapping[str, K]) -> Mapping[str, K]:
    for name in table:
        if not _IDENTIFIER.fullmatch(name):
            raise FormatError("manifest-name", "found a parameter or field whose name is not a-z, 0-9, _")
    return table


def _text(text: str) -> str:
    """Text that is shown to people: one line, printable, so it cannot hide or reorder what stands beside it."""
    if not text.isprintable() or not text.strip():
        raise FormatError("manifest-text", "found text with characters that do not print, expected one line of words")
    return text


def _printable(error: Exception) -> str:
    return "".join(c for c in str(error) if c.isprintable())[:200]
