"""An attacker cannot have a device hand keys to anything but the code, owner and connection that it asked for.

The attacker answers in place of a user cloud with evidence of their choice: genuine evidence from elsewhere, of another
time, or changed; they hold every key but the root and the supervisor's.
"""

from __future__ import annotations

import random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import (
    ALGORITHM_CODE,
    BOUND,
    CHANNEL,
    CLAIMS,
    CLOUD_CODE,
    ISOLATION,
    NONCE,
    NOW_MS,
    SANDBOX,
    Installation,
    key,
    refused,
)
from waykeep.attestation import claims as claims_buffer
from waykeep.attestation import evidence as evidence_format
from waykeep.attestation import insecure, ratls
from waykeep.attestation.appraisal import AttestationResult, Expectation, Policy, ReferenceValues, appraise
from waykeep.attestation.claims import Claims
from waykeep.attestation.evidence import ALGORITHM, USER_CLOUD, Evidence, PlatformEvidence
from waykeep.attestation.verifier import verify
from waykeep.authority import dsse
from waykeep.channel import trust as trusting
from waykeep.channel.tls import new_key
from waykeep.channel.trust import Trust
from waykeep.errors import AttestationError, WaykeepError
from waykeep.formats import agefile
from waykeep.formats.ids import sha256
from waykeep.formats.messages import Appraisal
from waykeep.formats.wire import encode_json

NODE = Installation()
EXPECTED = Expectation(USER_CLOUD, BOUND, CHANNEL, NONCE)


def judge(
    evidence: bytes | None = None,
    *,
    claims: bytes = CLAIMS,
    expected: Expectation = EXPECTED,
    trust: Trust | None = None,
    now_ms: int = NOW_MS,
) -> AttestationResult:
    """What a device does with evidence; by default all is as it should be."""
    evidence = NODE.evidence(claims) if evidence is None else evidence
    return (trust or NODE.trust()).appraise(evidence, claims, expected, now_ms)


def test_genuine_evidence_is_accepted() -> None:
    result = judge()
    assert (result.workload, result.measurement, result.binding) == (USER_CLOUD, CLOUD_CODE, BOUND)
    assert (result.isolation, result.age_ms) == (ISOLATION, 1000)


# -- of another time or place ------------------------------------------------------------------------------------------


def test_stale_evidence_of_another_nonce_is_refused() -> None:
    old = claims_buffer.encode(Claims(CHANNEL, b"m" * 32))
    with refused("nonce-mismatch", AttestationError):
        judge(claims=old)


def test_evidence_of_a_certificate_does_not_pass_for_fresh_evidence() -> None:
    with refused("nonce-mismatch", AttestationError):
        judge(claims=claims_buffer.encode(Claims(CHANNEL)))


def test_evidence_relayed_from_another_connection_is_refused() -> None:
    with refused("channel-mismatch", AttestationError):
        judge(expected=msgspec.structs.replace(EXPECTED, channel=b"d" * 32))


def test_evidence_relayed_in_another_certificate_is_refused() -> None:
    genuine, thief = new_key(), new_key()
    claims = claims_buffer.encode(Claims(ratls.channel_of(genuine)))
    pem = ratls.build(thief, NODE.evidence(claims), claims)
    evidence, found, channel = ratls.parse(der_of(pem))
    assert channel == ratls.channel_of(thief)
    with refused("channel-mismatch", AttestationError):
        judge(evidence, claims=found, expected=Expectation(USER_CLOUD, BOUND, channel, b""))


def test_genuine_evidence_with_the_claims_of_a_thief_is_refused() -> None:
    with refused("claims-mismatch", AttestationError):
        judge(
            NODE.evidence(CLAIMS),
            claims=claims_buffer.encode(Claims(b"d" * 32, NONCE)),
            expected=msgspec.structs.replace(EXPECTED, channel=b"d" * 32),
        )


def test_old_platform_evidence_is_refused() -> None:
    assert judge(now_ms=NOW_MS + 59_000).age_ms == 60_000
    with refused("platform-evidence-expired", AttestationError):
        judge(now_ms=NOW_MS + 59_001)


def test_platform_evidence_from_the_future_is_refused() -> None:
    assert judge(now_ms=NOW_MS - 6_000).age_ms == -5_000
    with refused("platform-evidence-from-future", AttestationError):
        judge(now_ms=NOW_MS - 6_001)


# -- of other code, or somebody else's ---------------------------------------------------------------------------------


def test_supervisor_of_another_measurement_is_refused() -> None:
    with refused("platform-measurement-unknown", AttestationError):
        judge(Installation(measurement="patched").evidence(CLAIMS))


