"""Whether an algorithm may run for its owner: (request, fold of the owner log) -> approval and read plan. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from waykeep.authority import plans, reviews
from waykeep.authority.asking import Ask
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.permissions import kept_as
from waykeep.authority.plans import Inputs, ReadPlan
from waykeep.authority.scopes import Scope, lifetime
from waykeep.errors import AuthorityError
from waykeep.formats.messages import Run, Value


class Allowed(NamedTuple):
    """An approval, by its entry's number, and what it allows one run to read."""

    number: int
    plan: ReadPlan
    store_as: str


def require(state: OwnerState, request: Run) -> None:
    """Raises: AuthorityError: ``algorithm-not-approved`` (403). Asked before the host learns of the digest."""
    if all(approval.algorithm != request.digest for approval in state.approvals.values()):
        raise _unapproved()


def authorize(state: OwnerState, request: Run, inputs: Inputs, parameters: Mapping[str, Value]) -> Allowed:
    """The newest approval that allows this run.

    Args:
        inputs: Per stream the columns that the bundle asks for.
        parameters: The request's, with the bundle's defaults filled in.

    Raises:
        AuthorityError: ``algorithm-not-approved``, ``approval-expired``; and as `reviews.check` and `plans.plan` do
            (403).
    """
    refusal = _unapproved()
    ask = Ask(from_ms=request.from_ms, to_ms=request.to_ms)
    for number, approval in sorted(state.approvals.items(), reverse=True):
        if approval.algorithm != request.digest:
            continue
        try:
            _in_time(approval.scope, request.time_ms)
            reviewed = [review.encode() for review in request.reviews]
            reviews.check(approval.scope.vetted, reviewed, approval.algorithm, request.time_ms)
            plan = plans.plan(state, approval.scope, ask, inputs, parameters, request.time_ms)
        except AuthorityError as error:
            refusal = error
            continue
        return Allowed(number, plan, kept_as(approval, approval.scope))
    raise refusal


def _in_time(scope: Scope, now_ms: int) -> None:
    begins, ends = lifetime(scope)
    if not begins <= now_ms < ends:
        raise AuthorityError(
            "approval-expired",
            "found an approval whose time is over, or has not begun",
            hint="approve it anew",
            status=403,
        )


def _unapproved() -> AuthorityError:
    return AuthorityError(
        "algorithm-not-approved",
        "found no approval of this digest in the owner log",
        hint="look at it with 'waykeep algo show', then 'waykeep approve' its digest",
        status=403,
    )
