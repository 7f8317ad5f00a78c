"""Identifiers have one spelling each, and everything else is refused by name."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.people import refused
from waykeep.errors import FormatError
from waykeep.formats import ids

ANYTHING = st.one_of(st.text(), st.binary().map(lambda data: data.decode("latin-1")))
OWNER = ids.owner_id(b"an inception")


@given(st.binary(max_size=80))
def test_base64url_goes_there_and_back(data: bytes) -> None:
    assert ids.unb64(ids.b64(data), len(data)) == data


@pytest.mark.parametrize(
    "text",
    ["AAAAA==", "AAAAAA", "AAAAB", "AA AA", "AAA", "AAAAAAA", "", "AAAA\n", "éAAA"],
    ids=["padded", "a byte too many", "bits left over", "a space", "short", "long", "empty", "line end", "not ASCII"],
)
def test_base64url_in_another_spelling_is_refused(text: str) -> None:
    with refused("base64-malformed", "format"):
        ids.unb64(text, 3)


def test_base64url_of_left_over_bits_is_refused() -> None:
    assert ids.unb64("AQ", 1) == b"\x01"
    with refused("base64-malformed", "format"):
        ids.unb64("AR", 1)


def test_owner_id_is_the_digest_of_the_inception() -> None:
    digest = base64.b32decode(OWNER.upper() + "====")
    assert digest == hashlib.sha256(b"an inception").digest()
    assert ids.parse_owner_id(OWNER) == OWNER


@pytest.mark.parametrize("text", ["", OWNER[:-1], OWNER + "a", OWNER.upper(), OWNER + "\n", "1" * 52, "../" + OWNER])
def test_owner_id_malformed(text: str) -> None:
    with refused("owner-id-malformed", "format"):
        ids.parse_owner_id(text)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "sha256:" + "0" * 63,
        "sha256:" + "0" * 65,
        "sha256:" + "A" * 64,
        "sha512:" + "0" * 64,
        f"sha256:{'0' * 64}\n",
    ],
)
def test_digest_malformed(text: str) -> None:
    with refused("digest-malformed", "format"):
        ids.parse_digest(text)


def test_digest_is_of_the_bytes() -> None:
    found = ids.parse_digest(ids.sha256(b"abc"))
    assert found == "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize("text", ["", "A" * 42, "A" * 44, "A" * 42 + "=", "A" * 42 + "+", "A" * 43 + "\n"])
def test_public_key_malformed(text: str) -> None:
    with refused("public-key-malformed", "format"):
        ids.parse_public_key(text)


@given(st.integers(0, ids.MAX_NUMBER), st.integers(0, ids.MAX_NUMBER))
def test_numbered_names_sort_as_numbers_do(one: int, other: int) -> None:
    assert (ids.numbered(one) < ids.numbered(other)) == (one < other)
    assert int(ids.numbered(one)) == one


@pytest.mark.parametrize("number", [-1, ids.MAX_NUMBER + 1])
def test_number_out_of_range(number: int) -> None:
    with refused("number-out-of-range", "format"):
        ids.numbered(number)


@pytest.mark.parametrize("name", ["0000000001", "0000000001.age", "a", "f" * 64, "f" * 64 + ".age", "a-b"])
def test_object_names_that_are_taken(name: str) -> None:
    assert ids.parse_object("segments", name) == f"segments/{name}"


@pytest.mark.parametrize(
    ("room", "name"),
    [
        ("segments", ""),
        ("segments", "."),
        ("segments", ".."),
        ("segments", "../sealed/0"),
        ("segments", "a/b"),
        ("segments", "-a"),
        ("segments", "A"),
        ("segments", "a.b"),
        ("segments", "a.age.age"),
        ("segments", ".age"),
        ("segments", "a\x00"),
        ("segments", "a\n"),
        ("segments", "f" * 65),
        ("bundles", "a"),
        ("", "a"),
        ("..", "a"),
    ],
)
def test_object_name_malformed(room: str, name: str) -> None:
    with pytest.raises(FormatError) as caught:
        ids.parse_object(room, name)
    assert (caught.value.rule, caught.value.status) == ("object-name-malformed", 404)


@pytest.mark.parametrize("parse", [ids.parse_owner_id, ids.parse_digest, ids.parse_public_key])
@given(text=ANYTHING)
def test_any_text_is_taken_whole_or_refused_by_type(parse: Callable[[str], str], text: str) -> None:
    try:
        assert parse(text) == text
    except FormatError as error:
        assert error.rule.endswith("-malformed")


@given(text=ANYTHING, length=st.integers(0, 40))
def test_any_text_is_base64url_or_refused_by_type(text: str, length: int) -> None:
    try:
        data = ids.unb64(text, length)
    except FormatError:
        return
    assert ids.b64(data) == text


@given(room=st.one_of(st.sampled_from(ids.ROOMS), ANYTHING), name=ANYTHING)
def test_any_object_name_stays_in_its_folder(room: str, name: str) -> None:
    try:
        key = ids.parse_object(room, name)
    except FormatError:
        return
    assert key.count("/") == 1
    assert not {".", ".."} & set(key.split("/"))
    assert key.isascii()