@pytest.mark.parametrize("measurement", ["patched", ALGORITHM_CODE, ""])
def test_user_cloud_of_another_measurement_is_refused(measurement: str) -> None:
    with refused("workload-measurement-unknown", AttestationError):
        judge(NODE.evidence(CLAIMS, measurement=measurement))


def test_an_algorithm_does_not_pass_for_a_user_cloud() -> None:
    with refused("workload-mismatch", AttestationError):
        judge(NODE.evidence(CLAIMS, workload=ALGORITHM, measurement=ALGORITHM_CODE, sandbox=SANDBOX))


def test_user_cloud_of_another_owner_is_refused() -> None:
    with refused("binding-mismatch", AttestationError):
        judge(NODE.evidence(CLAIMS, binding="c" * 52))


def test_algorithm_of_another_digest_is_refused() -> None:
    wanted, other = sha256(b"wanted"), sha256(b"other")
    evidence = NODE.evidence(CLAIMS, workload=ALGORITHM, measurement=ALGORITHM_CODE, binding=other, sandbox=SANDBOX)
    with refused("binding-mismatch", AttestationError):
        judge(evidence, expected=Expectation(ALGORITHM, wanted, CHANNEL, NONCE))
    assert judge(evidence, expected=Expectation(ALGORITHM, other, CHANNEL, NONCE)).sandbox == SANDBOX


# -- signed by somebody else -------------------------------------------------------------------------------------------


def test_quote_of_another_root_is_refused() -> None:
    with refused("quote-signature", AttestationError):
        judge(Installation("somebody else's").evidence(CLAIMS))


def test_platform_without_a_root_is_refused() -> None:
    trust = msgspec.structs.replace(NODE.trust(), roots={})
    with refused("platform-root-missing", AttestationError):
        judge(trust=trust)


def test_unknown_platform_is_refused_even_with_a_root() -> None:
    found = evidence_format.decode(NODE.evidence(CLAIMS))
    renamed = msgspec.structs.replace(found, platform=msgspec.structs.replace(found.platform, platform="tdx"))
    trust = msgspec.structs.replace(NODE.trust(platforms=("tdx",)), roots={"tdx": NODE.root.public})
    with refused("platform-unknown", AttestationError):
        judge(evidence_format.encode(renamed), trust=trust)


def test_workload_evidence_by_a_key_that_was_not_quoted_is_refused() -> None:
    with refused("workload-signer", AttestationError):
        judge(NODE.evidence(CLAIMS, signer=key("thief")))


def test_quote_over_another_signing_key_is_refused() -> None:
    """The thief puts their own key beside a genuine quote and signs the workload evidence with it."""
    genuine, thief = NODE.platform(), key("thief")
    platform = msgspec.structs.replace(genuine, binding=msgspec.structs.replace(genuine.binding, key=thief.public))
    with refused("signer-not-quoted", AttestationError):
        judge(evidence_format.encode(Evidence(platform, NODE.workload(CLAIMS, thief))))


def test_quote_over_another_node_is_refused() -> None:
    """The operator puts the recipient of a key of theirs beside a genuine quote, to be sent what a user cloud seals."""
    genuine = NODE.platform()
    swapped = msgspec.structs.replace(genuine.binding, node=agefile.generate()[1])
    platform = msgspec.structs.replace(genuine, binding=swapped)
    with refused("signer-not-quoted", AttestationError):
        judge(evidence_format.encode(Evidence(platform, NODE.workload(CLAIMS))))


def test_old_quote_with_a_newer_time_beside_it_is_refused() -> None:
    genuine = Installation(quoted_ms=NOW_MS - 10**9).platform()
    platform = msgspec.structs.replace(genuine, binding=msgspec.structs.replace(genuine.binding, time_ms=NOW_MS))
    with refused("signer-not-quoted", AttestationError):
        judge(evidence_format.encode(Evidence(platform, NODE.workload(CLAIMS))))


def test_quote_over_nothing_is_refused() -> None:
    binding = NODE.platform().binding
    platform = PlatformEvidence(insecure.PLATFORM, insecure.quote(NODE.root, NODE.measurement, bytes(32)), binding)
    with refused("report-data-empty", AttestationError):
        judge(evidence_format.encode(Evidence(platform, NODE.workload(CLAIMS))))


def test_workload_evidence_with_a_broken_signature_is_refused() -> None:
    workload = msgspec.json.decode(NODE.workload(CLAIMS))
    workload["signatures"][0]["sig"] = msgspec.json.decode(NODE.workload(b"others"))["signatures"][0]["sig"]
    with refused("workload-signature", AttestationError):
        judge(evidence_format.encode(Evidence(NODE.platform(), encode_json(workload))))


