"""Evidence and its verification: both layers, every signature, nothing accepted yet. The attacks are in `hostile`."""

from __future__ import annotations

import hashlib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import BOUND, CLAIMS, ISOLATION, NODE_RECIPIENT, NOW_MS, SUPERVISOR, Installation, key, refused
from waykeep.attestation import evidence as evidence_format
from waykeep.attestation import insecure
from waykeep.attestation.evidence import WORKLOAD_TYPE, Evidence, SignerBinding
from waykeep.attestation.verifier import verify
from waykeep.authority import dsse
from waykeep.errors import AttestationError
from waykeep.formats.wire import encode_json

NODE = Installation()
ENCODED = NODE.evidence(CLAIMS)


def test_what_was_encoded_is_decoded() -> None:
    assert evidence_format.encode(evidence_format.decode(ENCODED)) == ENCODED


def test_report_data_is_the_digest_of_the_bindings_json() -> None:
    public = key("supervisor").public
    said = f'{{"key":"{public}","time_ms":{NOW_MS},"node":"{NODE_RECIPIENT}"}}'.encode()
    assert SignerBinding(public, NOW_MS, NODE_RECIPIENT).report_data() == hashlib.sha256(said).digest()


@pytest.mark.parametrize(
    "node", ["", "age1", NODE_RECIPIENT[:-1], NODE_RECIPIENT + "q", NODE_RECIPIENT + "\n", NODE_RECIPIENT.upper(), 1]
)
def test_evidence_malformed_by_a_node_that_is_no_recipient(node: object) -> None:
    found = msgspec.json.decode(ENCODED)
    found["platform"]["binding"]["node"] = node
    with refused("evidence-malformed", AttestationError):
        evidence_format.decode(encode_json(found))


def test_evidence_malformed_without_a_node() -> None:
    found = msgspec.json.decode(ENCODED)
    del found["platform"]["binding"]["node"]
    with refused("evidence-malformed", AttestationError):
        evidence_format.decode(encode_json(found))


def test_both_layers_are_verified_and_nothing_is_judged() -> None:
    found = verify(evidence_format.decode(ENCODED), {insecure.PLATFORM: NODE.root.public})
    assert (found.platform.platform, found.platform.measurement) == (insecure.PLATFORM, SUPERVISOR)
    assert found.platform.report_data == found.binding.report_data()
    assert (found.workload.binding, found.workload.isolation) == (BOUND, ISOLATION)
    assert found.workload_signer == found.binding.key == NODE.signer.public
    assert (found.platform.debug, found.platform.tcb_status) == (False, "none")


@pytest.mark.parametrize("root", ["", "no key", key("other").public])
def test_quote_signature_under_another_root(root: str) -> None:
    with refused("quote-signature", AttestationError):
        insecure.verify(NODE.platform(), root)


def test_quote_malformed_where_its_signers_name_is_no_key() -> None:
    quote = msgspec.json.decode(NODE.platform().quote)
    quote["signatures"][0]["keyid"] = "no key"
    platform = msgspec.structs.replace(NODE.platform(), quote=encode_json(quote))
    with refused("quote-malformed", AttestationError):
        insecure.verify(platform, NODE.root.public)


@pytest.mark.parametrize("payload", [b"", b"{}", b"[]", b'{"workload":"user-cloud"}', b"\xff"])
def test_evidence_malformed_in_its_workload(payload: bytes) -> None:
    """Signed by the supervisor itself: the signature is fine, what it says is not."""
    found = Evidence(NODE.platform(), dsse.sign(WORKLOAD_TYPE, payload, NODE.signer))
    with refused("evidence-malformed", AttestationError):
        verify(found, {insecure.PLATFORM: NODE.root.public})


def test_evidence_malformed_by_a_workload_over_its_bound() -> None:
    found = Evidence(NODE.platform(), NODE.workload(CLAIMS) + b" " * 16384)
    with refused("evidence-malformed", AttestationError):
        verify(found, {insecure.PLATFORM: NODE.root.public})


@pytest.mark.parametrize(
    "changes",
    [{"measurement": "m" * 129}, {"binding": "b" * 129}, {"isolation": ("i" * 129,)}, {"workload": "w" * 129}],
)
def test_evidence_malformed_by_a_text_over_its_bound(changes: dict[str, object]) -> None:
    found = Evidence(NODE.platform(), NODE.workload(CLAIMS, **changes))
    with refused("evidence-malformed", AttestationError):
        verify(found, {insecure.PLATFORM: NODE.root.public})


@given(st.binary(max_size=200))
def test_arbitrary_quotes_and_workloads_are_refused_by_type(data: bytes) -> None:
    platform = NODE.platform()
    for found in (Evidence(msgspec.structs.replace(platform, quote=data), b""), Evidence(platform, data)):
        with pytest.raises(AttestationError):
            verify(found, {insecure.PLATFORM: NODE.root.public})


def test_the_warning_says_both_cases() -> None:
    assert "If you run this machine yourself" in insecure.WARNING
    assert "protects from nobody" in insecure.WARNING
