"""The host's answers to a device: bounded, in order, or refused by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from tests.support.between import PASS, Between, Said, between, missing
from tests.support.people import refused
from tests.unit.vault.segmenting import LOG, SECRETS
from waykeep.device.hostclient import MAX_OBJECT, HostClient
from waykeep.errors import HostError
from waykeep.formats.messages import Listing
from waykeep.formats.wire import encode_json


@pytest.fixture
def host() -> Iterator[Between]:
    """Answers all by itself: behind it there is nothing."""
    with between("http://127.0.0.1:1") as found:
        yield found


@pytest.fixture
def client(host: Between) -> Iterator[HostClient]:
    made = HostClient(host.url, LOG.owner, SECRETS.device_key)
    yield made
    made.close()


def pages(*listings: Listing | bytes) -> Callable[[int, str, str], Said]:
    """These pages one after the other, and the last one for ever."""
    bodies = [found if isinstance(found, bytes) else encode_json(found) for found in listings]
    return lambda count, method, path: bodies[min(count, len(bodies) - 1)]


def test_pages_are_one_listing(host: Between, client: HostClient) -> None:
    host.rule = pages(Listing(("a", "b"), True), Listing(("c",), True), Listing((), True))
    assert client.names("keys") == ["a", "b", "c"]
    home = f"/v1/owners/{LOG.owner}/keys"
    assert [path for _, path in host.asked] == [home, f"{home}?after=b", f"{home}?after=c"]


@pytest.mark.parametrize(
    "listings",
    [
        [Listing(("b", "a"), False)],
        [Listing(("a", "a"), False)],
        [Listing(("a", "b"), True), Listing(("b", "c"), False)],
        [Listing(("a", "b"), True), Listing(("a",), False)],
        [Listing(("a",), True)],
    ],
    ids=["backwards", "twice", "overlapping", "again", "for ever"],
)
def test_a_listing_out_of_order(listings: list[Listing], host: Between, client: HostClient) -> None:
    """A host could keep a device asking without end, or hide a name behind another."""
    host.rule = pages(*listings)
    with refused("host-answer-malformed", "host"):
        client.names("keys")
    assert len(host.asked) <= 2


@pytest.mark.parametrize("body", [b"", b"[]", b'{"more":false}', b'{"names":"a","more":false}'])
def test_a_listing_that_is_none(body: bytes, host: Between, client: HostClient) -> None:
    host.rule = pages(body)
    with refused("malformed", "format"):
        client.names("keys")


def test_an_object_that_is_too_large(host: Between, client: HostClient) -> None:
    host.rule = lambda count, method, path: bytes(MAX_OBJECT + 1)
    with refused("host-answer-too-large", "host"):
        client.get("keys", "1.age")


def test_an_object_that_the_host_has_not_and_a_host_that_is_not_there(host: Between, client: HostClient) -> None:
    host.rule = lambda count, method, path: missing()
    assert client.get("keys", "1.age") is None
    host.rule = lambda count, method, path: HostError("too-many-names", "found too many", status=409)
    with refused("too-many-names", "host"):
        client.put("keys", "1.age", b"x")
    host.rule = lambda count, method, path: "drop"
    with refused("host-unreachable", "host"):
        client.get("keys", "1.age")
    host.rule = lambda count, method, path: PASS
