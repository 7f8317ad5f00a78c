"""What a client trusts crosses to its user cloud whole, or not at all."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import BOUND, CHANNEL, CLAIMS, CLOUD_CODE, NONCE, NOW_MS, Installation, refused
from waykeep.attestation.appraisal import Expectation
from waykeep.attestation.evidence import USER_CLOUD
from waykeep.channel import trust
from waykeep.channel.trust import Trust
from waykeep.errors import AttestationError
from waykeep.formats.messages import Appraisal
from waykeep.formats.wire import decode_json, encode_json

NODE = Installation()
SENT = NODE.trust().to_message()


def test_trust_crosses_whole() -> None:
    assert trust.from_message(decode_json(encode_json(SENT), Appraisal)) == NODE.trust()


def test_evidence_is_judged_by_what_crossed() -> None:
    expected = Expectation(USER_CLOUD, BOUND, CHANNEL, NONCE)
    found = trust.from_message(SENT).appraise(NODE.evidence(CLAIMS), CLAIMS, expected, NOW_MS)
    assert found.measurement == CLOUD_CODE


def test_trust_cannot_be_changed_once_made() -> None:
    made = NODE.trust()
    with pytest.raises(AttributeError):
        made.policy = made.policy
    with pytest.raises(AttributeError):
        made.policy.platforms = ()


@pytest.mark.parametrize("part", [b"", b"{}", b"null", b"[]", b"\xff", b'{"supervisor":[],"workloads":{},"more":1}'])
def test_policy_malformed(part: bytes) -> None:
    for message in (
        msgspec.structs.replace(SENT, policy=part),
        msgspec.structs.replace(SENT, references=part),
    ):
        with refused("policy-malformed", AttestationError):
            trust.from_message(message)


def test_policy_malformed_by_its_size() -> None:
    with refused("policy-malformed", AttestationError):
        trust.from_message(msgspec.structs.replace(SENT, policy=SENT.policy + b" " * (1 << 20)))


@given(st.binary(max_size=100))
def test_arbitrary_bytes_are_refused_by_type(data: bytes) -> None:
    with refused("policy-malformed", AttestationError):
        trust.from_message(Appraisal({}, data, data))


def test_trust_in_nobody_accepts_nobody() -> None:
    nobody = Trust({}, NODE.trust().references, NODE.trust().policy)
    with refused("platform-root-missing", AttestationError):
        nobody.appraise(NODE.evidence(CLAIMS), CLAIMS, Expectation(USER_CLOUD, BOUND, CHANNEL, NONCE), NOW_MS)
