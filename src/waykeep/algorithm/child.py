"""The sandboxed child of a run: granted rows in through one pipe, the author's code, one answer out through another.

The order is the promise. The sandbox is put on and reported before a byte of the author's is read; the archive's
digest is checked again here; the limits go down to the manifest's; then the code is loaded, from memory. After that
nothing in this process can be believed, and the front believes nothing: what is sent here as a check's outcome only
spares honest authors a riddle.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, NoReturn

import msgspec
import pyarrow as pa

from waykeep.algorithm import pipes, preload, sandbox
from waykeep.algorithm.importer import BundleImporter, ImportRefusedError
from waykeep.errors import AlgorithmError, WaykeepError
from waykeep.formats import results, streams
from waykeep.formats.bundle import MAX_ARCHIVE, Bundle, load
from waykeep.formats.manifest import CEILINGS, Input, Value

_MAX_LINES: Final = 16


def main(read_fd: int, write_fd: int, uid: int | None) -> NoReturn:
    """Serve one run and end. To be called in a freshly forked process that `preload.warm` prepared.

    Args:
        read_fd: From the front, above 2.
        write_fd: To the front, above 2. All other descriptors are closed here.
        uid: A uid that no other process has, as root; None when not root (see `sandbox.enter`).
    """
    code = 1
    try:
        if _sandboxed(read_fd, write_fd, uid):
            _serve(read_fd, write_fd)
            code = 0
    finally:
        # Whatever happened, an author's exit handlers do not run, and no exception reaches the code that forked.
        os._exit(code)


def _sandboxed(read_fd: int, write_fd: int, uid: int | None) -> bool:
    try:
        report = pipes.Report(sandbox.enter(uid=uid, keep=(read_fd, write_fd), ceilings=CEILINGS))
    except AlgorithmError as error:
        report = pipes.Report(error=error.rule)
    sys.stdin, sys.stdout, sys.stderr = io.StringIO(), _Nowhere(), _Nowhere()
    pipes.write_frame(write_fd, msgspec.msgpack.encode(report))
    return not report.error


def _serve(read_fd: int, write_fd: int) -> None:
    start = msgspec.msgpack.decode(pipes.read_frame(read_fd, pipes.MAX_START), type=pipes.Start)
    archive = bytes(pipes.read_frame(read_fd, MAX_ARCHIVE))
    pipes.write_frame(write_fd, msgspec.msgpack.encode(_answer(start, archive, read_fd)))


def _answer(start: pipes.Start, archive: bytes, read_fd: int) -> pipes.Answer:
    try:
        bundle = load(archive)
        if bundle.digest != start.digest:
            raise AlgorithmError("run-other-bundle", "found another bundle than the approved one")
        preload.check_bundle(bundle)
        parameters = results.check_parameters(bundle.manifest, start.parameters)
        sandbox.lower(CEILINGS, bundle.manifest.limits)
        tables = _tables(bundle, start.tables, read_fd)
        outcome = _compute(bundle, tables, parameters)
        if isinstance(outcome, pipes.Answer):
            return outcome
        return pipes.Answer(rows=results.check_result(bundle.manifest, outcome))
    except WaykeepError as error:
        return pipes.Answer(error=error.rule)
    except MemoryError:
        return pipes.Answer(error="run-memory")


def _tables(bundle: Bundle, sent: tuple[str, ...], read_fd: int) -> dict[str, pa.Table]:
    """One table for each declared input, with exactly its columns; without rows where nothing was sent."""
    tables = {given.stream: _empty(given) for given in bundle.manifest.inputs}
    for stream in sent:
        frame = pipes.read_frame(read_fd, pipes.MAX_TABLE)
        given = bundle.manifest.input(stream)
        # The front sends its own Arrow; nothing of an author's has run yet.
        options = pa.ipc.IpcReadOptions(use_threads=False)
        with pa.ipc.open_stream(pa.py_buffer(frame), options=options) as reader:
            table = reader.read_all()
        if given is None or set(table.column_names) != set(given.columns):
            raise AlgorithmError("run-tables-mismatch", "found a table that the manifest does not ask for")
        tables[stream] = table.select(list(given.columns))
    return tables


def _empty(given: Input) -> pa.Table:
    if streams.is_derived(given.stream):
        # A derived stream that nobody made yet has no schema; its columns are taken for integers.
        return pa.schema([pa.field(column, pa.int64()) for column in given.columns]).empty_table()
    return streams.schema(given.stream).empty_table().select(list(given.columns))


def _compute(bundle: Bundle, tables: dict[str, pa.Table], parameters: Mapping[str, Value]) -> Any:
    """What the author's function returns, or the `pipes.Answer` that says how it failed."""
    try:
        function = getattr(BundleImporter(bundle).load(bundle.manifest.module), bundle.manifest.function)
        return function(tables, dict(parameters))
    except MemoryError:
        return pipes.Answer(error="run-memory")
    except ImportRefusedError as error:
        return pipes.Answer(error="run-import-refused", failure=_failure(bundle, error))
    except BaseException as error:  # noqa: BLE001 - also SystemExit and KeyboardInterrupt: it is the author's
        return pipes.Answer(error="run-failed", failure=_failure(bundle, error))


def _failure(bundle: Bundle, error: BaseException) -> pipes.Failure:
    kind = next(base.__name__ for base in type(error).__mro__ if base.__module__ == "builtins")
    lines: list[tuple[str, int]] = []
    step: TracebackType | None = error.__traceback__
    while step is not None:
        path = step.tb_frame.f_code.co_filename
        if path in bundle.files:
            lines = [*lines[1 - _MAX_LINES :], (path, step.tb_lineno)]
        step = step.tb_next
    if isinstance(error, SyntaxError) and error.filename in bundle.files:
        lines = [*lines[1 - _MAX_LINES :], (error.filename, error.lineno or 1)]
    return pipes.Failure(kind, tuple(lines))


class _Nowhere(io.TextIOBase):
    """Where an author's prints go: the standard streams are closed."""

    def write(self, text: str) -> int:
        return len(text)
