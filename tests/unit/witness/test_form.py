"""What is no digest or key is never held."""

from __future__ import annotations

import msgspec
import pytest

from tests.unit.builders import refused
from tests.unit.witness.asking import ADVANCE_EPOCH, ALL, CLOSE, PSEUDONYM, REGISTER, RETIRE, asked, head, row
from waykeep.authority.witnessing import NONCE_BYTES, Action, Read
from waykeep.formats.ids import Digest, PublicKey, b64
from waykeep.formats.messages import Head
from waykeep.witness.form import check_form

replace = msgspec.structs.replace
BAD_HEAD, BAD_DIGEST, BAD_KEY = Head(4, Digest("sha256:1")), Digest("x" * 71), PublicKey("k" * 44)
NONCE = b64(bytes(NONCE_BYTES))


@pytest.mark.parametrize("action", ALL, ids=lambda action: type(action).__name__)
def test_good_form_passes(action: Action) -> None:
    check_form(asked(action))
    check_form(Read(PSEUDONYM, NONCE))


def fields() -> list[tuple[str, Action]]:
    """Each action with one field of bad form."""
    found: list[tuple[str, Action]] = []
    for action in ALL:
        for name in action.__struct_fields__:
            value = getattr(action, name)
            if isinstance(value, Head):
                found.append(("digest-malformed", replace(action, **{name: BAD_HEAD})))
            elif isinstance(value, tuple) and name != "rotations":
                found.append(("public-key-malformed", replace(action, **{name: (*value, BAD_KEY)})))
            elif name in ("control", "key", "successor"):
                found.append(("public-key-malformed", replace(action, **{name: BAD_KEY})))
            elif name == "next_control":
                found.append(("digest-malformed", replace(action, **{name: BAD_DIGEST})))
    return found


@pytest.mark.parametrize(("rule", "action"), fields(), ids=str)
def test_bad_form_is_refused(rule: str, action: Action) -> None:
    with refused(rule):
        check_form(asked(action))


def test_all_kinds_of_fields_are_tried() -> None:
    assert len(fields()) == 18


@pytest.mark.parametrize(
    ("rule", "held"),
    [
        ("digest-malformed", {"owner": BAD_HEAD}),
        ("digest-malformed", {"journal": BAD_HEAD}),
        ("digest-malformed", {"epoch": BAD_HEAD}),
        ("public-key-malformed", {"state_keys": (BAD_KEY,)}),
        ("public-key-malformed", {"successor": BAD_KEY}),
    ],
)
def test_bad_form_of_what_a_registration_holds(rule: str, held: dict[str, object]) -> None:
    with refused(rule):
        check_form(asked(replace(REGISTER, held=row(**held).held)))


def test_a_key_has_one_spelling() -> None:
    text = CLOSE.successor
    last = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    other = text[:-1] + last[last.index(text[-1]) + 1]
    with refused("base64-malformed"):
        check_form(asked(replace(CLOSE, successor=PublicKey(other))))


def test_what_is_no_base64() -> None:
    with refused("base64-malformed"):
        check_form(Read(PSEUDONYM, "!" * 43))


def test_a_pseudonym_is_a_digest() -> None:
    for request in (Read(BAD_DIGEST, NONCE), replace(asked(RETIRE), pseudonym=BAD_DIGEST)):
        with refused("digest-malformed"):
            check_form(request)
    check_form(asked(replace(ADVANCE_EPOCH, extends=None, head=head(0))))
