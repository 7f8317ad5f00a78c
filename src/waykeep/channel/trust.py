"""What a client trusts: roots, reference values and policy; and the appraisal of a peer with them."""

from __future__ import annotations

from collections.abc import Collection

import msgspec

from waykeep.attestation import evidence as evidence_format
from waykeep.attestation.appraisal import AttestationResult, Expectation, Policy, ReferenceValues, appraise
from waykeep.attestation.verifier import verify
from waykeep.errors import AttestationError, FormatError
from waykeep.formats.messages import Appraisal
from waykeep.formats.wire import decode_json, encode_json


class Trust(msgspec.Struct, frozen=True):
    """Roots of trust by platform, the measurements accepted, and the policy."""

    roots: dict[str, str]
    references: ReferenceValues
    policy: Policy

    def appraise(self, evidence: bytes, claims: bytes, expected: Expectation, now_ms: int) -> AttestationResult:
        """Verify and appraise a peer's evidence. Raises: AttestationError."""
        verified = verify(evidence_format.decode(evidence), self.roots)
        return appraise(verified, claims, expected, self.references, self.policy, now_ms)

    def only(self, workload: str, supervisors: Collection[str], measurements: Collection[str]) -> Trust:
        """The same, for one workload, of whose code both this and somebody else approve."""
        references = ReferenceValues(
            supervisor=tuple(known for known in self.references.supervisor if known in supervisors),
            workloads={workload: tuple(m for m in self.references.workloads.get(workload, ()) if m in measurements)},
        )
        return Trust(self.roots, references, self.policy)

    def to_message(self) -> Appraisal:
        return Appraisal(self.roots, encode_json(self.references), encode_json(self.policy))


def from_message(message: Appraisal) -> Trust:
    """Raises: AttestationError: ``policy-malformed``."""
    try:
        return Trust(
            message.roots,
            decode_json(message.references, ReferenceValues, what="reference values"),
            decode_json(message.policy, Policy, what="a policy"),
        )
    except FormatError as error:
        raise AttestationError("policy-malformed", error.message) from None
