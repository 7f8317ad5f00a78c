"""Members' messages: an intent with the evidence of the user cloud that sent it, and an answer for this query alone."""

from __future__ import annotations

from typing import NamedTuple

from waykeep.attestation import evidence as evidence_format
from waykeep.attestation.appraisal import Expectation
from waykeep.attestation.evidence import USER_CLOUD, WORKLOAD_TYPE, WorkloadClaims
from waykeep.authority import dsse, keys, queries
from waykeep.authority.queries import Contribution, Query
from waykeep.authority.studies import Study
from waykeep.channel.trust import Trust
from waykeep.errors import AttestationError, FormatError
from waykeep.formats import agefile, answers
from waykeep.formats.ids import Digest, OwnerId, PublicKey, parse_owner_id, sha256
from waykeep.formats.messages import Intending
from waykeep.formats.wire import decode_json

AGE_BYTES = 8192
"""What age adds to a plaintext, at most, but for 1/4096 of it."""


class Member(NamedTuple):
    """An owner whose user cloud proved itself: its state key, and the measurements of what it runs, by part."""

    owner: OwnerId
    key: PublicKey
    measured: tuple[tuple[str, str], ...]


def appraise(asked: Intending, query: Query, study: Study, trust: Trust, now_ms: int) -> Member:
    """Whoever sent an intent.

    Raises: AuthorityError: As `queries.open_intent`. AttestationError: As `Trust.appraise`. FormatError.
    """
    key = queries.open_intent(asked.intent.encode(), query, study)
    # Evidence says itself for which owner it is; that it is true, its appraisal shows.
    owner = _claimed(asked.evidence)
    expected = Expectation(USER_CLOUD, owner, keys.spki_digest(key), query.nonce)
    found = trust.appraise(asked.evidence, asked.claims, expected, now_ms)
    return Member(owner, key, (("supervisor", found.supervisor_measurement), (USER_CLOUD, found.measurement)))


def _claimed(evidence: bytes) -> OwnerId:
    try:
        payload = dsse.peek(evidence_format.decode(evidence).workload, WORKLOAD_TYPE).payload
        return parse_owner_id(decode_json(payload, WorkloadClaims, what="workload evidence").binding)
    except FormatError as error:
        raise AttestationError("evidence-malformed", error.message) from None


def sealed_bytes(study: Study) -> int:
    """The most that an answer takes."""
    size = queries.contribution_size(study)
    return size + size // 4096 + AGE_BYTES


def open_answer(sealed: bytes, secret: str, query: Query, study: Study) -> tuple[Contribution, PublicKey, Digest]:
    """An answer, the key that signed it, and the digest of its envelope.

    Raises: FormatError: As `agefile.open_`. AuthorityError: As `queries.open_contribution`.
    """
    plain = agefile.open_(sealed, [secret], limit=sealed_bytes(study), what="a contribution")
    envelope = answers.unpad(plain)
    said, key = queries.open_contribution(envelope, query, study)
    return said, key, sha256(envelope)
