"""Evidence: unverified bytes with a platform's name, in two layers (RFC 9334, section 3.2, layered attesters).

*Platform evidence* is a quote over the supervisor's signing key and its node's recipient, made once at its start,
because a hardware quote is slow. *Workload evidence* is that key's signature over what one process is: workload,
measurement, binding, claims, isolation. Appraisal needs both and their link. On a platform without supervisor (SGX) the
enclave's quote will be both.
"""

from __future__ import annotations

import hashlib
from typing import Annotated

import msgspec

from waykeep.errors import AttestationError, FormatError
from waykeep.formats.ids import PublicKey
from waykeep.formats.messages import Millis
from waykeep.formats.wire import decode_json, encode_json

WORKLOAD_TYPE = "application/vnd.waykeep.workload-evidence+json"
MAX_EVIDENCE = 65536
USER_CLOUD = "user-cloud"
ALGORITHM = "algorithm"
AGGREGATOR = "aggregator"

_Name = Annotated[str, msgspec.Meta(max_length=128)]
NodeRecipient = Annotated[str, msgspec.Meta(pattern=r"^age1[02-9ac-hj-np-z]{58}$", max_length=62)]


class SignerBinding(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a platform's quote is made over.

    Attributes:
        key: The supervisor's signing key.
        time_ms: When the quote was asked for.
        node: The age recipient of the node's key: what is sealed to it, only this node's supervisor opens.
    """

    key: PublicKey
    time_ms: Millis
    node: NodeRecipient

    def report_data(self) -> bytes:
        """SHA-256 over the binding's JSON: 32 bytes."""
        return hashlib.sha256(encode_json(self)).digest()


class PlatformEvidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A platform's quote, and the binding that its report data is the digest of."""

    platform: _Name
    quote: bytes
    binding: SignerBinding


class Evidence(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Both layers, unverified. ``workload`` is a DSSE envelope of `WorkloadClaims`."""

    platform: PlatformEvidence
    workload: bytes


class WorkloadClaims(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the supervisor says of a process that it forked.

    Attributes:
        workload: ``user-cloud``, ``algorithm`` or ``aggregator``.
        measurement: Digest of the workload's code, see ``docs/spec.md``.
        binding: The owner id, the algorithm digest, or the study and repetition that it is bound to for its life.
        report_data: SHA-256 of its claims buffer, in hex.
        isolation: What holds for its process, such as ``own-uid`` and ``not-dumpable``.
        sandbox: What the author's process reported of its sandbox; empty for a user cloud.
    """

    workload: _Name
    measurement: _Name
    binding: _Name
    report_data: _Name
    isolation: tuple[_Name, ...]
    sandbox: tuple[_Name, ...]


def encode(evidence: Evidence) -> bytes:
    return encode_json(evidence)


def decode(data: bytes) -> Evidence:
    """Raises: AttestationError: ``evidence-malformed``. Nothing in the result is verified."""
    try:
        found = decode_json(data, Evidence, limit=MAX_EVIDENCE, what="evidence")
    except FormatError as error:
        raise AttestationError("evidence-malformed", error.message) from None
    if encode(found) != data:
        raise AttestationError("evidence-malformed", "found evidence that is not spelled as Waykeep spells it")
    return found
