"""Appraisal: does verified evidence meet what the caller expects? Starts from refusal; every expectation must be there.

The procedure, by the numbers that the code repeats:

1.  ``platform-not-accepted``: the policy names the platform.
2.  ``platform-debug``: a debuggable platform is never accepted.
3.  ``platform-measurement-unknown``: the supervisor's measurement is a reference value.
4.  ``report-data-empty``, ``signer-not-quoted``: the quote was made over this signing key, time and node.
5.  ``platform-evidence-expired``, ``platform-evidence-from-future``: the quote's age, by the caller's clock.
6.  ``workload-signer``: the quoted key signed the workload evidence. Steps 4 and 6 are the link of the two layers.
7.  ``workload-mismatch``, ``workload-measurement-unknown``: the workload asked for, with a reference measurement.
8.  ``binding-mismatch``: bound to this owner id or algorithm digest.
9.  ``claims-mismatch``: made over this claims buffer.
10. ``channel-mismatch``: the claims hold the key of this very connection; evidence relayed from elsewhere fails here.
11. ``nonce-mismatch``: the claims hold this nonce; an old answer fails here.
12. ``isolation-missing``, ``sandbox-missing``: all that the policy requires of the process.
"""

from __future__ import annotations

import msgspec

from waykeep.attestation import claims as claims_buffer
from waykeep.attestation.verified import VerifiedEvidence
from waykeep.errors import AttestationError


class ReferenceValues(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Measurements that are accepted: of supervisors, and per workload (RFC 9334: reference values)."""

    supervisor: tuple[str, ...]
    workloads: dict[str, tuple[str, ...]]


class Policy(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the caller accepts. There is no default: an empty policy refuses everything.

    Attributes:
        platforms: Names of platforms.
        max_age_ms: The greatest age of platform evidence.
        max_skew_ms: How far ahead of the caller's clock its time may be.
        isolation: What must hold for the process.
        sandbox: Per workload, what the sandbox must have reported.
    """

    platforms: tuple[str, ...]
    max_age_ms: int
    max_skew_ms: int
    isolation: tuple[str, ...]
    sandbox: dict[str, tuple[str, ...]]


class Expectation(msgspec.Struct, frozen=True):
    """Whom the caller expects at the other end of this connection.

    Attributes:
        workload: ``user-cloud`` or ``algorithm``.
        binding: Owner id or algorithm digest.
        channel: SHA-256 of the key that the peer's TLS certificate holds, from the handshake.
        nonce: The caller's own, 32 bytes; or empty for the evidence in a certificate, which is only bound to the key.
    """

    workload: str
    binding: str
    channel: bytes
    nonce: bytes


class AttestationResult(msgspec.Struct, frozen=True):
    """The peer is what was expected. Only `appraise` builds one.

    ``node`` is the recipient of the key of the node that it runs on.
    """

    platform: str
    supervisor_measurement: str
    workload: str
    measurement: str
    binding: str
    isolation: tuple[str, ...]
    sandbox: tuple[str, ...]
    age_ms: int
    node: str


def appraise(
    verified: VerifiedEvidence,
    claims: bytes,
    expected: Expectation,
    references: ReferenceValues,
    policy: Policy,
    now_ms: int,
) -> AttestationResult:
    """Appraise evidence.

    Args:
        claims: The peer's claims buffer, as it came.
        now_ms: The caller's clock, milliseconds since 1970 UTC.

    Raises:
        AttestationError: Named by the rules of the module's docstring.
    """
    platform, workload, binding = verified.platform, verified.workload, verified.binding
    _check(
        platform.platform in policy.platforms, "platform-not-accepted", "a platform that the policy does not accept"
    )  # 1
    _check(not platform.debug, "platform-debug", "a platform in debug mode, which anybody may read")  # 2
    _check(  # 3
        platform.measurement in references.supervisor,
        "platform-measurement-unknown",
        f"a supervisor measured as {platform.measurement}, which is no reference value",
        "compare with 'waykeep measure' of the version you trust",
    )
    _check(any(platform.report_data), "report-data-empty", "a quote over nothing")  # 4
    _check(
        platform.report_data == binding.report_data(),
        "signer-not-quoted",
        "a quote made over another signing key or node",
    )  # 4
    age = now_ms - binding.time_ms
    _check(age <= policy.max_age_ms, "platform-evidence-expired", f"platform evidence {age} ms old")  # 5
    _check(age >= -policy.max_skew_ms, "platform-evidence-from-future", f"platform evidence {-age} ms ahead")  # 5
    _check(
        verified.workload_signer == binding.key, "workload-signer", "workload evidence by a key that was not quoted"
    )  # 6
    _check(
        workload.workload == expected.workload, "workload-mismatch", f"another workload than {expected.workload}"
    )  # 7
    _check(  # 7
        workload.measurement in references.workloads.get(expected.workload, ()),
        "workload-measurement-unknown",
        f"a {expected.workload} measured as {workload.measurement}, which is no reference value",
        "the code there is not the code you trust; compare with 'waykeep measure'",
    )
    _check(
        workload.binding == expected.binding, "binding-mismatch", "a process bound to another owner or algorithm"
    )  # 8
    _check(  # 9
        workload.report_data == claims_buffer.report_data(claims).hex(),
        "claims-mismatch",
        "claims that the evidence was not made over",
    )
    found = claims_buffer.decode(claims)
    _check(
        found.channel == expected.channel, "channel-mismatch", "evidence made for another channel key (relayed?)"
    )  # 10
    _check(found.nonce == expected.nonce, "nonce-mismatch", "evidence made for another nonce (stale?)")  # 11
    _check(bool(policy.isolation), "isolation-missing", "no expectation of isolation in the policy")  # 12
    _require(policy.isolation, workload.isolation, "isolation-missing", "process")  # 12
    _check(  # 12
        expected.workload in policy.sandbox,
        "sandbox-missing",
        f"no expectation of a sandbox for {expected.workload} in the policy",
    )
    _require(policy.sandbox[expected.workload], workload.sandbox, "sandbox-missing", "sandbox")  # 12
    return AttestationResult(
        platform=platform.platform,
        supervisor_measurement=platform.measurement,
        workload=workload.workload,
        measurement=workload.measurement,
        binding=workload.binding,
        isolation=workload.isolation,
        sandbox=workload.sandbox,
        age_ms=age,
        node=binding.node,
    )


def _check(holds: bool, rule: str, found: str, hint: str = "") -> None:
    if not holds:
        raise AttestationError(rule, f"found {found}", hint=hint, status=403)


def _require(wanted: tuple[str, ...], have: tuple[str, ...], rule: str, what: str) -> None:
    missing = sorted(set(wanted) - set(have))
    _check(not missing, rule, f"a {what} without {', '.join(missing)}, which the policy requires")
