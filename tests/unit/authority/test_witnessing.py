"""An answer of a witness is believed for its signature over one's own question, and for nothing else."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.authority.entries import OTHER_WITNESS, WITNESS, a_close
from tests.unit.builders import NOW_MS, an_owner, key, refused
from waykeep.authority import dsse, keys, witnessing
from waykeep.authority.keys import SigningKey
from waykeep.authority.witnessing import (
    ANSWER_TYPE,
    MAX_REQUEST,
    MAX_STATE_KEYS,
    NONCE_BYTES,
    REQUEST_TYPE,
    AdvanceOwner,
    Answer,
    Held,
    NameStateKey,
    Read,
    Register,
    Request,
    RetireStateKeys,
)
from waykeep.errors import AuthorityError, FormatError, WaykeepError
from waykeep.formats.ids import Digest, PublicKey, b64, sha256
from waykeep.formats.messages import Head
from waykeep.formats.wire import decode_json, encode_json

CONTROL = key("control")
PSEUDONYM = keys.key_digest(CONTROL.public)
OTHER_PSEUDONYM = keys.key_digest(key("other control").public)
NONCE, OTHER_NONCE = b"n" * NONCE_BYTES, b"m" * NONCE_BYTES
HEAD, NEXT = Head(3, sha256(b"3")), Head(4, sha256(b"4"))
HELD = Held(NEXT, None, None, 0, ())
ACTION = AdvanceOwner(HEAD, NEXT)
ASKED = witnessing.request(WITNESS.public, PSEUDONYM, NONCE, ACTION, CONTROL)
REQUEST, _ = witnessing.open_request(ASKED, WITNESS.public)
ANSWER = witnessing.answer(REQUEST, ASKED, HELD, NOW_MS, WITNESS)
READ = Read(PSEUDONYM, b64(NONCE))
READ_ANSWER = witnessing.answer(READ, None, HELD, NOW_MS, WITNESS)


def opened(envelope: bytes, nonce: bytes = NONCE, asked: bytes | None = ASKED, pseudonym: Digest = PSEUDONYM) -> Answer:
    return witnessing.open_answer(envelope, [WITNESS.public], pseudonym, nonce, asked)


def forged(signer: SigningKey = WITNESS, **changes: Any) -> bytes:
    said = msgspec.structs.replace(opened(ANSWER), **changes)
    return dsse.sign(ANSWER_TYPE, encode_json(said), signer)


def test_an_answer_to_ones_own_question_is_opened() -> None:
    assert opened(ANSWER) == Answer(PSEUDONYM, b64(NONCE), sha256(ASKED), NOW_MS, HELD)
    assert opened(READ_ANSWER, asked=None).request is None
    assert forged() == ANSWER


# -- witness-signature -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("signer", [OTHER_WITNESS, CONTROL, key("thief")], ids=["witness", "control", "thief"])
def test_witness_signature_by_another_key(signer: SigningKey) -> None:
    with refused("witness-signature", AuthorityError):
        opened(forged(signer))


def test_witness_signature_under_the_witnesss_name_and_by_another_key() -> None:
    renamed = forged(key("thief")).replace(key("thief").public.encode(), WITNESS.public.encode())
    with refused("witness-signature", AuthorityError):
        opened(renamed)


def test_witness_signature_over_a_statement_of_another_type() -> None:
    """What the witness signs elsewhere does not pass for an answer; nor one's own request, sent back."""
    with refused("witness-signature", AuthorityError):
        opened(dsse.sign(REQUEST_TYPE, dsse.peek(ANSWER, ANSWER_TYPE).payload, WITNESS))
    with refused("witness-signature", AuthorityError):
        opened(ASKED)


def test_no_witness_signs_for_an_owner_without_one() -> None:
    with refused("witness-signature", AuthorityError):
        witnessing.open_answer(ANSWER, [], PSEUDONYM, NONCE, ASKED)


# -- witness-answer ----------------------------------------------------------------------------------------------------


def test_witness_answer_under_another_nonce() -> None:
    """An older answer to the very same question."""
    with refused("witness-answer", AuthorityError):
        opened(ANSWER, OTHER_NONCE)
    with refused("witness-answer", AuthorityError):
        opened(forged(nonce=b64(OTHER_NONCE)))


def test_witness_answer_for_another_pseudonym() -> None:
    with refused("witness-answer", AuthorityError):
        opened(ANSWER, pseudonym=OTHER_PSEUDONYM)
    with refused("witness-answer", AuthorityError):
        opened(forged(pseudonym=OTHER_PSEUDONYM))


def test_witness_answer_to_another_request() -> None:
    """Under the same nonce, which a caller never uses twice."""
    other = witnessing.request(WITNESS.public, PSEUDONYM, NONCE, NameStateKey(key("state").public), CONTROL)
    with refused("witness-answer", AuthorityError):
        opened(ANSWER, asked=other)


