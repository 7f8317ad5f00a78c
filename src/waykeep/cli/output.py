"""What the command line prints: words for people, JSON for programs, progress for both to wait by."""

from __future__ import annotations

import datetime
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from waykeep.attestation import insecure
from waykeep.errors import WaykeepError
from waykeep.formats import problem

console = Console(highlight=False)
errors = Console(stderr=True, highlight=False)


def show_json(value: object) -> None:
    """One JSON document on standard output."""
    sys.stdout.write(msgspec.json.format(msgspec.json.encode(value)).decode() + "\n")


def show_error(error: WaykeepError, *, as_json: bool) -> None:
    """``error:`` and then ``hint:``, or a problem document, on standard error."""
    if as_json:
        sys.stderr.write(problem.encode(error).decode() + "\n")
        return
    # A message may be a peer's: it is text, not markup.
    errors.print(f"[bold red]error:[/] {error.rule}: {escape(error.message)}", soft_wrap=True)
    if error.hint:
        errors.print(f"[bold]hint:[/] {escape(error.hint)}", soft_wrap=True)


def show_usage(message: str) -> None:
    """``error:`` and then ``hint:`` on standard error, for arguments that are none."""
    errors.print(f"[bold red]error:[/] usage: {escape(' '.join(message.split()))}", soft_wrap=True)
    errors.print("[bold]hint:[/] put --help behind a verb to see its arguments", soft_wrap=True)


def banner() -> None:
    """What platform ``insecure`` means. Never left out where it is in use."""
    errors.print(f"[bold yellow]{insecure.WARNING}[/]", soft_wrap=True)


def warn(words: str, *, as_json: bool = False) -> None:
    """Something that the command did without; one line of JSON, where each line on standard error is a document."""
    if as_json:
        sys.stderr.write(msgspec.json.encode({"warning": words}).decode() + "\n")
        return
    errors.print("[bold yellow]warning:[/]", escape(words), soft_wrap=True)


def missing(epochs: tuple[int, ...]) -> None:
    """Says which epochs a read left out, if any."""
    if epochs:
        console.print(f"[bold]Not readable[/]: epochs {', '.join(map(str, epochs))}: their keys are not here.")


def confirmed(text: str, question: str) -> bool:
    """Whether whoever sits at the terminal agrees to a text; without a terminal nobody does."""
    console.print(text, markup=False, soft_wrap=True)
    return sys.stdin.isatty() and agreed("", question)


def agreed(text: str, question: str) -> bool:
    """Whether whoever sits at the terminal agrees to a text; without a terminal the command itself is the agreement."""
    if not sys.stdin.isatty():
        return True
    console.print(text, markup=False, soft_wrap=True)
    return console.input(f"\n{question} [y/N] ").strip().lower() in ("y", "yes")


def table(*columns: str) -> Table:
    made = Table(box=None, pad_edge=False, header_style="bold")
    for name in columns:
        made.add_column(name, overflow="fold")
    return made


def when(ms: int | None) -> str:
    """A time in UTC, for people."""
    return "" if ms is None else f"{datetime.datetime.fromtimestamp(ms / 1000, datetime.UTC):%Y-%m-%d %H:%M:%S}"


@contextmanager
def progress(words: str, *, quiet: bool) -> Iterator[Progress]:
    """A progress bar on standard error; silent for ``--json`` and where nobody looks."""
    columns = (TextColumn(words), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=errors, transient=True, disable=quiet or not errors.is_terminal) as bar:
        yield bar
