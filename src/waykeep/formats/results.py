"""Parameters and results against what the manifest declares, and how much a result can tell.

Both sides of a run call this on their own: the child, the front, the user cloud. A refusal names the rule and the
declared name, never the value: a result that breaks its schema is exactly what must not leak through a message.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import msgspec

from waykeep.errors import AlgorithmError
from waykeep.formats.manifest import Boolean, Choice, Domain, Manifest, Value

Row = dict[str, Value]

_EXACT_BITS = 4096


def check_parameters(manifest: Manifest, given: Mapping[str, Any]) -> dict[str, Value]:
    """All parameters of a run: what was given, and the defaults of the rest, in the manifest's order.

    Raises:
        AlgorithmError: ``parameter-unknown``, ``parameter-type``, ``parameter-range``.
    """
    known = {parameter.name: parameter for parameter in manifest.parameters}
    if given.keys() - known.keys():
        raise AlgorithmError(
            "parameter-unknown",
            "found a parameter that the algorithm does not have",
            hint=f"it has {', '.join(known) or 'none'}",
        )
    checked = {name: given.get(name, parameter.default) for name, parameter in known.items()}
    for name, value in checked.items():
        _check("parameter", name, known[name].domain, value)
    return checked


def check_result(manifest: Manifest, rows: object) -> list[Row]:
    """The rows of a result, each made anew with its fields in the manifest's order.

    Raises:
        AlgorithmError: ``result-shape`` (not a list of dicts), ``result-rows`` (too many), ``result-fields`` (one is
            missing or extra), ``result-type`` (a bool is no integer), ``result-range``.
    """
    if type(rows) is not list or any(type(row) is not dict for row in rows):
        raise AlgorithmError("result-shape", "found a result that is not a list of dicts")
    output = manifest.output
    if len(rows) > output.max_rows:
        raise AlgorithmError("result-rows", f"found {len(rows)} rows, at most {output.max_rows} are declared")
    names = {field.name for field in output.fields}
    checked: list[Row] = []
    for row in rows:
        if row.keys() != names:
            raise AlgorithmError("result-fields", "found a row whose fields are not the declared ones")
        for field in output.fields:
            _check("result", field.name, field.domain, row[field.name])
        checked.append({field.name: row[field.name] for field in output.fields})
    return checked


def result_bits(manifest: Manifest) -> float:
    """Upper bound of what one run can tell, in bits: log2 of the number of its outcomes, failure being one more.

    With ``v`` possible rows and at most ``n`` rows there are ``1 + v + ... + v**n`` results, order counted.
    """
    rows = manifest.output.max_rows
    kinds = math.prod(field.domain.size for field in manifest.output.fields)
    if kinds == 1:
        return math.log2(rows + 2)
    row_bits = math.log2(kinds)
    if row_bits * rows < _EXACT_BITS:
        return math.log2((kinds ** (rows + 1) - 1) // (kinds - 1) + 1)
    # The series is below v**n * v / (v - 1); the failure is lost in the rounding up.
    return (rows * row_bits - math.log2(-math.expm1(-row_bits * math.log(2)))) * (1 + 1e-12)


def whole_bits(manifest: Manifest) -> int:
    """What one run is counted as: the bits that it can tell, rounded up, and at least one."""
    return max(1, math.ceil(result_bits(manifest)))


def result_digest_bytes(rows: list[Row], tables: Mapping[str, bytes] | None = None) -> bytes:
    """The bytes to commit to: MessagePack with the fields of each row sorted by name, then the tables of a read."""
    return msgspec.msgpack.encode(rows, order="deterministic") + (
        msgspec.msgpack.encode(dict(tables), order="deterministic") if tables else b""
    )


def _check(what: str, name: str, domain: Domain, value: object) -> None:
    expected = str if isinstance(domain, Choice) else bool if isinstance(domain, Boolean) else int
    if type(value) is not expected:
        raise AlgorithmError(f"{what}-type", f"found a {what} {name} that is no {expected.__name__}")
    if not domain.holds(value):
        raise AlgorithmError(f"{what}-range", f"found a {what} {name} outside what is declared")
