"""What a verifier outputs.

Claims, of which nothing is accepted yet. Appraisal decides (`waykeep.attestation.appraisal`).
"""

from __future__ import annotations

import msgspec

from waykeep.attestation.evidence import SignerBinding, WorkloadClaims
from waykeep.formats.ids import PublicKey


class PlatformClaims(msgspec.Struct, frozen=True):
    """Claims of a platform's quote whose signature was verified; only a platform's verifier builds it.

    Attributes:
        measurement: What the platform measured, hex or digest.
        report_data: The 32 bytes (or more) that the quote was made over.
        tcb_status: The platform's word for how current it is; ``none`` where there is no such thing.
    """

    platform: str
    measurement: str
    report_data: bytes
    debug: bool
    tcb_status: str
    advisories: tuple[str, ...]


class VerifiedEvidence(msgspec.Struct, frozen=True):
    """Both layers with verified signatures; only `waykeep.attestation.verifier.verify` builds it."""

    platform: PlatformClaims
    binding: SignerBinding
    workload: WorkloadClaims
    workload_signer: PublicKey
