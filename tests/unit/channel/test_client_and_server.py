"""Client and server of an attested channel over real sockets: what one refuses, the other hears by name."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from tests.support.people import refused
from tests.unit.channel.serving import DEVICE, NOW_MS, OWNER, REFERENCES, STRANGER, TRUST, Echo, connect, serving
from waykeep.attestation.evidence import ALGORITHM, USER_CLOUD
from waykeep.authority import requests
from waykeep.authority.requests import Request
from waykeep.channel.client import AttestedClient
from waykeep.channel.server import listen
from waykeep.errors import ChannelError, WaykeepError
from waykeep.formats.ids import b64
from waykeep.formats.messages import Address


@pytest.fixture(scope="module")
def echo() -> Iterator[Echo]:
    with serving() as found:
        yield found


@pytest.fixture
def client(echo: Echo) -> Iterator[AttestedClient]:
    with connect(echo.address) as found:
        yield found


def test_an_appraised_server_gets_the_request_and_answers(echo: Echo, client: AttestedClient) -> None:
    for body in (b"one", b"", b"two"):
        assert client.request("POST", "/echo", body) == body
        assert echo.bodies[-1] == body
    assert client.result.measurement == REFERENCES.workloads[USER_CLOUD][0] == echo.server.measurement


@pytest.mark.parametrize(
    ("workload", "binding"), [(ALGORITHM, OWNER), (USER_CLOUD, "p" * 52)], ids=["workload", "owner"]
)
def test_a_server_that_is_bound_to_something_else(echo: Echo, workload: str, binding: str) -> None:
    with pytest.raises(WaykeepError) as caught:
        AttestedClient(echo.address, workload=workload, binding=binding, trust=TRUST, clock=lambda: NOW_MS)
    assert caught.value.family == "attestation"


def test_a_stranger_is_refused(echo: Echo) -> None:
    before = list(echo.bodies)
    with connect(echo.address, STRANGER) as found, refused("request-signature", "authority"):
        found.request("POST", "/echo", b"one")
    with connect(echo.address, None) as found, refused("request-unsigned", "authority"):
        found.request("POST", "/echo", b"one")
    assert echo.bodies == before


def _again(client: AttestedClient, echo: Echo, nonce: str, *, channel: bytes | None = None) -> bytes:
    """A request made by hand: with a nonce and for a channel of one's choice."""
    headers = {requests.CHANNEL_HEADER: b64(channel or echo.server.channel)}
    url = f"https://127.0.0.1:{echo.address.port}/echo"
    signed = requests.sign(Request("POST", url, headers, b"x"), DEVICE, nonce=nonce)
    return client._exchange("POST", "/echo", list(signed.items()), b"x", 1000)[0]


def test_a_request_is_taken_once(echo: Echo, client: AttestedClient) -> None:
    nonce = f"{client._session}.7"
    assert _again(client, echo, nonce) == b"x"
    with refused("request-replayed", "channel"):
        _again(client, echo, nonce)


@pytest.mark.parametrize(
    ("nonce", "rule"), [("A" * 22 + ".1", "session-unknown"), ("x", "nonce-malformed"), ("A" * 22, "nonce-malformed")]
)
def test_a_nonce_of_no_session(echo: Echo, client: AttestedClient, nonce: str, rule: str) -> None:
    with refused(rule, "channel"):
        _again(client, echo, nonce)


def test_a_request_for_another_process(echo: Echo, client: AttestedClient) -> None:
    with refused("request-channel", "authority"):
        _again(client, echo, f"{client._session}.8", channel=bytes(32))


def test_a_refused_request_takes_no_nonce(echo: Echo, client: AttestedClient) -> None:
    nonce = f"{client._session}.9"
    with refused("request-channel", "authority"):
        _again(client, echo, nonce, channel=bytes(32))
    assert _again(client, echo, nonce) == b"x"


def test_a_typed_refusal_crosses_whole(client: AttestedClient) -> None:
    with pytest.raises(WaykeepError) as caught:
        client.request("GET", "/refuse")
    error = caught.value
    assert (error.family, error.rule, error.hint, error.status) == ("user-cloud", "locked", "unlock it", 409)


def test_an_error_inside_tells_its_type_alone(client: AttestedClient) -> None:
    with pytest.raises(ChannelError) as caught:
        client.request("GET", "/fail")
    assert (caught.value.rule, caught.value.status) == ("internal", 500)
    assert "ZeroDivisionError" in str(caught.value)
    assert "473700000" not in str(caught.value)


@pytest.mark.parametrize(("method", "path"), [("GET", "/nothing"), ("GET", "/echo"), ("POST", "/refuse")])
def test_no_such_resource(client: AttestedClient, method: str, path: str) -> None:
    with refused("no-such-resource", "channel"):
        client.request(method, path)


def test_a_body_over_the_bound(client: AttestedClient) -> None:
    with refused("too-large", "format"):
        client.request("POST", "/echo", bytes(1001))


def test_an_answer_over_the_bound(client: AttestedClient) -> None:
    with refused("answer-too-large", "channel"):
        client.request("POST", "/echo", bytes(1000), limit=999)


@pytest.mark.parametrize("nonce", ["", "AAAA", "A" * 44, "=" * 43])
def test_a_nonce_for_evidence_that_is_none(client: AttestedClient, nonce: str) -> None:
    with refused("base64-malformed", "format"):
        client.request("GET", f"/.well-known/attestation?nonce={nonce}")


def test_another_process_behind_the_same_address(echo: Echo, client: AttestedClient) -> None:
    # The host moves the address to another honest process: what was agreed on with the first must not reach it.
    with serving() as other:
        client._base = f"https://127.0.0.1:{other.address.port}"
        with refused("channel-changed", "attestation"):
            client.request("POST", "/echo", b"one")
        assert other.bodies == []


def test_nobody_listens() -> None:
    listener = listen("127.0.0.1")
    port = listener.getsockname()[1]
    listener.close()
    with refused("unreachable", "channel"):
        connect(Address("127.0.0.1", port))


def test_a_server_that_closes(echo: Echo) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        with socket.create_connection(server.getsockname()):
            pass
        server.settimeout(5)
        server.accept()[0].close()
        address = Address("127.0.0.1", server.getsockname()[1])
        # A backlog that nobody accepts from: the connection stands, TLS never answers.
        with refused("unreachable", "channel"):
            AttestedClient(
                address, workload=USER_CLOUD, binding=OWNER, trust=TRUST, clock=lambda: NOW_MS, timeout_s=0.2
            )


@pytest.mark.parametrize(
    "host",
    [
        "",
        "a b",
        "a/b",
        "user@a",
        "a:1",
        "a#b",
        "a?b",
        "a\n",
        "..",
        "[::1]",
        "fe80::1%eth0",
        "a" * 254,
        "é",
        "::1/x",
        ":",
        ":::",
        "1:2",
        "::g",
    ],
)
def test_an_address_that_is_none(host: str) -> None:
    with refused("address-malformed", "channel"):
        connect(Address(host, 1))
