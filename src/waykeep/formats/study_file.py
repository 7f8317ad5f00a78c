"""``study.toml`` as it stands in the file: its keys, their types and the bounds of each one alone.

`waykeep.device.drafting` makes a study of it. The format is TOML 1.0; ``docs/spec.md`` lists the keys.
"""

from __future__ import annotations

import datetime
import math
import tomllib
from typing import Annotated, Literal

import msgspec

from waykeep.errors import FormatError

MAX_FILE = 64 << 10
MAX_LINE = 4000
"""The longest line, in bytes; without it a dotted key takes a time quadratic in its length."""

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=2000)]
_Name = Annotated[str, msgspec.Meta(max_length=64)]
_Count = Annotated[int, msgspec.Meta(ge=1, le=100_000)]
Value = int | str | bool


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class QuestionFile(_File, frozen=True):
    """One question.

    Attributes:
        algorithm: A bundle's digest, or its folder beside the file.
        value, keys: Fields of the algorithm's rows.
        minimum, maximum, most_cells, total, default: Bounds of one person's contribution.
        mechanism: The noise; with one of ``epsilon``, or ``offset`` and ``alpha``.
        together: The offset holds for all cells at once, rather than for each alone.
        from_, to, last, areas, precision, times: As an owner types them (``from`` in the file).
    """

    asks: _Text
    algorithm: Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
    value: _Name
    maximum: int
    keys: Annotated[tuple[_Name, ...], msgspec.Meta(max_length=3)] = ()
    minimum: int = 0
    most_cells: int = 1
    total: int | None = None
    default: int = 0
    mechanism: Literal["laplace", "gaussian"] = "laplace"
    epsilon: float | None = None
    offset: float | None = None
    alpha: float | None = None
    together: bool = False
    unit: _Name = ""
    per: int = 1
    threshold: int | None = None
    from_: str = msgspec.field(default="", name="from")
    to: str = ""
    last: str = ""
    areas: Annotated[tuple[str, ...], msgspec.Meta(max_length=8)] = ()
    precision: str = ""
    times: str = ""
    parameters: dict[str, Value] = {}


class AggregatorFile(_File, frozen=True):
    """Measurements, as 'waykeep measure' prints them."""

    supervisors: tuple[str, ...]
    aggregators: tuple[str, ...]


class StudyFile(_File, frozen=True):
    """See `waykeep.authority.studies.Study`; durations as ``15m``, ``24h`` or ``7d``."""

    title: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    purpose: _Text
    ethics: Annotated[str, msgspec.Meta(min_length=1, max_length=200)]
    consent: _Text
    consent_version: _Name
    minimum: _Count
    target: _Count
    starts: datetime.datetime
    period: str
    gather: str
    answer: str
    questions: Annotated[dict[str, QuestionFile], msgspec.Meta(min_length=1, max_length=16)]
    deadline: str = "20s"
    periods: int = 1
    repetitions: int = 1
    aggregator: AggregatorFile | None = None


def parse(data: bytes) -> StudyFile:
    """The file behind its bytes.

    Raises: FormatError: ``study-file-malformed`` (no TOML, an unknown or missing key, a wrong type or bound), where a
        number is infinite or none as well.
    """
    if len(data) > MAX_FILE or any(len(line) > MAX_LINE for line in data.split(b"\n")):
        raise _malformed(f"a file over {MAX_FILE} bytes, or a line over {MAX_LINE}")
    try:
        found = msgspec.convert(tomllib.loads(data.decode()), type=StudyFile, strict=True)
    except msgspec.ValidationError as error:
        raise _malformed(f"a key that does not fit: {_printable(error)}") from None
    except (ValueError, RecursionError) as error:
        raise _malformed(f"no TOML: {_printable(error)}") from None
    if found.starts.tzinfo is None:
        raise _malformed("a beginning without a zone, such as 2026-12-01T00:00:00Z")
    for name, question in found.questions.items():
        given = (question.epsilon, question.offset, question.alpha)
        if any(value is not None and not math.isfinite(value) for value in given):
            raise _malformed(f"a number of {name} that is none")
    return found


def _printable(error: Exception) -> str:
    return "".join(c for c in str(error) if c.isprintable())[:200]


def _malformed(what: str) -> FormatError:
    return FormatError("study-file-malformed", f"found {what}", hint="'waykeep study create --help' shows a file")