def test_witness_answer_to_a_read_does_not_pass_for_one_to_a_request_nor_the_other_way() -> None:
    """Whoever sits between could else ask for a reading, and say that a head was advanced."""
    with refused("witness-answer", AuthorityError):
        opened(READ_ANSWER)
    with refused("witness-answer", AuthorityError):
        opened(ANSWER, asked=None)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_are_no_answer_and_no_request(data: bytes) -> None:
    for made in (data, dsse.sign(ANSWER_TYPE, data, WITNESS), dsse.sign(REQUEST_TYPE, data, CONTROL)):
        with pytest.raises(WaykeepError):
            opened(made)
        with pytest.raises(WaykeepError):
            witnessing.open_request(made, WITNESS.public)
        with pytest.raises(WaykeepError):
            witnessing.open_close(made, WITNESS.public, PSEUDONYM, OTHER_WITNESS.public)


# -- requests ----------------------------------------------------------------------------------------------------------


def test_a_request_is_for_one_witness() -> None:
    assert (REQUEST.action, REQUEST.nonce) == (ACTION, b64(NONCE))
    with refused("witness-mismatch", AuthorityError):
        witnessing.open_request(ASKED, OTHER_WITNESS.public)


def test_a_request_names_who_signed_it() -> None:
    thief = key("thief")
    made = witnessing.request(WITNESS.public, PSEUDONYM, NONCE, ACTION, thief)
    assert witnessing.open_request(made, WITNESS.public)[1] == thief.public
    renamed = made.replace(thief.public.encode(), CONTROL.public.encode())
    with refused("signature-invalid", AuthorityError):
        witnessing.open_request(renamed, WITNESS.public)


@pytest.mark.parametrize("nonce", ["", b64(NONCE)[:-1], b64(NONCE) + "A", b64(NONCE)[:-1] + "+"])
def test_a_request_without_a_whole_nonce_is_refused(nonce: str) -> None:
    made = dsse.sign(REQUEST_TYPE, encode_json(Request(WITNESS.public, PSEUDONYM, nonce, ACTION)), CONTROL)
    with pytest.raises(FormatError):
        witnessing.open_request(made, WITNESS.public)


def test_a_request_that_is_too_large_is_refused() -> None:
    held = msgspec.structs.replace(HELD, owner=Head(1, Digest("x" * MAX_REQUEST)))
    made = witnessing.request(
        WITNESS.public, PSEUDONYM, NONCE, Register("t", CONTROL.public, sha256(b""), held), CONTROL
    )
    with refused("too-large", FormatError):
        witnessing.open_request(made, WITNESS.public)


def test_the_largest_request_that_the_form_allows_is_taken() -> None:
    """Else an owner with many state keys could not move."""
    named = tuple(sorted(key(f"state {n}").public for n in range(MAX_STATE_KEYS)))
    far = Head(10**10 - 1, sha256(b""))
    held = Held(far, far, far, 10**10 - 1, named)
    for action in (Register("t" * 256, CONTROL.public, sha256(b""), held), RetireStateKeys(named)):
        made = witnessing.request(WITNESS.public, PSEUDONYM, NONCE, action, CONTROL)
        assert witnessing.open_request(made, WITNESS.public)[0].action == action
    one_more = tuple(sorted((*named, key("one more").public)))
    made = witnessing.request(WITNESS.public, PSEUDONYM, NONCE, RetireStateKeys(one_more), CONTROL)
    with refused("malformed", FormatError):
        witnessing.open_request(made, WITNESS.public)


# -- a close -----------------------------------------------------------------------------------------------------------

ANNA = an_owner("anna")
ANNAS = keys.key_digest(ANNA.control.public)
CLOSE = a_close(ANNA, OTHER_WITNESS.public)


def closed(
    envelope: bytes = CLOSE,
    witness: PublicKey = WITNESS.public,
    pseudonym: Digest = ANNAS,
    successor: PublicKey = OTHER_WITNESS.public,
) -> Answer:
    return witnessing.open_close(envelope, witness, pseudonym, successor)


def test_a_close_is_opened_whatever_its_nonce() -> None:
    assert closed().held.owner == ANNA.state.head
    assert decode_json(dsse.peek(CLOSE, ANSWER_TYPE).payload, Answer) == closed()


def test_witness_close_of_another_owner_or_towards_another_witness() -> None:
    with refused("witness-close", AuthorityError):
        closed(pseudonym=OTHER_PSEUDONYM)
    with refused("witness-close", AuthorityError):
        closed(successor=key("a third witness").public)
    with refused("witness-close", AuthorityError):
        closed(a_close(ANNA, OTHER_WITNESS.public, held=msgspec.structs.replace(closed().held, successor=None)))


def test_witness_signature_of_a_close_by_another_witness() -> None:
    with refused("witness-signature", AuthorityError):
        closed(witness=OTHER_WITNESS.public)
    with refused("witness-signature", AuthorityError):
        closed(dsse.sign(ANSWER_TYPE, encode_json(closed()), OTHER_WITNESS))
