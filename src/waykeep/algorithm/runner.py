"""The front's side of a run: sends bundle and rows to the sandboxed child, and believes nothing that comes back.

What the child answers is bounded before it is read, decoded into a frozen type, and checked against the schema that
the front parsed itself. Errors are chosen from a fixed list. A child that writes anything after its answer is refused.
Arrow goes to the child and never comes from it: its reader is not memory-safe on hostile input.
"""

from __future__ import annotations

import builtins
import time
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from waykeep.algorithm import pipes, sandbox
from waykeep.errors import AlgorithmError
from waykeep.formats import results
from waykeep.formats.bundle import Bundle
from waykeep.formats.manifest import max_result_bytes

_FAILED: Final = {
    "run-failed": ("the algorithm failed", "its author can reproduce this on data of their own"),
    "run-memory": ("the algorithm needed more memory than its manifest declares", ""),
    "run-import-refused": (
        "the algorithm imported a module that a run does not have",
        "'waykeep algo pack' names them",
    ),
    "run-other-bundle": ("the child was sent another bundle than the approved one", ""),
    "run-tables-mismatch": ("the tables are not those that the manifest asks for", ""),
    "bundle-libraries-differ": ("the bundle was packed with other libraries than these", "pack it again"),
    "bundle-module-shadows": ("a module of the bundle has the name of one of Python's or a library's", ""),
    "result-shape": ("the result is not a list of dicts", ""),
    "result-rows": ("the result has more rows than declared", ""),
    "result-fields": ("a row of the result has other fields than declared", ""),
    "result-type": ("a field of the result has another type than declared", "a bool is no integer"),
    "result-range": ("a field of the result lies outside what is declared", ""),
}
_FAILURE_BYTES: Final = 4096
_CPU_SLACK_S: Final = 0.25
"""The child's processor time starts with its fork, a little before the front's clock."""


class RunError(AlgorithmError):
    """A run that gave no result. ``failure`` is for the owner alone: they decide what of it the author sees."""

    def __init__(self, rule: str, message: str, *, hint: str = "", failure: pipes.Failure | None = None) -> None:
        super().__init__(rule, message, hint=hint, status=422)
        self.failure = failure


def await_report(read_fd: int, timeout_s: float) -> tuple[str, ...]:
    """The sandbox's features that the child reports; it speaks before the author's code is there, so it is believed.

    Raises:
        AlgorithmError: ``sandbox-<feature>-missing``; ``run-timeout``, ``run-died`` when there is no report.
    """
    try:
        frame = pipes.read_frame_until(read_fd, pipes.MAX_REPORT, time.monotonic() + timeout_s)
        report = msgspec.msgpack.decode(frame, type=pipes.Report)
    except AlgorithmError as error:
        raise _silent(error, late=False) from None
    except msgspec.DecodeError:
        raise RunError("run-died", "the sandboxed process reported nothing that can be read") from None
    missing = sorted(sandbox.REQUIRED - set(report.features))
    if report.error or missing:
        raise AlgorithmError(
            report.error or f"sandbox-{missing[0]}-missing",
            "this machine cannot give an algorithm the sandbox that it needs",
            hint="whoever runs the node gives it a kernel with namespaces, seccomp and Landlock",
            status=503,
        )
    return report.features