def test_a_statement_of_another_type_is_no_workload_evidence() -> None:
    payload = msgspec.json.decode(NODE.workload(CLAIMS))["payload"]
    statement = dsse.sign("application/vnd.waykeep.receipt+json", payload.encode(), NODE.signer)
    with refused("workload-signature", AttestationError):
        judge(evidence_format.encode(Evidence(NODE.platform(), statement)))


@pytest.mark.parametrize("payload", [b"{}", b"not JSON", encode_json({"measurement": "m", "report_data": "no hex"})])
def test_quote_that_does_not_parse_is_refused(payload: bytes) -> None:
    quote = dsse.sign(insecure.QUOTE_TYPE, payload, NODE.root)
    platform = msgspec.structs.replace(NODE.platform(), quote=quote)
    with refused("quote-malformed", AttestationError):
        judge(evidence_format.encode(Evidence(platform, NODE.workload(CLAIMS))))


# -- less isolated than it should be -----------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ISOLATION)
def test_process_without_some_isolation_is_refused(missing: str) -> None:
    with refused("isolation-missing", AttestationError):
        judge(NODE.evidence(CLAIMS, isolation=tuple(kind for kind in ISOLATION if kind != missing)))


@pytest.mark.parametrize("missing", SANDBOX)
def test_algorithm_without_some_of_its_sandbox_is_refused(missing: str) -> None:
    evidence = NODE.evidence(
        CLAIMS,
        workload=ALGORITHM,
        measurement=ALGORITHM_CODE,
        sandbox=tuple(kind for kind in SANDBOX if kind != missing),
    )
    with refused("sandbox-missing", AttestationError):
        judge(evidence, expected=Expectation(ALGORITHM, BOUND, CHANNEL, NONCE))


def test_debuggable_platform_is_refused() -> None:
    verified = verify(evidence_format.decode(NODE.evidence(CLAIMS)), NODE.trust().roots)
    debuggable = msgspec.structs.replace(verified, platform=msgspec.structs.replace(verified.platform, debug=True))
    trust = NODE.trust()
    with refused("platform-debug", AttestationError):
        appraise(debuggable, CLAIMS, EXPECTED, trust.references, trust.policy, NOW_MS)


# -- an expectation that is missing ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("platforms", (), "platform-not-accepted"),
        ("max_age_ms", 0, "platform-evidence-expired"),
        ("sandbox", {}, "sandbox-missing"),
    ],
)
def test_a_policy_that_accepts_nothing_refuses(name: str, value: object, rule: str) -> None:
    with refused(rule, AttestationError):
        judge(trust=NODE.trust(**{name: value}))


@pytest.mark.parametrize(
    ("references", "rule"),
    [
        (ReferenceValues((), {USER_CLOUD: (CLOUD_CODE,)}), "platform-measurement-unknown"),
        (ReferenceValues(NODE.trust().references.supervisor, {}), "workload-measurement-unknown"),
        (ReferenceValues(NODE.trust().references.supervisor, {USER_CLOUD: ()}), "workload-measurement-unknown"),
    ],
)
def test_no_reference_value_refuses(references: ReferenceValues, rule: str) -> None:
    with refused(rule, AttestationError):
        judge(trust=msgspec.structs.replace(NODE.trust(), references=references))


@pytest.mark.parametrize("field", Policy.__struct_fields__)
def test_a_policy_that_leaves_a_field_out_is_refused(field: str) -> None:
    policy = msgspec.to_builtins(NODE.trust().policy)
    del policy[field]
    sent = NODE.trust().to_message()
    with refused("policy-malformed", AttestationError):
        trusting.from_message(Appraisal(sent.roots, sent.references, encode_json(policy)))


@pytest.mark.parametrize("field", Policy.__struct_fields__)
def test_a_policy_that_says_null_is_refused(field: str) -> None:
    policy = msgspec.to_builtins(NODE.trust().policy) | {field: None}
    sent = NODE.trust().to_message()
    with refused("policy-malformed", AttestationError):
        trusting.from_message(Appraisal(sent.roots, sent.references, encode_json(policy)))


@pytest.mark.parametrize("field", ReferenceValues.__struct_fields__)
def test_reference_values_that_leave_a_field_out_are_refused(field: str) -> None:
    references = msgspec.to_builtins(NODE.trust().references)
    del references[field]
    sent = NODE.trust().to_message()
    with refused("policy-malformed", AttestationError):
        trusting.from_message(Appraisal(sent.roots, encode_json(references), sent.policy))


# -- every bit ---------------------------------------------------------------------------------------------------------


