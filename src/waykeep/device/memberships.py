"""Studies from the owner's side: joining and leaving them, and the budget of all of them together."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from waykeep.attestation.evidence import AGGREGATOR
from waykeep.authority import contributing, memberships, questions, studies
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.permissions import MAX_PERIOD_MS, MIN_PERIOD_MS, BudgetSet, Joined, Withdrawn
from waykeep.authority.studies import Signed
from waykeep.channel.trust import Trust
from waykeep.device.account import Account
from waykeep.device.hostclient import HostClient
from waykeep.errors import DeviceError
from waykeep.formats import bundle as bundles
from waykeep.formats.bundle import Bundle
from waykeep.formats.ids import Digest, sha256
from waykeep.privacy import ledger

MAX_EPSILON = 50.0


class Membership(msgspec.Struct, frozen=True):
    """A study that the owner took part in, once or still.

    Attributes:
        number: Of the entry by which they joined. ended: The rule by which that is in force no longer, or empty.
        debited: Units of the ledger that it has cost.
    """

    number: int
    signed: Signed
    ended: str
    debited: int


class Shown(msgspec.Struct, frozen=True):
    """The budget in one of its periods.

    Attributes:
        from_ms, to_ms: The period. total: Units of the ledger.
        lines: Studies that count in it, each with the units that count: set aside, or debited once it was left.
    """

    from_ms: int
    to_ms: int
    total: int
    lines: tuple[tuple[Membership, int], ...]

    @property
    def left(self) -> int:
        return self.total - sum(units for _, units in self.lines)


def listed(account: Account) -> list[Membership]:
    """All studies that were ever joined. The user cloud is asked for what they have cost."""
    log, learned = account.log(), account.status().learned
    return [
        Membership(number, signed, _ended(log, number), learned.get(signed.digest, 0))
        for number, signed in log.joined.items()
    ]


def check(signed: Signed, known: Mapping[Digest, Bundle], trust: Trust, now_ms: int) -> None:
    """Whether a study can be joined at all.

    Args:
        known: Its bundles by digest.

    Raises:
        DeviceError: ``study-over``, ``aggregator-unknown``. AuthorityError: ``study-mismatch``.
    """
    study, references = signed.study, trust.references
    if now_ms >= study.ends_ms:
        raise DeviceError("study-over", "found a study whose time is over", status=409)
    named = study.aggregator
    shared = set(named.aggregators) & set(references.workloads.get(AGGREGATOR, ()))
    if not shared or not set(named.supervisors) & set(references.supervisor):
        raise DeviceError(
            "aggregator-unknown",
            "found a study whose aggregator runs code that this device does not know",
            hint="compare with 'waykeep measure' of the version you trust; ask the researcher which one it is",
            status=403,
        )
    for question in study.questions:
        questions.check(question, known[question.algorithm])


def fetch(account: Account, signed: Signed) -> dict[Digest, Bundle]:
    """The bundles of a study, from the owner's host, each checked against its digest.

    Raises: DeviceError: ``bundle-changed``; HostError.
    """
    known = {}
    for question in signed.study.questions:
        bundle = bundles.load(account.host.bundle(question.algorithm))
        if bundle.digest != question.algorithm:
            raise DeviceError("bundle-changed", "found another bundle than the study names", status=409)
        known[question.algorithm] = bundle
    return known


def require_budget(account: Account, signed: Signed) -> None:
    """Whether the whole study fits, beside all that was set aside or debited.

    Raises: AuthorityError: ``log-budget``.
    """
    log = account.log()
    left = {m.signed.digest: m.debited for m in listed(account) if m.ended}
    memberships.require(log.budget(), [*memberships.spans(log), *contributing.spent(log, left)], signed.study.span)


def found(host: HostClient, digest: Digest) -> bytes:
    """The study of a digest.

    Raises: DeviceError: ``study-changed``; HostError: ``study-unknown``, ``study-stopped``.
    """
    envelope = host.study(digest)
    if sha256(envelope) != digest:
        raise DeviceError("study-changed", "found another study than the one asked for", status=409)
    return envelope


def brought(account: Account, elsewhere: HostClient, digest: Digest) -> bytes:
    """The study of a digest at another host; the owner's own gets the bundles that it names. Raises as `found`."""
    envelope = found(elsewhere, digest)
    for question in studies.open_(envelope).study.questions:
        account.host.put_bundle(question.algorithm, elsewhere.bundle(question.algorithm))
    return envelope


def require_joinable(account: Account, signed: Signed) -> None:
    """What would refuse joining, before the owner is asked. Raises as `join`."""
    log = account.log()
    check(signed, fetch(account, signed), account.profile.trust, account.now_ms())
    log.pseudonym()
    if log.member(signed.digest) is None:
        require_budget(account, signed)


def join(account: Account, envelope: bytes) -> int:
    """Take part in a study; the number of its entry. Repeated, it changes nothing.

    Raises:
        AuthorityError: ``log-budget``, ``log-study``, ``witness-missing``; and as `studies.open_` and `check`.
    """
    signed = studies.open_(envelope)
    require_joinable(account, signed)
    known = account.log().member(signed.digest)
    account.host.put_study(signed.digest, envelope)
    with account.unfinished():
        number = account.owner_log.append(Joined(envelope.decode())) if known is None else known[0]
        account.upkeep.mend()
    return number


def leave(account: Account, study: Digest) -> Membership:
    """Take part no longer. What was debited stays so.

    Raises: DeviceError: ``study-not-joined``.
    """
    log = account.log()
    known = log.member(study)
    if known is None:
        raise DeviceError(
            "study-not-joined", "found a study that you do not take part in", hint="waykeep study status", status=404
        )
    number, _ = known
    with account.unfinished():
        account.owner_log.append(Withdrawn(number))
        account.upkeep.mend()
    return next(each for each in listed(account) if each.number == number)


def set_budget(account: Account, epsilon: float, period_ms: int, since_ms: int) -> BudgetSet:
    """Say how much all studies together may learn in each period.

    Args:
        epsilon: At `ledger.DELTA`.

    Raises:
        DeviceError: ``budget-malformed``. AuthorityError: ``log-budget`` where what was joined does not fit.
    """
    if not 0 < epsilon <= MAX_EPSILON or not MIN_PERIOD_MS <= period_ms <= MAX_PERIOD_MS:  # NaN is not in between
        raise DeviceError(
            "budget-malformed",
            f"found no epsilon from 0 to {MAX_EPSILON:g}, or a period that is not from one day to ten years",
        )
    made = BudgetSet(ledger.rho_for(epsilon), period_ms, since_ms)
    log = account.log()
    memberships.require(made, memberships.spans(log))
    if log.budget() != made:
        account.owner_log.append(made)
    return made


def budget(account: Account, now_ms: int) -> Shown | None:
    """The budget in the period that holds a time; None before there is one."""
    log = account.log()
    total = log.budget()
    if total is None:
        return None
    period = ledger.period_of(now_ms, total.period_ms, total.since_ms)
    lines = []
    for each in listed(account):
        span = each.signed.study.span
        units = each.debited if each.ended else span.units
        if units and ledger.held([span], period):
            lines.append((each, units))
    return Shown(*period, total.total, tuple(lines))


def _ended(log: OwnerState, number: int) -> str:
    ended = log.ended.get(number)
    return "" if ended is None else ended.rule
