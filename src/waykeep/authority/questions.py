"""A question of a study, and the bundle that answers it: whether they fit, and the vector that its rows make."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from waykeep.authority.scopes import Columns
from waykeep.authority.studies import Axis, Question
from waykeep.errors import AuthorityError, WaykeepError
from waykeep.formats import results, streams
from waykeep.formats.bundle import Bundle
from waykeep.formats.manifest import Boolean, Choice, Domain, Integer
from waykeep.formats.messages import Value


def check(question: Question, bundle: Bundle) -> None:
    """Whether a question is one that its bundle answers. Raises: AuthorityError: ``study-mismatch`` (409)."""
    manifest = bundle.manifest
    fields = {field.name: field.domain for field in manifest.output.fields}
    allowed = question.scope.streams or {}
    try:
        fits = (
            bundle.digest == question.algorithm
            and isinstance(fields.get(question.value), Integer)
            and len({question.value, *(axis.field for axis in question.keys)}) == 1 + len(question.keys)
            and all(axis.field in fields and axis_of(axis.field, fields[axis.field]) == axis for axis in question.keys)
            and all(set(columns) <= set(allowed.get(stream, ())) for stream, columns in inputs(bundle).items())
            and results.check_parameters(manifest, question.parameters) == question.parameters
        )
    except WaykeepError:
        fits = False
    if not fits:
        raise AuthorityError(
            "study-mismatch",
            f"found a question ({question.name}) that its algorithm does not answer",
            hint="nothing was debited; tell the study's researcher",
            status=409,
        )


def axis_of(field: str, domain: Domain) -> Axis:
    """The key that a field of an algorithm's rows is."""
    match domain:
        case Integer(minimum):
            return Axis(field, domain.size, minimum)
        case Choice(values):
            return Axis(field, domain.size, words=values)
        case Boolean():
            return Axis(field, domain.size)


def inputs(bundle: Bundle) -> Mapping[str, Columns]:
    """Per stream the columns that an algorithm reads."""
    return {given.stream: given.columns for given in bundle.manifest.inputs}


def empty(bundle: Bundle) -> dict[str, pa.Table]:
    """What an algorithm reads where there is nothing."""
    found = {}
    for stream, columns in inputs(bundle).items():
        if streams.is_derived(stream):
            found[stream] = pa.table({name: pa.array([], pa.int64()) for name in columns})
        else:
            schema = streams.schema(stream)
            found[stream] = pa.schema([schema.field(name) for name in columns]).empty_table()
    return found


def vector(question: Question, rows: Sequence[Mapping[str, Value]]) -> list[int]:
    """The cells of a contribution, before they are clamped: values of rows with the same keys are added up."""
    cells = [0] * question.bounds.cells
    for row in rows:
        place = 0
        for axis in question.keys:
            place = place * axis.size + axis.index(row[axis.field])
        cells[place] += int(row[question.value])
    return cells


def labels(question: Question) -> list[tuple[str, ...]]:
    """Per cell what its keys are, in words."""
    found: list[tuple[str, ...]] = [()]
    for axis in question.keys:
        names = axis.words or tuple(str(axis.first + number) for number in range(axis.size))
        found = [(*label, name) for label in found for name in names]
    return found