def flips(data: bytes, count: int, seed: int) -> list[bytes]:
    """``data`` with one bit flipped: ``count`` of all the ways, chosen by a seed."""
    chosen = random.Random(seed).sample(range(len(data) * 8), min(count, len(data) * 8))
    flipped = []
    for bit in chosen:
        copy = bytearray(data)
        copy[bit // 8] ^= 1 << bit % 8
        flipped.append(bytes(copy))
    return flipped


def accepted(evidence: bytes, claims: bytes) -> bool:
    try:
        judge(evidence, claims=claims)
    except AttestationError:
        return False
    return True


def test_every_flipped_bit_of_evidence_is_refused() -> None:
    """Also the bits that base64 leaves over at its end, which no signature covers: so most of all in the last third."""
    genuine = NODE.evidence(CLAIMS)
    tail = len(genuine) // 3
    sampled = flips(genuine, 1500, seed=2) + [genuine[:-tail] + end for end in flips(genuine[-tail:], 1500, seed=3)]
    assert not [evidence for evidence in sampled if accepted(evidence, CLAIMS)]


def test_every_spelling_of_base64_but_one_is_refused() -> None:
    """Base64 of a length that is no multiple of three has bits left over. All of them, in all layers, are flipped."""
    alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    tried = 0
    for isolation in (ISOLATION, (*ISOLATION, "a"), (*ISOLATION, "aa")):  # all three lengths of the outer base64
        genuine = NODE.evidence(CLAIMS, isolation=isolation)
        assert accepted(genuine, CLAIMS)
        for at in (n for n in range(len(genuine) - 1) if genuine[n] in alphabet and genuine[n + 1] in b'=".'):
            for other in alphabet:
                if other != genuine[at]:
                    tried += 1
                    assert not accepted(genuine[:at] + bytes([other]) + genuine[at + 1 :], CLAIMS)
    assert tried > 500


def test_every_flipped_bit_inside_a_layer_is_refused() -> None:
    found = evidence_format.decode(NODE.evidence(CLAIMS))
    for quote in flips(found.platform.quote, 700, seed=4):
        changed = msgspec.structs.replace(found, platform=msgspec.structs.replace(found.platform, quote=quote))
        assert not accepted(evidence_format.encode(changed), CLAIMS)
    for workload in flips(found.workload, 700, seed=5):
        assert not accepted(evidence_format.encode(msgspec.structs.replace(found, workload=workload)), CLAIMS)


def test_every_flipped_bit_of_the_claims_is_refused() -> None:
    genuine = NODE.evidence(CLAIMS)
    assert not [claims for claims in flips(CLAIMS, len(CLAIMS) * 8, seed=6) if accepted(genuine, claims)]


def test_evidence_spelled_otherwise_is_refused() -> None:
    genuine = NODE.evidence(CLAIMS)
    for other in (b" " + genuine, genuine + b"\n", msgspec.json.format(genuine), genuine[:-1] + b',"platform":{}}'):
        with refused("evidence-malformed", AttestationError):
            judge(other)


@pytest.mark.parametrize("cut", range(0, 1400, 97))
def test_truncated_evidence_is_refused(cut: int) -> None:
    with refused("evidence-malformed", AttestationError):
        judge(NODE.evidence(CLAIMS)[:cut])


def test_oversized_evidence_is_refused() -> None:
    with refused("evidence-malformed", AttestationError):
        judge(NODE.evidence(CLAIMS) + b" " * evidence_format.MAX_EVIDENCE)


def test_a_time_that_json_cannot_hold_is_refused() -> None:
    """It is encoded again, to be compared with the quote's report data; a number too large would break that."""
    evidence = msgspec.json.decode(NODE.evidence(CLAIMS))
    evidence["platform"]["binding"]["time_ms"] = 10**15
    with refused("evidence-malformed", AttestationError):
        judge(encode_json(evidence))
    spelled = NODE.evidence(CLAIMS).replace(str(NODE.quoted_ms).encode(), b"9" * 40)
    with refused("evidence-malformed", AttestationError):
        judge(spelled)


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_no_evidence(data: bytes) -> None:
    with pytest.raises(AttestationError):
        judge(data)
    try:
        claims_buffer.decode(data)
    except WaykeepError as error:
        assert error.rule in ("claims-malformed", "too-large")


@pytest.mark.parametrize(
    "buffer",
    [
        b"",
        bytes.fromhex("a0"),  # no key's hash
        claims_buffer.encode(Claims(b"c" * 31)),
        claims_buffer.encode(Claims(CHANNEL, b"n" * 31)),
        bytes.fromhex("5bffffffffffffffff"),  # a string of 2**64 - 1 bytes
        bytes.fromhex("9bffffffffffffffff"),  # a list of as many items
        b"\x81" * 4000,  # 4,000 lists within each other
    ],
)
def test_claims_that_do_not_parse_are_refused(buffer: bytes) -> None:
    with refused("claims-malformed", AttestationError):
        judge(claims=buffer)


def der_of(pem: bytes) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    return x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
