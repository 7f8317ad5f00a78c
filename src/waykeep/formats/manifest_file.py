"""``algorithm.toml`` as it stands in the file: its keys, their types and the bounds of each one alone.

`waykeep.formats.manifest` checks the rest (names, texts, what fits to what) and makes of it what others use.
"""

from __future__ import annotations

from typing import Annotated, Final

import msgspec

MAX_ROWS: Final = 10_000
"""The most rows of a result."""
MAX_FIELDS: Final = 32
"""The most fields of a row."""
MAX_MEMORY_MIB, MAX_CPU_S, MAX_WALL_S = 1024, 60, 120
"""The runner's ceilings: memory beyond that of the preloaded libraries, time of the processor, time of the clock."""

_INT64: Final = 1 << 63

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=300)]
_Int64 = Annotated[int, msgspec.Meta(ge=-_INT64, le=_INT64 - 1)]
_Unit = Annotated[str, msgspec.Meta(max_length=60)]
_Words = Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=64)]


class _Frozen(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Input(_Frozen, frozen=True):
    columns: Annotated[tuple[str, ...], msgspec.Meta(min_length=1, max_length=32)]
    why: _Text


class IntegerParameter(_Frozen, frozen=True, tag_field="type", tag="integer"):
    minimum: _Int64
    maximum: _Int64
    default: int
    meaning: _Text
    unit: _Unit = ""


class ChoiceParameter(_Frozen, frozen=True, tag_field="type", tag="choice"):
    values: _Words
    default: str
    meaning: _Text


class BooleanParameter(_Frozen, frozen=True, tag_field="type", tag="boolean"):
    default: bool
    meaning: _Text


class IntegerField(_Frozen, frozen=True, tag_field="type", tag="integer"):
    minimum: _Int64
    maximum: _Int64
    meaning: _Text
    unit: _Unit = ""


class ChoiceField(_Frozen, frozen=True, tag_field="type", tag="choice"):
    values: _Words
    meaning: _Text


class BooleanField(_Frozen, frozen=True, tag_field="type", tag="boolean"):
    meaning: _Text


Parameter = IntegerParameter | ChoiceParameter | BooleanParameter
Field = IntegerField | ChoiceField | BooleanField


class Limits(_Frozen, frozen=True):
    memory_mib: Annotated[int, msgspec.Meta(ge=16, le=MAX_MEMORY_MIB)]
    cpu_s: Annotated[int, msgspec.Meta(ge=1, le=MAX_CPU_S)]
    wall_s: Annotated[int, msgspec.Meta(ge=1, le=MAX_WALL_S)]


class Output(_Frozen, frozen=True):
    meaning: _Text
    max_rows: Annotated[int, msgspec.Meta(ge=1, le=MAX_ROWS)]
    fields: Annotated[dict[str, Field], msgspec.Meta(min_length=1, max_length=MAX_FIELDS)]


class File(_Frozen, frozen=True):
    """The whole file."""

    name: str
    version: str
    author: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    summary: _Text
    entry: str
    inputs: Annotated[dict[str, Input], msgspec.Meta(min_length=1, max_length=16)]
    limits: Limits
    output: Output
    parameters: Annotated[dict[str, Parameter], msgspec.Meta(max_length=32)] = {}
