"""The supervisor's signing key, the platform's quote over it, and the workload evidence that it signs."""

from __future__ import annotations

from collections.abc import Callable

from waykeep.attestation import claims as claims_buffer
from waykeep.attestation import evidence
from waykeep.attestation.evidence import Evidence, PlatformEvidence, SignerBinding, WorkloadClaims
from waykeep.authority import dsse
from waykeep.authority.keys import SigningKey
from waykeep.formats.wire import encode_json

Quoter = Callable[[bytes], bytes]
"""The quoting device: ``quote(report_data) -> quote``."""


class Signer:
    """Asks the quoting device once, then signs for each process.

    Args:
        platform: The platform's name.
        quote: The quoting device; this object is its only user.
        seed: 32 random bytes of the signing key, which never leaves this process.
        time_ms: When the quote is asked for.
        measurements: Per workload its measurement.
        node: The recipient of this node's key, which is quoted too.
    """

    def __init__(
        self, platform: str, quote: Quoter, seed: bytes, time_ms: int, measurements: dict[str, str], node: str
    ) -> None:
        self._key = SigningKey(seed)
        binding = SignerBinding(self._key.public, time_ms, node)
        self._platform = PlatformEvidence(platform, quote(binding.report_data()), binding)
        self.measurements = measurements

    def evidence(
        self, workload: str, binding: str, claims: bytes, isolation: tuple[str, ...], sandbox: tuple[str, ...]
    ) -> bytes:
        """Encoded evidence for one process, over its claims buffer."""
        statement = WorkloadClaims(
            workload=workload,
            measurement=self.measurements[workload],
            binding=binding,
            report_data=claims_buffer.report_data(claims).hex(),
            isolation=isolation,
            sandbox=sandbox,
        )
        envelope = dsse.sign(evidence.WORKLOAD_TYPE, encode_json(statement), self._key)
        return evidence.encode(Evidence(self._platform, envelope))
