"""What a device demands of a user cloud by default: everything that this version can give."""

from __future__ import annotations

from waykeep.attestation import insecure
from waykeep.attestation.appraisal import Policy
from waykeep.attestation.evidence import AGGREGATOR, ALGORITHM, USER_CLOUD

_DAY_MS = 86_400_000
ISOLATION = ("not-dumpable", "own-descriptors", "own-uid", "parent-death-signal")
SANDBOX = (
    "capabilities",
    "cgroup-namespace",
    "descriptors",
    "dumpable-off",
    "ipc-namespace",
    "landlock",
    "mount-namespace",
    "network-namespace",
    "no-new-privileges",
    "pid-namespace",
    "private-memory",
    "resource-limits",
    "seccomp",
    "uts-namespace",
)
"""What an author's process must have reported; `waykeep.algorithm.sandbox` says what each name means."""


def default_policy(*, shared_uid: bool = False) -> Policy:
    """The policy of a device that was given a software root by hand.

    Args:
        shared_uid: Accept processes without a uid of their own, for a supervisor that is not root on one's own machine.
    """
    return Policy(
        platforms=(insecure.PLATFORM,),
        max_age_ms=30 * _DAY_MS,
        max_skew_ms=300_000,
        isolation=tuple(claim for claim in ISOLATION if not (shared_uid and claim == "own-uid")),
        sandbox={USER_CLOUD: (), AGGREGATOR: (), ALGORITHM: SANDBOX},
    )
