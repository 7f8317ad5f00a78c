"""What a witness is asked and answers, as statements: made for one witness, one owner, one nonce."""

from __future__ import annotations

import pytest

from tests.unit.builders import key, refused
from tests.unit.witness.asking import (
    ADVANCE_JOURNAL,
    ALL,
    CLOSED,
    CONTROL,
    OTHER,
    PSEUDONYM,
    STATE,
    WITNESS,
    asked,
    row,
)
from waykeep.authority import dsse, witnessing
from waykeep.authority.witnessing import NONCE_BYTES, Action, Read
from waykeep.formats.ids import b64, sha256

NONCE, LATER = bytes(NONCE_BYTES), bytes(range(NONCE_BYTES))
ENVELOPE = witnessing.request(WITNESS, PSEUDONYM, NONCE, ADVANCE_JOURNAL, STATE)
ANSWER = witnessing.answer(asked(ADVANCE_JOURNAL), ENVELOPE, row().held, 5, key("witness"))
STRANGER = sha256(b"stranger")


@pytest.mark.parametrize("action", ALL, ids=lambda action: type(action).__name__)
def test_a_request_is_what_was_asked_and_by_whom(action: Action) -> None:
    envelope = witnessing.request(WITNESS, PSEUDONYM, NONCE, action, CONTROL)
    assert witnessing.open_request(envelope, WITNESS) == (asked(action), CONTROL.public)
    assert len(envelope) < witnessing.MAX_REQUEST


def test_witness_mismatch() -> None:
    with refused("witness-mismatch"):
        witnessing.open_request(ENVELOPE, OTHER.public)


def test_a_request_has_a_nonce() -> None:
    envelope = witnessing.request(WITNESS, PSEUDONYM, NONCE, ADVANCE_JOURNAL, STATE)
    payload = dsse.peek(envelope, witnessing.REQUEST_TYPE).payload.replace(b64(NONCE).encode(), b"!" * 43)
    with refused("base64-malformed"):
        witnessing.open_request(dsse.sign(witnessing.REQUEST_TYPE, payload, STATE), WITNESS)


def test_an_answer_to_ones_own_request() -> None:
    found = witnessing.open_answer(ANSWER, [WITNESS], PSEUDONYM, NONCE, ENVELOPE)
    assert (found.held, found.time_ms) == (row().held, 5)


def test_witness_signature() -> None:
    for trusted in ([], [OTHER.public]):
        with refused("witness-signature"):
            witnessing.open_answer(ANSWER, trusted, PSEUDONYM, NONCE, ENVELOPE)


@pytest.mark.parametrize("differs", ["pseudonym", "nonce", "request", "read"])
def test_witness_answer(differs: str) -> None:
    pseudonym = STRANGER if differs == "pseudonym" else PSEUDONYM
    nonce = LATER if differs == "nonce" else NONCE
    envelope = {"request": b"another", "read": None}.get(differs, ENVELOPE)
    with refused("witness-answer"):
        witnessing.open_answer(ANSWER, [WITNESS], pseudonym, nonce, envelope)


def test_an_answer_to_a_read_passes_for_no_request() -> None:
    answer = witnessing.answer(Read(PSEUDONYM, b64(NONCE)), None, row().held, 5, key("witness"))
    assert witnessing.open_answer(answer, [WITNESS], PSEUDONYM, NONCE, None).held == row().held
    with refused("witness-answer"):
        witnessing.open_answer(answer, [WITNESS], PSEUDONYM, NONCE, ENVELOPE)


def test_witness_close() -> None:
    closed = witnessing.answer(asked(ADVANCE_JOURNAL), ENVELOPE, CLOSED.held, 5, key("witness"))
    assert witnessing.open_close(closed, WITNESS, PSEUDONYM, OTHER.public).held == CLOSED.held
    with refused("witness-close"):
        witnessing.open_close(closed, WITNESS, STRANGER, OTHER.public)
    with refused("witness-close"):
        witnessing.open_close(closed, WITNESS, PSEUDONYM, STATE.public)
    with refused("witness-close"):
        witnessing.open_close(ANSWER, WITNESS, PSEUDONYM, OTHER.public)
    with refused("witness-signature"):
        witnessing.open_close(closed, STATE.public, PSEUDONYM, OTHER.public)
