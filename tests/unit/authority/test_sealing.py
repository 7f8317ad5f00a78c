"""Sealed state is opened by its node, for its owner and code, as it was made; and it never shows what it holds."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.builders import NODE_RECIPIENT, NODE_SECRET, an_owner, key, refused
from waykeep.authority import dsse, sealing
from waykeep.authority.keys import SigningKey
from waykeep.authority.sealing import MAX_SEALED, SEALED_TYPE, Sealed, SealedHeader, SealedState
from waykeep.errors import AuthorityError
from waykeep.formats import agefile
from waykeep.formats.ids import sha256
from waykeep.formats.messages import Appraisal, Head
from waykeep.formats.wire import encode_json

ANNA, BERT = an_owner("anna"), an_owner("bert")
OTHER_SECRET, OTHER_NODE = agefile.generate()
SEED = b"\x07" * 32
STATE_KEY = SigningKey(SEED)
STATE = SealedState(
    SEED, (ANNA.log_secret,), {"1": ANNA.epoch_secrets[1]}, Appraisal({"insecure": "root"}, b"references", b"policy")
)
FOR: dict[str, Any] = {"owner": ANNA.id, "workload": "user-cloud", "measurement": "sha256:code"}
WHEN: dict[str, Any] = {"owner_head": ANNA.state.head, "journal": Head(4, sha256(b"record"))}


def a_file(**changes: Any) -> bytes:
    return sealing.seal(STATE, **{**FOR, **WHEN, "node": NODE_RECIPIENT, **changes})


def opened(data: bytes, secret: str = NODE_SECRET, **changes: Any) -> Sealed:
    return sealing.open_(data, secret, **{**FOR, **changes})


FILE = a_file()
SEALED = opened(FILE)


def again(found: Sealed, recipient: str = NODE_RECIPIENT) -> bytes:
    """As whoever knows the node's public recipient can make it."""
    return agefile.seal(msgspec.msgpack.encode(found), [recipient])


def a_header(signer: SigningKey = STATE_KEY, **changes: Any) -> bytes:
    header, _ = sealing.open_header(SEALED)
    return dsse.sign(SEALED_TYPE, encode_json(msgspec.structs.replace(header, **changes)), signer)


def test_what_was_sealed_is_opened() -> None:
    header, signer = sealing.open_header(SEALED)
    payload = sha256(SEALED.payload)
    assert header == SealedHeader(ANNA.id, "user-cloud", "sha256:code", NODE_RECIPIENT, payload, *WHEN.values())
    assert signer == STATE_KEY.public
    assert sealing.open_payload(SEALED) == STATE


def test_a_state_before_the_first_record_is_opened() -> None:
    assert sealing.open_header(opened(a_file(journal=None)))[0].journal is None


# -- sealed-node -------------------------------------------------------------------------------------------------------


def test_sealed_node_for_another_node() -> None:
    with refused("sealed-node", AuthorityError):
        opened(a_file(node=OTHER_NODE))
    with refused("sealed-node", AuthorityError):
        opened(FILE, OTHER_SECRET)


@pytest.mark.parametrize("cut", [-1, -20, -len(SEALED.payload)])
def test_sealed_node_when_it_is_truncated(cut: int) -> None:
    with refused("sealed-node", AuthorityError):
        opened(FILE[:cut])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(FILE) * 8 - 1))
