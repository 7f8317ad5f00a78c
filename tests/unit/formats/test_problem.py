"""Problem documents (RFC 9457): a refusal crosses a connection, and nothing else does."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import refused
from waykeep import errors
from waykeep.errors import AuthorityError, FormatError, WaykeepError
from waykeep.formats import problem
from waykeep.formats.wire import encode_json

REFUSAL = AuthorityError("log-signer", "found an entry", hint="ask", status=403)
FAMILIES = WaykeepError.__subclasses__()


def document(**changes: Any) -> bytes:
    return encode_json(msgspec.json.decode(problem.encode(REFUSAL)) | changes)


def test_the_document_has_the_members_of_rfc_9457() -> None:
    assert msgspec.json.decode(problem.encode(REFUSAL)) == {
        "type": "urn:waykeep:error:authority:log-signer",
        "title": "log-signer",
        "status": 403,
        "detail": "found an entry",
        "hint": "ask",
    }


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_every_family_crosses(family: type[WaykeepError]) -> None:
    sent = family("a-rule", "found this", hint="do that", status=418)
    found = problem.decode(problem.encode(sent))
    assert type(found) is family
    assert (found.rule, found.message, found.hint, found.status) == ("a-rule", "found this", "do that", 418)


def test_families_and_exit_codes_are_told_apart() -> None:
    assert (
        len({family.family for family in FAMILIES}) == len({family.exit_code for family in FAMILIES}) == len(FAMILIES)
    )
    assert len(FAMILIES) == sum(isinstance(found, type) for found in vars(errors).values()) - 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"<html>502 Bad Gateway</html>",
        document(type="urn:waykeep:error:nobody:log-signer"),
        document(type="urn:waykeep:error:authority"),
        document(type="urn:waykeep:error:authority:"),
        document(type="urn:waykeep:error:authority:Log Signer"),
        document(type="urn:waykeep:error:authority:" + "a" * 65),
        document(type="authority:log-signer"),
        document(type="about:blank"),
        document(status=200),
        document(status=600),
        document(status="403"),
        document(more=1),
    ],
)
def test_malformed(body: bytes) -> None:
    with refused("malformed", FormatError):
        problem.decode(body)


def test_too_large() -> None:
    with refused("too-large", FormatError):
        problem.decode(document(detail="d" * 16384))


def test_what_a_peer_says_is_cut_and_writes_nothing_on_a_terminal() -> None:
    found = problem.decode(document(detail="\x1b[2J\x07ok\n" + "d" * 2000, hint="h\u202e"))
    assert found.message.startswith("\ufffd[2J\ufffdok\ufffdd")
    assert len(found.message) == 1000
    assert found.hint == "h\ufffd"


@given(st.binary(max_size=200), st.text(max_size=50))
def test_arbitrary_documents_are_refused_by_type(data: bytes, text: str) -> None:
    with pytest.raises(FormatError):
        problem.decode(data)
    for body in (document(type=text), document(type=f"urn:waykeep:error:authority:{text}")):
        try:
            assert problem.decode(body).rule == text
        except FormatError as error:
            assert error.rule == "malformed"


@given(st.text(max_size=50), st.text(max_size=50))
def test_any_message_crosses(message: str, hint: str) -> None:
    found = problem.decode(problem.encode(FormatError("a-rule", message, hint=hint)))
    assert len(found.message) == len(message)
    assert found.message.isprintable()
    assert found.message == message or not message.isprintable()
    assert found.hint == hint or not hint.isprintable()
