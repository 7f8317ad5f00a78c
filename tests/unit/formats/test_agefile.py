"""age files: refused by their header alone where it is not one of ours, and opened whole or not at all."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.support.people import refused
from waykeep.errors import FormatError
from waykeep.formats import agefile

INTRO = b"age-encryption.org/v1\n"
STANZA = b"-> X25519 " + b"A" * 43 + b"\n" + b"A" * 43 + b"\n"
MAC = b"--- " + b"A" * 43 + b"\n"
SECRET, RECIPIENT = agefile.generate()
OTHER_SECRET, OTHER = agefile.generate()
TEXT = b"what was recorded" * 100
SEALED = agefile.seal(TEXT, [RECIPIENT])
SHORT = agefile.seal(b"short", [RECIPIENT])
INSTANT_S = 0.05
"""Of the processor, in seconds: a look at the first 4 KiB takes microseconds, pyrage for a thousand stanzas 13 s."""


def opened(data: bytes, *secrets: str) -> bytes:
    return agefile.open_(data, secrets or [SECRET], limit=1 << 20, what="a test's file")


def test_each_recipient_opens_it() -> None:
    data = agefile.seal(TEXT, [RECIPIENT, OTHER])
    assert opened(data) == opened(data, OTHER_SECRET) == TEXT
    assert opened(data, OTHER_SECRET, SECRET) == TEXT


def test_recipient_belongs_to_its_secret() -> None:
    assert agefile.recipient_of(SECRET) == RECIPIENT


def test_what_the_most_recipients_were_sealed_to_is_opened() -> None:
    # Again and again: the stanza that pyrage adds is as long as it likes.
    for _ in range(50):
        assert opened(agefile.seal(TEXT, [OTHER] * (agefile.MAX_RECIPIENTS - 1) + [RECIPIENT])) == TEXT
    for recipients in ([], [RECIPIENT] * (agefile.MAX_RECIPIENTS + 1)):
        with refused("age-malformed", "format"):
            agefile.seal(TEXT, recipients)


@pytest.mark.parametrize("text", ["", "age1", RECIPIENT[:-1], RECIPIENT + "q", SECRET, "ssh-ed25519 AAAA"])
def test_recipient_malformed(text: str) -> None:
    with refused("recipient-malformed", "format"):
        agefile.seal(b"", [text])


@pytest.mark.parametrize("text", ["", "AGE-SECRET-KEY-1", SECRET[:-1], SECRET + "Q", RECIPIENT])
def test_identity_malformed_and_not_quoted(text: str) -> None:
    with pytest.raises(FormatError) as caught:
        agefile.recipient_of(text)
    assert caught.value.rule == "identity-malformed"
    assert not text or text not in str(caught.value)
    assert caught.value.__cause__ is None


def test_no_secret_opens_nothing() -> None:
    with refused("age-not-ours", "format"):
        agefile.open_(SEALED, [], limit=1 << 20, what="a test's file")


def test_another_secret_does_not_open_it() -> None:
    with refused("age-not-ours", "format"):
        opened(SEALED, OTHER_SECRET)


# Loops, not parameters: age adds a stanza of random length, and the number of tests is not to depend on that.
def test_one_changed_byte_gives_no_plaintext() -> None:
    for at in range(len(SHORT)):
        with pytest.raises(FormatError) as caught:
            opened(SHORT[:at] + bytes([SHORT[at] ^ 1]) + SHORT[at + 1 :])
        assert caught.value.rule in ("age-malformed", "age-header-too-large", "age-not-ours"), at


def test_a_file_cut_anywhere_gives_no_plaintext() -> None:
    for cut in range(0, len(SEALED), 97):
        with pytest.raises(FormatError) as caught:
            opened(SEALED[:cut])
        assert caught.value.rule in ("age-malformed", "age-header-too-large", "age-not-ours"), cut


def test_a_file_with_more_behind_it_gives_no_plaintext() -> None:
    with refused("age-not-ours", "format"):
        opened(SEALED + b"\0")


def test_too_large_is_refused_first() -> None:
    with pytest.raises(FormatError) as caught:
        agefile.open_(SEALED, [SECRET], limit=len(SEALED) - 1, what="a test's file")
    assert (caught.value.rule, caught.value.status) == ("too-large", 413)


@pytest.mark.parametrize(
    "data", [b"", b"age-encryption.org/v2\n", b" " + SEALED, b"-----BEGIN AGE ENCRYPTED FILE-----\n"]
)
def test_what_does_not_begin_as_age(data: bytes) -> None:
    with refused("age-malformed", "format"):
        opened(data)


@pytest.mark.parametrize(
    "data",
    [
        INTRO + STANZA * 17 + MAC,
        INTRO + STANZA * 17 + MAC + bytes(1000),
        INTRO + b"-> a\n\n" * 17 + MAC,
        INTRO + b"-> grease " + b"a" * 5120 + b"\n\n" + MAC,
        INTRO + STANZA + b"A" * 5120,
        INTRO,
        INTRO + b"-> a\n\n" * 150_000 + MAC,
    ],
    ids=["17", "17 and a body", "17 short", "5 KiB", "no end", "nothing", "a million bytes of stanzas"],
)
def test_header_too_large_is_refused_at_once(data: bytes) -> None:
    before = time.thread_time()
    with refused("age-header-too-large", "format"):
        opened(data)
    assert time.thread_time() - before < INSTANT_S


def test_sixteen_stanzas_are_left_to_age() -> None:
    agefile.check_header(INTRO + STANZA * 16 + MAC)
    with refused("age-not-ours", "format"):
        opened(INTRO + STANZA * 16 + MAC + bytes(100))


@given(st.one_of(st.binary(max_size=300), st.binary(max_size=300).map(INTRO.__add__)))
@example(INTRO + b"\n---")
@example(INTRO + STANZA + MAC)
@example(INTRO + b"--- \n")
@example(INTRO + b"-> scrypt AAAAAAAAAAAAAAAAAAAAAA 63\n" + b"A" * 43 + b"\n" + MAC + bytes(100))
def test_any_bytes_are_refused_by_type(data: bytes) -> None:
    with pytest.raises(FormatError):
        opened(data)


@given(st.binary(max_size=3000), st.integers(0, 4000), st.binary(min_size=1, max_size=40))
def test_any_splice_into_a_file_is_refused_by_type(text: bytes, at: int, splice: bytes) -> None:
    data = agefile.seal(text, [RECIPIENT])
    at %= len(data)
    spliced = data[:at] + splice + data[at + len(splice) :]
    try:
        assert opened(spliced) == text
        assert spliced == data
    except FormatError as error:
        assert error.rule in ("age-malformed", "age-header-too-large", "age-not-ours")
