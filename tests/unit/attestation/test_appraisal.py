"""Appraisal: the numbered steps in their order, and nothing accepted where an expectation is empty.

The attacks, one by one, are in `hostile/test_evidence.py`.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from tests.unit.builders import (
    BOUND,
    CHANNEL,
    CLAIMS,
    CLOUD_CODE,
    ISOLATION,
    NODE_RECIPIENT,
    NONCE,
    NOW_MS,
    SANDBOX,
    SUPERVISOR,
    Installation,
    key,
    refused,
)
from waykeep.attestation import claims as claims_buffer
from waykeep.attestation import evidence as evidence_format
from waykeep.attestation.appraisal import AttestationResult, Expectation, Policy, ReferenceValues, appraise
from waykeep.attestation.claims import Claims
from waykeep.attestation.evidence import ALGORITHM, USER_CLOUD
from waykeep.attestation.verified import VerifiedEvidence
from waykeep.attestation.verifier import verify
from waykeep.errors import AttestationError

NODE = Installation()
TRUST = NODE.trust()


class Case(msgspec.Struct, frozen=True):
    """Everything that `appraise` is given; a fault replaces a part of it."""

    verified: VerifiedEvidence
    expected: Expectation
    references: ReferenceValues
    policy: Policy
    claims: bytes = CLAIMS
    now_ms: int = NOW_MS

    def judge(self) -> AttestationResult:
        return appraise(self.verified, self.claims, self.expected, self.references, self.policy, self.now_ms)


GENUINE = Case(
    verified=verify(evidence_format.decode(NODE.evidence(CLAIMS)), TRUST.roots),
    expected=Expectation(USER_CLOUD, BOUND, CHANNEL, NONCE),
    references=TRUST.references,
    policy=TRUST.policy,
)
Fault = Callable[[Case], Case]


def within(part: str, **changes: Any) -> Fault:
    """Replaces fields of one part of a case: ``verified.platform`` or ``policy``, say."""

    def replace(struct: Any, path: list[str]) -> Any:
        if not path:
            return msgspec.structs.replace(struct, **changes)
        return msgspec.structs.replace(struct, **{path[0]: replace(getattr(struct, path[0]), path[1:])})

    return lambda case: replace(case, part.split(".") if part else [])


FAULTS: list[tuple[str, Fault]] = [
    ("platform-not-accepted", within("policy", platforms=())),
    ("platform-debug", within("verified.platform", debug=True)),
    ("platform-measurement-unknown", within("references", supervisor=())),
    ("report-data-empty", within("verified.platform", report_data=bytes(32))),
    ("signer-not-quoted", within("verified.platform", report_data=b"q" * 32)),
    ("platform-evidence-expired", within("", now_ms=NOW_MS + 10**9)),
    ("platform-evidence-from-future", within("", now_ms=NOW_MS - 10**9)),
    ("workload-signer", within("verified", workload_signer=key("thief").public)),
    ("workload-mismatch", within("verified.workload", workload=ALGORITHM)),
    ("workload-measurement-unknown", within("references", workloads={})),
    ("binding-mismatch", within("verified.workload", binding="c" * 52)),
    ("claims-mismatch", within("verified.workload", report_data="00" * 32)),
    ("channel-mismatch", within("expected", channel=b"d" * 32)),
    ("nonce-mismatch", within("expected", nonce=b"m" * 32)),
    ("isolation-missing", within("verified.workload", isolation=())),
    ("isolation-missing", within("policy", isolation=())),
    ("sandbox-missing", within("policy", sandbox={})),
]
ALTERNATIVES = (
    {"report-data-empty", "signer-not-quoted"},
    {"platform-evidence-expired", "platform-evidence-from-future"},
)
"""Faults that exclude each other, for they replace the same field."""


def test_genuine_evidence_is_accepted_and_told_whole() -> None:
    assert GENUINE.judge() == AttestationResult(
        platform="insecure",
        supervisor_measurement=SUPERVISOR,
        workload=USER_CLOUD,
        measurement=CLOUD_CODE,
        binding=BOUND,
        isolation=ISOLATION,
        sandbox=(),
        age_ms=1000,
        node=NODE_RECIPIENT,
    )


@pytest.mark.parametrize(("rule", "fault"), FAULTS, ids=[rule for rule, _ in FAULTS])
def test_each_fault_alone_is_refused_with_403(rule: str, fault: Fault) -> None:
    with pytest.raises(AttestationError) as caught:
        fault(GENUINE).judge()
    assert (caught.value.rule, caught.value.status) == (rule, 403)


def test_of_two_faults_the_earlier_step_refuses() -> None:
    """So a refusal's name can be relied on: every step before it held."""
    for (earlier, one), (later, other) in itertools.combinations(FAULTS, 2):
        if {earlier, later} not in ALTERNATIVES:
            with refused(earlier, AttestationError):
                other(one(GENUINE)).judge()


