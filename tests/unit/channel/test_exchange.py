"""Exchanges with a peer that is not trusted: bounded, and what is not asked for is not done."""

from __future__ import annotations

import gzip
from collections.abc import Iterator

import pytest

from tests.unit.channel.answering import PATIENCE_S, Server, answering
from waykeep.channel.exchange import Exchanges, TooLarge, Unanswered


@pytest.fixture
def server() -> Iterator[Server]:
    with answering() as found:
        yield found


@pytest.fixture
def exchanges() -> Iterator[Exchanges]:
    made = Exchanges(step_s=PATIENCE_S, total_s=PATIENCE_S)
    yield made
    made.close()


def test_one_connection_is_kept(server: Server, exchanges: Exchanges) -> None:
    server.reply = lambda path, body: (200 + len(body), body)
    for body in (b"", b"a", b"bc"):
        assert exchanges.exchange("POST", server.url, [("content-length", str(len(body)))], body, limit=2) == (
            200 + len(body),
            body,
        )
    assert server.connections == 1


def test_an_answer_over_the_limit_is_given_up_with_its_connection(server: Server, exchanges: Exchanges) -> None:
    server.reply = lambda path, body: (200, b"abc")
    with pytest.raises(TooLarge):
        exchanges.exchange("POST", server.url, [], b"x", limit=2)
    assert exchanges.exchange("POST", server.url, [], b"x", limit=3) == (200, b"abc")
    assert server.connections == 2


def test_a_redirect_is_not_followed_and_an_encoded_answer_is_not_unpacked(server: Server, exchanges: Exchanges) -> None:
    """What is small on the way could be large here."""
    packed = gzip.compress(bytes(1_000_000))
    server.headers = {"content-encoding": "gzip", "location": server.url + "/other"}
    server.reply = lambda path, body: (302, packed)
    assert exchanges.exchange("POST", server.url + "/one", [], b"x", limit=len(packed)) == (302, packed)
    assert [path for path, _ in server.asked] == ["/one"]


def test_the_environments_proxies_are_not_used(
    server: Server, exchanges: Exchanges, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    server.reply = lambda path, body: (200, b"")
    assert exchanges.exchange("POST", server.url, [], b"x", limit=0) == (200, b"")


@pytest.mark.parametrize("url", ["", "nowhere", "ftp://127.0.0.1:1", "http://[", "http://127.0.0.1:x"])
def test_what_is_no_address_is_said_to_be_none(url: str, exchanges: Exchanges) -> None:
    with pytest.raises(Unanswered) as error:
        exchanges.exchange("GET", url, limit=0)
    assert error.value.address


def test_where_nobody_listens_is_an_address(exchanges: Exchanges) -> None:
    with pytest.raises(Unanswered, match="ConnectError") as error:
        exchanges.exchange("GET", "http://127.0.0.1:1", limit=0)
    assert not error.value.address
