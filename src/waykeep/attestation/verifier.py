"""From `Evidence` to `VerifiedEvidence`.

Every signature, and nothing but signatures. An unknown platform is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from waykeep.attestation import insecure
from waykeep.attestation.evidence import WORKLOAD_TYPE, Evidence, PlatformEvidence, WorkloadClaims
from waykeep.attestation.verified import PlatformClaims, VerifiedEvidence
from waykeep.authority import dsse
from waykeep.errors import AttestationError, AuthorityError, FormatError
from waykeep.formats.wire import decode_json

_PLATFORMS: dict[str, Callable[[PlatformEvidence, str], PlatformClaims]] = {insecure.PLATFORM: insecure.verify}


def verify(evidence: Evidence, roots: Mapping[str, str]) -> VerifiedEvidence:
    """Verify both layers.

    Args:
        roots: Root of trust by platform; a platform without one is not trusted.

    Raises:
        AttestationError: ``platform-unknown``, ``platform-root-missing``, ``workload-signature``,
            ``evidence-malformed``, and those of a platform.
    """
    platform = evidence.platform.platform
    if platform not in _PLATFORMS:
        raise AttestationError("platform-unknown", "found evidence of a platform that this version cannot verify")
    if platform not in roots:
        raise AttestationError(
            "platform-root-missing",
            f"found evidence of platform {platform}, for which no root of trust was given",
            hint="pass the root by hand if you trust it; no default does",
        )
    claims = _PLATFORMS[platform](evidence.platform, roots[platform])
    try:
        opened = dsse.peek(evidence.workload, WORKLOAD_TYPE, limit=16384)
        workload = decode_json(opened.payload, WorkloadClaims, what="workload evidence")
    except AuthorityError as error:
        raise AttestationError(
            "workload-signature", f"found workload evidence that does not verify ({error.rule})"
        ) from None
    except FormatError as error:
        raise AttestationError("evidence-malformed", error.message) from None
    return VerifiedEvidence(claims, evidence.platform.binding, workload, opened.signer)