def run(
    read_fd: int,
    write_fd: int,
    bundle: Bundle,
    archive: bytes,
    parameters: Mapping[str, Any],
    tables: Mapping[str, bytes],
    wall_s: float,
) -> list[results.Row]:
    """Run the bundle in the child behind the pipes, once. Blocks; the caller then ends the child in any case.

    Args:
        read_fd, write_fd: The front's ends. ``write_fd`` becomes non-blocking.
        bundle, archive: The approved one, and its bytes for the child.
        parameters: As asked for; defaults are filled in here.
        tables: Per stream an Arrow IPC stream of granted rows, with exactly the declared columns in any order.
        wall_s: Seconds that the run may take; the manifest's limit, if that is shorter.

    Returns:
        The rows, checked against the output schema.

    Raises:
        RunError: ``run-timeout``, ``run-memory``, ``run-died``, ``run-failed`` and the other rules that a child may
            name; ``result-malformed``, ``result-too-large``, ``run-answered-twice``.
        AlgorithmError: ``parameter-...``, ``run-tables-mismatch``, ``run-tables-too-large``, ``result-...``.
    """
    checked = results.check_parameters(bundle.manifest, parameters)
    _check_tables(bundle, tables)
    started = time.monotonic()
    deadline = started + min(wall_s, bundle.manifest.limits.wall_s)
    try:
        start = pipes.Start(bundle.digest, checked, tuple(tables))
        pipes.write_frame_until(write_fd, msgspec.msgpack.encode(start), deadline)
        pipes.write_frame_until(write_fd, archive, deadline)
        _send_tables(read_fd, write_fd, tables, deadline)
        limit = max_result_bytes(bundle.manifest) + _FAILURE_BYTES
        frame = pipes.read_frame_until(read_fd, limit, deadline)
        ended = pipes.read_end_until(read_fd, deadline)
    except AlgorithmError as error:
        late = time.monotonic() - started >= bundle.manifest.limits.cpu_s - _CPU_SLACK_S
        raise _silent(error, late=late) from None
    if not ended:
        raise RunError("run-answered-twice", "the algorithm's process wrote more than its one answer")
    return _believe_nothing(bundle, frame)


def _check_tables(bundle: Bundle, tables: Mapping[str, bytes]) -> None:
    if any(bundle.manifest.input(stream) is None for stream in tables):
        raise AlgorithmError("run-tables-mismatch", "found rows of a stream that the manifest does not ask for")
    for stream, table in tables.items():
        if len(table) > pipes.MAX_TABLE:
            raise AlgorithmError(
                "run-tables-too-large",
                f"found {len(table)} bytes of {stream}, at most {pipes.MAX_TABLE} are taken",
                hint="ask for a shorter time",
                status=413,
            )


def _send_tables(read_fd: int, write_fd: int, tables: Mapping[str, bytes], deadline: float) -> None:
    try:
        for table in tables.values():
            pipes.write_frame_until(write_fd, table, deadline)
    except AlgorithmError as error:
        # A child that refuses (rows beyond its memory, say) answers and ends before it has read everything.
        if error.rule != "pipe-closed":
            raise


def _believe_nothing(bundle: Bundle, frame: bytearray) -> list[results.Row]:
    try:
        answer = msgspec.msgpack.decode(frame, type=pipes.Answer)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise RunError(
            "result-malformed", "found an answer that is no result of integers, words and booleans"
        ) from None
    if not answer.error:
        return results.check_result(bundle.manifest, answer.rows)
    rule = answer.error if answer.error in _FAILED else "run-failed"
    message, hint = _FAILED[rule]
    raise RunError(rule, message, hint=hint, failure=_plausible(bundle, answer.failure))


def _plausible(bundle: Bundle, failure: pipes.Failure | None) -> pipes.Failure | None:
    """A failure in the only form that an honest child gives it: a known exception, lines that exist."""
    if failure is None:
        return None
    kind = getattr(builtins, failure.kind, None)
    if not (isinstance(kind, type) and issubclass(kind, BaseException)):
        return None
    lengths = {path: content.count(b"\n") + 1 for path, content in bundle.files.items()}
    return failure if all(0 < line <= lengths.get(path, 0) for path, line in failure.lines) else None


def _silent(error: AlgorithmError, *, late: bool) -> RunError:
    """Why nothing came: the pipe says closed, late or too much; the processor's limit kills without a word."""
    if error.rule == "frame-too-large":
        return RunError("result-too-large", "the answer is longer than the largest result that the schema allows")
    if error.rule == "pipe-timeout" or late:
        return RunError("run-timeout", "the algorithm took longer than it may", hint="see the limits in its manifest")
    return RunError(
        "run-died",
        "the algorithm's process ended without an answer",
        hint="a system call that no algorithm needs ends it, and so does a library that needs a thread or a file "
        "(of pyproj a run has Geod only)",
    )