def test_a_changed_file_is_refused(bit: int) -> None:
    changed = bytearray(FILE)
    changed[bit // 8] ^= 1 << bit % 8
    with pytest.raises(AuthorityError) as caught:
        opened(bytes(changed))
    assert caught.value.rule in ("sealed-node", "sealed-malformed")


# -- sealed-malformed --------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_sealed_malformed_when_it_is_something_else(data: bytes) -> None:
    for made in (data, agefile.seal(data, [NODE_RECIPIENT])):
        with refused("sealed-malformed", AuthorityError):
            opened(made)


@pytest.mark.parametrize("kept", [0, 10, 40, 100])
def test_sealed_malformed_when_it_is_cut_in_its_header(kept: int) -> None:
    with refused("sealed-malformed", AuthorityError):
        opened(FILE[:kept])


def test_sealed_malformed_when_it_is_too_large() -> None:
    with refused("sealed-malformed", AuthorityError):
        opened(agefile.seal(bytes(MAX_SEALED), [NODE_RECIPIENT]))


def test_sealed_malformed_when_its_state_key_is_none() -> None:
    for changes in ({"state_key": b"\x07" * 31}, {"state_key": b""}, {"log_secrets": ()}):
        payload = encode_json(msgspec.structs.replace(STATE, **changes))
        with refused("sealed-malformed", AuthorityError):
            sealing.open_payload(Sealed(SEALED.header, payload))


def test_sealed_too_large_rather_than_never_opened() -> None:
    huge = msgspec.structs.replace(STATE, epochs={"1": "x" * MAX_SEALED})
    with refused("sealed-too-large", AuthorityError):
        sealing.seal(huge, **FOR, **WHEN, node=NODE_RECIPIENT)


def test_sealed_malformed_when_the_payload_was_swapped_under_a_valid_header() -> None:
    """By whoever knows the node's recipient: keys of theirs, under the header that the owner's user cloud signed."""
    theirs = encode_json(msgspec.structs.replace(STATE, state_key=b"\x08" * 32))
    swapped = Sealed(SEALED.header, theirs)
    with refused("sealed-malformed", AuthorityError):
        opened(again(swapped))
    with refused("sealed-malformed", AuthorityError):
        sealing.open_header(swapped)


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"{}",
        a_header()[:-1],
        a_header() + b" ",
        dsse.sign("application/vnd.waykeep.receipt+json", dsse.peek(a_header(), SEALED_TYPE).payload, STATE_KEY),
        dsse.sign(SEALED_TYPE, b"{}", STATE_KEY),
        a_header(key("thief")).replace(key("thief").public.encode(), STATE_KEY.public.encode()),
    ],
    ids=["none", "empty", "cut", "spelled otherwise", "of another type", "says nothing", "signed by another"],
)
def test_sealed_malformed_when_the_header_is_none(header: bytes) -> None:
    assert opened(again(Sealed(a_header(), SEALED.payload))) == SEALED
    with refused("sealed-malformed", AuthorityError):
        opened(again(Sealed(header, SEALED.payload)))


@pytest.mark.parametrize("payload", [b"", b"{}", encode_json(STATE)[:-1]])
def test_sealed_malformed_when_the_payload_is_none(payload: bytes) -> None:
    """Its signer made it so, and the header says as much."""
    found = opened(again(Sealed(a_header(payload=sha256(payload)), payload)))
    with refused("sealed-malformed", AuthorityError):
        sealing.open_payload(found)


# -- sealed-owner, sealed-measurement ----------------------------------------------------------------------------------


def test_sealed_owner_for_another_owner() -> None:
    with refused("sealed-owner", AuthorityError):
        opened(FILE, owner=BERT.id)
    with refused("sealed-owner", AuthorityError):
        opened(a_file(owner=BERT.id))


def test_sealed_owner_for_another_node_than_the_header_names() -> None:
    """A node that the owner approved handed its state on to one that the owner did not: the header tells."""
    with refused("sealed-owner", AuthorityError):
        opened(again(SEALED, OTHER_NODE), OTHER_SECRET)


@pytest.mark.parametrize("changes", [{"measurement": "sha256:other code"}, {"workload": "algorithm"}], ids=str)
def test_sealed_measurement_for_other_code(changes: dict[str, Any]) -> None:
    with refused("sealed-measurement", AuthorityError):
        opened(FILE, **changes)
    with refused("sealed-measurement", AuthorityError):
        opened(a_file(**changes))


# -- who made it -------------------------------------------------------------------------------------------------------


def test_a_header_by_another_key_is_opened_and_names_that_key() -> None:
    """A node cannot judge it: it knows no owner log. The user cloud gets the signer, and compares."""
    found = opened(again(Sealed(a_header(key("thief")), SEALED.payload)))
    header, signer = sealing.open_header(found)
    assert (header.owner, signer) == (ANNA.id, key("thief").public)
    assert SigningKey(sealing.open_payload(found).state_key).public != signer


def test_nothing_that_holds_secrets_shows_them() -> None:
    shown = [repr(STATE), str(STATE), repr(SEALED), str(SEALED), repr([STATE, SEALED]), f"{STATE}{SEALED}"]
    for text in shown:
        assert ANNA.log_secret not in text
        assert ANNA.epoch_secrets[1] not in text
        assert repr(SEED)[2:-1] not in text
        assert "AGE-SECRET-KEY" not in text


@pytest.mark.parametrize("secret", ["AGE-SECRET-KEY-1", "secret-473700000"])
def test_a_node_without_its_key_opens_nothing_and_shows_none(secret: str) -> None:
    with pytest.raises(AuthorityError) as caught:
        opened(FILE, secret)
    assert caught.value.rule == "sealed-malformed"
    assert secret not in str(caught.value) + caught.value.hint
