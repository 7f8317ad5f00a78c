"""What an owner allows, takes back and withholds: the bodies of those entries of the owner log."""

from __future__ import annotations

from typing import Annotated

import msgspec

from waykeep.authority.areas import Area
from waykeep.authority.scopes import Bits, Runs, Scope, bounds
from waykeep.authority.studies import MAX_STUDY
from waykeep.formats.ids import Digest, PublicKey
from waykeep.formats.messages import Millis, Number, Recipient, Small

MIN_DEADLINE_MS, MAX_DEADLINE_MS = 100, 600_000
MAX_READ_ROWS = 200_000
MIN_PERIOD_MS, MAX_PERIOD_MS = 86_400_000, 3660 * 86_400_000
MAX_TOTAL = 10**18


class _Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    pass


class Approved(_Statement, frozen=True, tag="approval"):
    """The owner's own devices may have one algorithm run, by digest, on named data, as often as they like.

    Attributes:
        algorithm: Digest of the bundle.
        name: The bundle's own name and version, for people.
        scope: What it may read, and which parameters may be asked for.
        store_as: The derived stream in which the result is kept, or empty.
    """

    algorithm: Digest
    name: Small
    scope: Scope
    store_as: Small = ""


class Granted(_Statement, frozen=True, tag="grant"):
    """Somebody else may run one algorithm on named data, or read it, a number of times.

    Attributes:
        holder: Who may ask, and pass it on.
        recipient: The age recipient that answers are encrypted to.
        algorithm: Digest of the bundle; None for a read.
        name: The bundle's own name and version, for people; for a read what it is called.
        purpose: What for, in words.
        scope: What may be read, and until when.
        runs, bits: How many runs in all, and how many bits of output over all of them.
        deadline_ms: An answer is sent so long after the run was witnessed, whatever came of it.
        rows: The most rows of a read, the newest; 0 for an algorithm.
        store_as: As in `Approved`.
    """

    holder: PublicKey
    recipient: Recipient
    algorithm: Digest | None
    name: Small
    purpose: Small
    scope: Scope
    runs: Runs
    bits: Bits
    deadline_ms: Annotated[int, msgspec.Meta(ge=MIN_DEADLINE_MS, le=MAX_DEADLINE_MS)]
    rows: Annotated[int, msgspec.Meta(ge=0, le=MAX_READ_ROWS)] = 0
    store_as: Small = ""


class Joined(_Statement, frozen=True, tag="joined"):
    """The owner takes part in a study, whole as its researcher signed it, and sets its whole budget aside.

    ``study`` is the envelope (`waykeep.authority.studies`).
    """

    study: Annotated[str, msgspec.Meta(max_length=MAX_STUDY)]


class BudgetSet(_Statement, frozen=True, tag="budget"):
    """How much all studies together may learn in each period: from ``since_ms`` on, one after the other.

    Attributes:
        total: In units of `waykeep.privacy.ledger`.
        period_ms, since_ms: By the witness's time, as studies are.
    """

    total: Annotated[int, msgspec.Meta(ge=0, le=MAX_TOTAL)]
    period_ms: Annotated[int, msgspec.Meta(ge=MIN_PERIOD_MS, le=MAX_PERIOD_MS)]
    since_ms: Millis


class Withdrawn(_Statement, frozen=True, tag="withdrawn"):
    """Takes an approval or a grant back, or leaves a study, by the number of its entry."""

    number: Number


class LinkRevoked(_Statement, frozen=True, tag="link-revoked"):
    """Links of a grant by the key of an issuer to that of a holder are taken no longer, nor what follows them."""

    grant: Number
    issuer: PublicKey
    holder: PublicKey


class AlgorithmRevoked(_Statement, frozen=True, tag="algorithm-revoked"):
    """Takes back every approval and grant of an algorithm that was given before, and leaves studies that use it."""

    algorithm: Digest


class HolderRevoked(_Statement, frozen=True, tag="holder-revoked"):
    """Takes back every grant to a key that was given before, and every link to it of such grants.

    Leaves its studies.
    """

    holder: PublicKey


class EverythingRevoked(_Statement, frozen=True, tag="everything-revoked"):
    """Takes back every approval and grant that was given before, and leaves every study."""


class Withheld(_Statement, frozen=True, tag="withheld"):
    """Takes data out of every approval and grant, past and future, until it is lifted.

    Attributes:
        from_ms, to_ms: Observation times, half open; None has no bound.
        area: Only what lies there; streams without places are withheld by time alone. None for all.
        words: What it is called, for its owner.
    """

    from_ms: Millis | None
    to_ms: Millis | None
    area: Area | None
    words: Small

    @property
    def span(self) -> tuple[int, int]:
        """The times that are taken out, half open, also where there is no bound."""
        return bounds(self.from_ms, self.to_ms)


class Lifted(_Statement, frozen=True, tag="lifted"):
    """Ends a withholding, by the number of its entry."""

    number: Number


Taking = Withdrawn | LinkRevoked | AlgorithmRevoked | HolderRevoked | EverythingRevoked | Withheld | Lifted
"""What takes back or withholds, or ends that."""

Permission = Approved | Granted | Joined | BudgetSet | Taking


def kept_as(allowed: Approved | Granted, scope: Scope) -> str:
    """The derived stream in which results are kept, or empty.

    Args:
        scope: What is in force, its own or that of a chain: results are kept only where all of it says so.
    """
    return allowed.store_as if scope.stores else ""
