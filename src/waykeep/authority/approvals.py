"""The one place that decides whether a run may happen: (request, fold of the owner log) -> read plan, or a refusal.

No I/O. The read plan is the only way to the vault, so what is not in it is not read.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.records import Debited
from waykeep.authority.statements import Approved, Granted
from waykeep.errors import AuthorityError
from waykeep.formats import streams
from waykeep.formats.messages import Run, Spend, Value


class ReadPlan(msgspec.Struct, frozen=True):
    """What one run may read: per stream its columns, and the half-open window of observation times.

    Only `authorize`, `own_reading` and `granted_reading` build one.
    """

    approval: int
    inputs: dict[str, tuple[str, ...]]
    from_ms: int
    to_ms: int
    store_as: str


def own_reading(stream: str, from_ms: int, to_ms: int) -> ReadPlan:
    """The owner's own reading of one stream, all columns of it: their device asked, so nothing has to be approved."""
    return ReadPlan(0, {stream: ()}, from_ms, to_ms, "")


def granted_reading(grant: Granted, debited: Debited) -> ReadPlan:
    """What a debit allows to be read."""
    return ReadPlan(debited.grant, grant.inputs, debited.from_ms, debited.to_ms, "")


def authorize(state: OwnerState, request: Run, parameters: Mapping[str, Value]) -> ReadPlan:
    """The newest approval that allows this run, as a read plan.

    Args:
        parameters: The request's parameters with the bundle's defaults filled in.

    Raises:
        AuthorityError: ``algorithm-not-approved``, ``parameter-not-approved``, ``time-not-approved``,
            ``approval-malformed`` (403).
    """
    refusal = AuthorityError(
        "algorithm-not-approved",
        "found no approval of this digest in the owner log",
        hint="look at it with 'waykeep algo show', then 'waykeep approve' its digest",
        status=403,
    )
    newest_first = sorted(state.approvals.items(), reverse=True)
    for number, approval in newest_first:
        if approval.algorithm != request.digest:
            continue
        try:
            within(approval, request, parameters)
        except AuthorityError as error:
            refusal = error
            continue
        return ReadPlan(number, approval.inputs, request.from_ms, request.to_ms, approval.store_as)
    raise refusal


def within(approval: Approved | Granted, request: Run | Spend | Debited, parameters: Mapping[str, Value]) -> None:
    """Whether an entry allows these parameters and this window of data.

    Raises:
        AuthorityError: ``parameter-not-approved``, ``time-not-approved``, ``approval-malformed`` (403).
    """
    for name, value in parameters.items():
        # type() as well: True == 1, and a set of integers must not admit a boolean.
        if not any(type(v) is type(value) and v == value for v in approval.parameters.get(name, ())):
            raise AuthorityError(
                "parameter-not-approved", f"found a value of parameter {name} that was not approved", status=403
            )
    if not approval.from_ms <= request.from_ms < request.to_ms <= approval.to_ms:
        raise AuthorityError("time-not-approved", "found a window of time that was not approved", status=403)
    # To a read no columns are all columns, and a result kept in a recorded stream would spoil it for every read.
    store_as = approval.store_as if isinstance(approval, Approved) else ""
    if not all(approval.inputs.values()) or (store_as and not streams.is_derived(store_as)):
        raise AuthorityError(
            "approval-malformed",
            "found an approval that names no columns of a stream, or keeps results in a recorded one",
            status=403,
        )
