"""The default policy of a device demands all that this version can give."""

from __future__ import annotations

from waykeep.algorithm import sandbox
from waykeep.attestation.evidence import ALGORITHM
from waykeep.device.trusting import ISOLATION, SANDBOX, default_policy
from waykeep.supervisor import isolation


def test_the_policy_demands_every_feature_that_the_sandbox_requires_of_itself() -> None:
    assert set(SANDBOX) == sandbox.REQUIRED
    assert set(default_policy().sandbox[ALGORITHM]) == sandbox.REQUIRED


def test_the_policy_demands_every_isolation_that_a_supervisor_can_claim() -> None:
    assert set(ISOLATION) == set(isolation.claims(1))


def test_sharing_a_uid_is_tolerated_by_hand_only() -> None:
    assert "own-uid" in default_policy().isolation
    assert set(default_policy(shared_uid=True).isolation) == set(ISOLATION) - {"own-uid"}
