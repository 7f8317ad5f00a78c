"""Taking part in studies: what joining and a budget change in an owner log, and what a study may then read.

A budget is a total for each period, and a study counts whole in every period that its time touches, from joining on:
so no later refusal tells what is left. A study that was left counts with what was debited, which the journal knows
(`waykeep.authority.contributing`).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from waykeep.authority import studies
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.permissions import BudgetSet, Joined
from waykeep.authority.studies import Signed
from waykeep.errors import AuthorityError
from waykeep.formats.ids import Digest
from waykeep.privacy import ledger
from waykeep.privacy.ledger import Span

MAX_MEMBERSHIPS = 64
"""Studies joined and in force."""


def join(state: OwnerState, body: Joined, number: int) -> OwnerState:
    """Raises: AuthorityError: ``log-study``, ``log-budget``, ``log-limit``; as `studies.open_`, PrivacyError."""
    signed = studies.open_(body.study.encode())
    if any(signed.digest == other.digest for other in state.joined.values()):
        raise AuthorityError(
            "log-study",
            "found a study that was joined before",
            hint="whoever left a study does not join it again; its debits stay",
            status=409,
        )
    if len(state.memberships) >= MAX_MEMBERSHIPS:
        raise AuthorityError("log-limit", "found more studies than a log may hold in force", status=409)
    require(state.budget(), spans(state), signed.study.span)
    return msgspec.structs.replace(
        state,
        memberships={**state.memberships, number: signed},
        joined={**state.joined, number: signed},
    )


def budget(state: OwnerState, body: BudgetSet, number: int) -> OwnerState:
    """Raises: AuthorityError: ``log-budget`` where studies that were joined do not fit."""
    require(body, spans(state))
    return msgspec.structs.replace(state, budgets={**state.budgets, number: body})


def spans(state: OwnerState) -> list[Span]:
    """What the studies in force set aside."""
    return [signed.study.span for signed in state.memberships.values()]


def require(total: BudgetSet | None, known: Iterable[Span], new: Span | None = None) -> None:
    """Whether what studies may learn stays within a budget. Raises: AuthorityError: ``log-budget`` (409)."""
    if total is None:
        raise AuthorityError(
            "log-budget",
            "found no budget for studies",
            hint="say how much all studies may learn, with 'waykeep budget set'",
            status=409,
        )
    counted = [*known, *(() if new is None else (new,))]
    if not ledger.fits(counted, total.total, total.period_ms, total.since_ms):
        raise AuthorityError(
            "log-budget",
            "found studies that may learn more than the budget allows in one of its periods",
            hint="leave one, or raise the budget with 'waykeep budget set'; 'waykeep budget' shows a bar per study",
            status=409,
        )


def uses(signed: Signed, algorithm: Digest) -> bool:
    return any(question.algorithm == algorithm for question in signed.study.questions)
