"""Which chain a request goes by, and what is left of it: a grant's entry in the owner log, and the links after it.

Runs and bits are counted at the entry and at each link, by the digests of their envelopes, and debited in one step at
all of them. So those to whom a holder passed parts of a grant share what that holder has left.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from waykeep.authority import plans
from waykeep.authority.links import Budget, Chain, follow, signer_of
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.permissions import Granted
from waykeep.authority.records import Debited
from waykeep.authority.scopes import Scope, lifetime, observed
from waykeep.errors import AuthorityError, WaykeepError
from waykeep.formats.ids import Digest, PublicKey

_ENDED = {
    "grant-withdrawn": "the owner took this grant back",
    "grant-used-up": "records were lost, so this grant counts as used up; the owner can grant anew",
    "grant-void": "the owner made the entry of this grant void",
}


class Used(NamedTuple):
    """What was debited at one link, or at a grant's entry."""

    runs: int
    bits: int


def find(
    log: OwnerState,
    number: int,
    algorithm: Digest | None,
    links: Sequence[str],
    holder: PublicKey,
    *,
    quoted: int | None = None,
) -> Chain:
    """The chain of a request, in force when the log's head was entry ``quoted``; None is now.

    Args:
        number: Of the grant's entry. algorithm: None for a read.
        links: Envelopes, as text. holder: Who asks.

    Raises:
        AuthorityError: ``grant-unknown``, also for whoever holds no part of it; ``grant-withdrawn``,
            ``grant-used-up``, ``grant-void``, ``algorithm-not-granted`` (403); and as `follow` does.
    """
    quoted = log.head.number if quoted is None else quoted
    grant = log.entries[number - 1][1].body if 1 <= number <= min(quoted, log.head.number) else None
    envelopes = [link.encode() for link in links]
    if not isinstance(grant, Granted) or not _begins(envelopes, grant.holder, holder):
        raise _unknown()
    begun = Chain(grant.holder, grant.recipient, grant.scope, (Budget(log.digest_at(number), grant.runs, grant.bits),))
    chain = follow(log.owner, number, begun, envelopes, lambda issuer, to: log.bars(number, issuer, to, quoted))
    if chain.holder != holder:
        raise _unknown()
    if log.granted(number, quoted) is None:
        rule = log.ended[number].rule
        raise _refused(rule, "found a grant that is in force no longer", _ENDED[rule])
    if grant.algorithm != algorithm:
        raise _refused("algorithm-not-granted", "found a grant of another algorithm", "ask for the one it names")
    return chain


def _begins(envelopes: Sequence[bytes], first: PublicKey, holder: PublicKey) -> bool:
    """Whether a chain begins with the grant's holder. Nobody else is told whether there is such a grant."""
    try:
        return (signer_of(envelopes[0]) if envelopes else holder) == first
    except WaykeepError:
        return False


def in_time(scope: Scope, now_ms: int) -> None:
    """Whether the witness's time ``now_ms`` lies within a scope's; outside it nothing is done, and a debit stays.

    Raises:
        AuthorityError: ``grant-not-yet``, ``grant-expired`` (403).
    """
    begins, ends = lifetime(scope)
    if now_ms < begins:
        raise _refused("grant-not-yet", "found a grant whose time has not begun, by the witness's clock", "wait for it")
    if now_ms >= ends:
        raise _refused(
            "grant-expired", "found a grant whose time is over, by the witness's clock", "ask the owner for another"
        )


def debited(used: Mapping[Digest, Used], chain: Chain, bits: int) -> dict[Digest, Used]:
    """What is used at each link once one more run is debited.

    Raises:
        AuthorityError: ``runs-used-up``, ``bits-used-up`` (409).
    """
    after = {}
    for budget in chain.budgets:
        runs, spent = used.get(budget.of, Used(0, 0))
        if runs >= budget.runs:
            raise _used_up("runs", f"{budget.runs} runs")
        if spent + bits > budget.bits:
            raise _used_up("bits", f"but {budget.bits - spent} of {budget.bits} bits")
        after[budget.of] = Used(runs + 1, spent + bits)
    return after


def check_debit(chain: Chain, made: Debited) -> None:
    """Whether a debit is one that the chain allows, as far as a record shows it.

    Raises:
        AuthorityError: As `plans.plan` does, without the owner's withholdings; ``debit-mismatch``.
    """
    scope = chain.scope
    plans.check_parameters(scope, made.parameters)
    plans.precision(scope, made.ask, made.inputs)
    begin, end = observed(scope)
    length = end - begin if scope.last_ms is None else scope.last_ms
    in_window = begin <= made.from_ms < made.to_ms <= end and made.to_ms - made.from_ms <= length
    if made.recipient != chain.recipient or not in_window:
        raise _refused("debit-mismatch", "found a debit of other data than its chain allows", "none of this is right")


def _unknown() -> AuthorityError:
    return _refused("grant-unknown", "found no grant of this number to the key that asks", "ask the owner about it")


def _used_up(what: str, found: str) -> AuthorityError:
    return AuthorityError(
        f"{what}-used-up",
        f"found all {found} used up, of this grant or of a link of its chain",
        hint="ask for another grant",
        status=409,
    )


def _refused(rule: str, found: str, hint: str) -> AuthorityError:
    return AuthorityError(rule, found, hint=hint, status=403)