# -- nothing expected, nothing accepted --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "value", "rule"),
    [
        ("workload", "", "workload-mismatch"),
        ("binding", "", "binding-mismatch"),
        ("channel", b"", "channel-mismatch"),
        ("nonce", b"", "nonce-mismatch"),
    ],
)
def test_an_empty_expectation_is_met_by_nobody(field: str, value: object, rule: str) -> None:
    with refused(rule, AttestationError):
        within("expected", **{field: value})(GENUINE).judge()


def test_every_expectation_has_its_test() -> None:
    assert Expectation.__struct_fields__ == ("workload", "binding", "channel", "nonce")


@pytest.mark.parametrize(
    ("part", "field", "value", "rule"),
    [
        ("verified.platform", "platform", "", "platform-not-accepted"),
        ("verified.platform", "measurement", "", "platform-measurement-unknown"),
        ("verified.platform", "report_data", b"", "report-data-empty"),
        ("verified", "workload_signer", "", "workload-signer"),
        ("verified.workload", "workload", "", "workload-mismatch"),
        ("verified.workload", "measurement", "", "workload-measurement-unknown"),
        ("verified.workload", "binding", "", "binding-mismatch"),
        ("verified.workload", "report_data", "", "claims-mismatch"),
        ("verified.workload", "isolation", (), "isolation-missing"),
        ("", "claims", b"", "claims-mismatch"),
    ],
)
def test_empty_evidence_is_refused(part: str, field: str, value: object, rule: str) -> None:
    with refused(rule, AttestationError):
        within(part, **{field: value})(GENUINE).judge()


def test_an_empty_workload_is_no_reference_value_even_where_it_is_expected() -> None:
    nobody = within("expected", workload="")(within("verified.workload", workload="")(GENUINE))
    with refused("workload-measurement-unknown", AttestationError):
        nobody.judge()


@pytest.mark.parametrize("other", [SUPERVISOR, CLOUD_CODE.upper(), CLOUD_CODE[:-1], CLOUD_CODE + " "])
def test_a_measurement_is_compared_whole_and_with_its_own_workload(other: str) -> None:
    with refused("workload-measurement-unknown", AttestationError):
        within("verified.workload", measurement=other)(GENUINE).judge()


@pytest.mark.parametrize("cut", [0, 1, 16, 31])
def test_report_data_is_compared_whole(cut: int) -> None:
    whole = GENUINE.verified.platform.report_data
    for data in (whole[:cut], whole + bytes(32), whole[:cut] + bytes(32 - cut)):
        with pytest.raises(AttestationError) as caught:
            within("verified.platform", report_data=data)(GENUINE).judge()
        assert caught.value.rule in ("report-data-empty", "signer-not-quoted")


# -- the last step -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("required", ["own-uid", "something-new"])
def test_isolation_that_a_process_has_beyond_the_required_is_told_and_does_not_help(required: str) -> None:
    case = within("policy", isolation=(required,))(within("verified.workload", isolation=("own-uid", "more"))(GENUINE))
    if required == "own-uid":
        assert case.judge().isolation == ("own-uid", "more")
    else:
        with refused("isolation-missing", AttestationError):
            case.judge()


def test_a_sandbox_required_of_a_user_cloud_is_asked_of_it_too() -> None:
    with refused("sandbox-missing", AttestationError):
        within("policy", sandbox={USER_CLOUD: SANDBOX})(GENUINE).judge()


def test_a_policy_for_other_workloads_says_nothing_of_this_one() -> None:
    with refused("sandbox-missing", AttestationError):
        within("policy", sandbox={ALGORITHM: ()})(GENUINE).judge()


# -- the edges of time -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("age_ms", "rule"),
    [
        (60_001, "platform-evidence-expired"),
        (60_000, ""),
        (0, ""),
        (-5_000, ""),
        (-5_001, "platform-evidence-from-future"),
    ],
)
def test_the_edges_of_a_quotes_age(age_ms: int, rule: str) -> None:
    case = within("", now_ms=GENUINE.verified.binding.time_ms + age_ms)(GENUINE)
    if rule:
        with refused(rule, AttestationError):
            case.judge()
    else:
        assert case.judge().age_ms == age_ms


def test_a_policy_without_tolerance_takes_a_quote_of_this_very_moment_alone() -> None:
    strict = within("policy", max_age_ms=0, max_skew_ms=0)(GENUINE)
    quoted = strict.verified.binding.time_ms
    assert within("", now_ms=quoted)(strict).judge().age_ms == 0
    for now_ms, rule in ((quoted + 1, "platform-evidence-expired"), (quoted - 1, "platform-evidence-from-future")):
        with refused(rule, AttestationError):
            within("", now_ms=now_ms)(strict).judge()


def test_claims_without_a_nonce_are_for_whoever_expects_none() -> None:
    """As they stand in a certificate, bound to its key alone: and there a nonce of a stranger is refused as well."""
    bare = claims_buffer.encode(Claims(CHANNEL))
    bound = within("verified.workload", report_data=claims_buffer.report_data(bare).hex())(GENUINE)
    certificate = within("", claims=bare, expected=Expectation(USER_CLOUD, BOUND, CHANNEL, b""))(bound)
    assert certificate.judge().binding == BOUND
    with refused("nonce-mismatch", AttestationError):
        within("expected", nonce=b"")(GENUINE).judge()
