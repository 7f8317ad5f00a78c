"""Keys: named by their public half, never shown, and what is derived from a secret stays the same."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import key, refused
from waykeep.authority import keys
from waykeep.authority.keys import SigningKey
from waykeep.errors import AuthorityError, FormatError
from waykeep.formats.ids import b64

SEED = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")


def test_signature_is_that_of_rfc_8032() -> None:
    """Section 7.1, test 1: an empty message."""
    made = SigningKey(SEED)
    assert made.public == b64(bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"))
    assert made.sign(b"").hex().startswith("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb88215")
    keys.verify(made.public, made.sign(b""), b"")


@pytest.mark.parametrize(("signature", "message"), [(bytes(64), b"m"), (b"", b"m"), (key("a").sign(b"m"), b"n")])
def test_signature_invalid(signature: bytes, message: bytes) -> None:
    with refused("signature-invalid", AuthorityError):
        keys.verify(key("a").public, signature, message)


def test_signature_with_its_scalar_raised_by_the_order_is_invalid() -> None:
    """RFC 8032, section 5.1.7: else one statement would have two signatures, and two digests in a chain."""
    signature = key("a").sign(b"m")
    order = 2**252 + 27742317777372353535851937790883648493
    raised = int.from_bytes(signature[32:], "little") + order
    with refused("signature-invalid", AuthorityError):
        keys.verify(key("a").public, signature[:32] + raised.to_bytes(32, "little"), b"m")


@pytest.mark.parametrize(("public", "rule"), [("short", "public-key-malformed"), ("A" * 42 + "B", "base64-malformed")])
def test_public_key_in_another_spelling(public: str, rule: str) -> None:
    with refused(rule, FormatError):
        keys.verify(public, bytes(64), b"m")


def test_a_key_shows_its_public_half_alone() -> None:
    shown = repr(SigningKey(SEED)) + str(SigningKey(SEED))
    assert SigningKey(SEED).public in shown
    assert b64(SEED) not in shown
    assert SEED.hex() not in shown
    assert not hasattr(SigningKey(SEED), "__dict__")


@pytest.mark.parametrize("length", [0, 31, 33])
def test_seed_of_another_length(length: int) -> None:
    with pytest.raises(ValueError, match="32"):
        SigningKey(bytes(length))


def test_purposes_are_independent() -> None:
    made = {keys.derive(SEED, purpose) for purpose in ("next-authority", "next-control", "next-control-salt", "")}
    assert len(made) == 4
    assert {len(secret) for secret in made} == {32}
    assert keys.derive(SEED, "next-authority") == keys.derive(SEED, "next-authority")


def test_derived_secret_is_that_of_the_specification() -> None:
    """By hand: HKDF of RFC 5869 with SHA-256, as `docs/spec.md` names it; an owner's paper depends on it."""
    import hashlib
    import hmac

    pseudorandom = hmac.digest(bytes(32), SEED, hashlib.sha256)
    expected = hmac.digest(pseudorandom, b"waykeep/next-authority\x01", hashlib.sha256)
    assert keys.derive(SEED, "next-authority") == expected


def test_commitment_hides_the_key_under_its_salt() -> None:
    public = key("control").public
    assert keys.commitment(b"s" * 16, public) != keys.commitment(b"t" * 16, public)
    assert keys.commitment(b"", public) == keys.key_digest(public)


@given(st.binary(min_size=32, max_size=32))
def test_rotating_secret_is_read_from_its_paper(secret: bytes) -> None:
    assert keys.rotating_secret(f"  {keys.rotating_text(secret)}\n") == secret


PAPER = keys.rotating_text(SEED)


@given(st.integers(0, len(PAPER) - 1), st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ234567-0189"))
def test_rotating_secret_malformed_by_one_letter(at: int, letter: str) -> None:
    if PAPER[at] != letter:
        with refused("rotating-secret-malformed", AuthorityError):
            keys.rotating_secret(PAPER[:at] + letter + PAPER[at + 1 :])


@pytest.mark.parametrize("text", ["", PAPER[:-1], PAPER.lower(), PAPER.replace("-1-", "-2-"), PAPER + PAPER])
def test_rotating_secret_malformed(text: str) -> None:
    with pytest.raises(AuthorityError) as caught:
        keys.rotating_secret(text)
    assert caught.value.rule == "rotating-secret-malformed"
    assert PAPER[17:40] not in str(caught.value)
