"""What a journal holds of studies: intents to take part, debits, and what was sent."""

from __future__ import annotations

from typing import Annotated

import msgspec

from waykeep.authority.queries import Cells, Query
from waykeep.formats.ids import Digest
from waykeep.formats.messages import Head, Millis, Number, Small


class _Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Intended(_Statement, frozen=True, tag="intended"):
    """The one query in which the owner takes part in a period of a study. Nothing is debited yet."""

    study: Digest
    period: Number
    query: Digest


class Reading(_Statement, frozen=True):
    """What is read for a question: per stream its columns, and observation times, half open."""

    inputs: dict[str, tuple[str, ...]]
    from_ms: Millis
    to_ms: Millis


class StudyDebited(_Statement, frozen=True, tag="study-debit"):
    """One repetition of a study is spent, and with it everything is fixed that it may do.

    Attributes:
        membership: Number of the entry by which the owner joined.
        query: The one that is answered, to its recipient alone.
        reads: Per question; None where the owner withholds all of it.
        withheld: Numbers of what the owner took out of it.
        cost: In units of `waykeep.privacy.ledger`.
        read_to: The newest record whose segments are read.
        epochs: Those that are read, whatever keys come later.
    """

    membership: Number
    query: Query
    reads: Annotated[tuple[Reading | None, ...], msgspec.Meta(max_length=16)]
    withheld: tuple[Number, ...]
    cost: int
    read_to: Head | None
    epochs: tuple[int, ...]


class Contributed(_Statement, frozen=True, tag="contributed"):
    """What is sent for a debit, once and for all: a repetition sends the same.

    Attributes:
        study, repetition, query: Of the debit; the last is the query's id.
        answers: Per question the cells that are not 0.
        defaulted: Per question the rule by which it is the default, or empty. Nobody else is told.
        rows_in: Per stream how many rows were read, over all questions.
        measured: The measurements of the code involved, by part.
        stages: Milliseconds of each stage.
    """

    study: Digest
    repetition: Number
    query: Digest
    answers: Annotated[tuple[Cells, ...], msgspec.Meta(max_length=16)]
    defaulted: tuple[Small, ...]
    rows_in: dict[str, int]
    time_ms: Millis
    measured: dict[str, str]
    stages: dict[str, float]
