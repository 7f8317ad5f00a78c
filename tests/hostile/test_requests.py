"""An attacker cannot make a server act on a request that its owner's device did not sign for this very process.

The attacker sees and changes whatever crosses the connection, and holds signing keys of their own. What the checks on a
running user cloud are worth is shown in `hostile/processes`; here each covered part is altered on its own.
"""

from __future__ import annotations

import datetime
import os
from typing import Any

import pytest
from http_message_signatures import HTTPMessageSigner, HTTPSignatureKeyResolver, algorithms
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.builders import key, refused
from waykeep.authority import access, requests
from waykeep.authority.keys import SigningKey
from waykeep.authority.requests import CHANNEL_HEADER, TAG, Request, sign, verify
from waykeep.channel.sessions import Sessions
from waykeep.errors import AuthorityError, ChannelError
from waykeep.formats.ids import b64

DEVICE, THIEF = key("device"), key("thief")
CHANNEL = b64(b"c" * 32)
URL = "https://127.0.0.1:4711/v1/segments?dry=1"
BODY = b'{"names":["a.age"]}'


def signed(
    method: str = "POST",
    url: str = URL,
    body: bytes = BODY,
    *,
    signer: SigningKey = DEVICE,
    channel: str | None = CHANNEL,
    nonce: str | None = "n.1",
) -> Request:
    headers = {} if channel is None else {CHANNEL_HEADER: channel}
    return Request(method, url, sign(Request(method, url, headers, body), signer, nonce=nonce), body)


def check(request: Request, channel: str | None = CHANNEL) -> requests.Signed:
    return verify(request, [DEVICE.public], channel=channel)


def changed(request: Request, **changes: Any) -> Request:
    parts = {"method": request.method, "url": request.url, "headers": request.headers, "body": request.body}
    return Request(**(parts | changes))


def with_headers(request: Request, **headers: str | None) -> Request:
    """The request with headers replaced, or taken away where None; underscores stand for dashes."""
    found = {name.lower(): value for name, value in request.headers.items()}
    for name, value in headers.items():
        found.pop(name.replace("_", "-"), None)
        if value is not None:
            found[name.replace("_", "-")] = value
    return changed(request, headers=found)


class _Resolver(HTTPSignatureKeyResolver):
    def __init__(self, signer: SigningKey) -> None:
        self._signer = signer

    def resolve_private_key(self, key_id: str) -> object:
        return self._signer.private

    def resolve_public_key(self, key_id: str) -> object:
        raise NotImplementedError


class _Message:
    def __init__(self, request: Request) -> None:
        self.method, self.url = request.method, request.url
        self.headers = {name.lower(): value for name, value in request.headers.items()}


BARE = Request("POST", URL, {CHANNEL_HEADER: CHANNEL}, BODY)


# -- as it should be ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "body"), [("POST", BODY), ("GET", b"")])
def test_signed_request_is_taken(method: str, body: bytes) -> None:
    found = check(signed(method, body=body))
    assert (found.signer, found.nonce) == (DEVICE.public, "n.1")


def test_request_to_the_host_is_taken_without_channel_and_nonce() -> None:
    assert access.authorize(signed(channel=None, nonce=None), [DEVICE.public]) == DEVICE.public


def test_neither_created_nor_expires_is_sent() -> None:
    """A device's clock may be off, and the server's is the host's: nothing here may depend on either."""
    named = signed().headers["Signature-Input"]
    assert "created" not in named
    assert "expires" not in named


# -- unsigned, or signed by somebody else ------------------------------------------------------------------------------


@pytest.mark.parametrize("missing", ["signature", "signature-input"])
def test_unsigned_request_is_refused(missing: str) -> None:
    with refused("request-unsigned", AuthorityError):
        check(with_headers(signed(), **{missing: None}))


@pytest.mark.parametrize("keys", [[], [THIEF.public], ["", "no key"]])
def test_request_by_a_foreign_key_is_refused(keys: list[str]) -> None:
    with refused("request-signature", AuthorityError):
        verify(signed(), keys, channel=CHANNEL)
    with refused("request-signature", AuthorityError):
        access.authorize(signed(channel=None, nonce=None), keys)


def test_request_that_only_names_the_devices_key_is_refused() -> None:
    request = signed(signer=THIEF)
    named = request.headers["Signature-Input"].replace(THIEF.public, DEVICE.public)
    with refused("request-signature", AuthorityError):
        check(with_headers(request, signature_input=named))


# -- each covered part altered -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "post"])
def test_another_method_is_refused(method: str) -> None:
    with refused("request-signature", AuthorityError):
        check(changed(signed(), method=method))


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:4711/v1/runs?dry=1",
        "https://127.0.0.1:4711/v1/segments?dry=0",
        "https://127.0.0.1:4711/v1/segments",
        "https://127.0.0.1:4712/v1/segments?dry=1",
        "https://127.0.0.2:4711/v1/segments?dry=1",
        "http://127.0.0.1:4711/v1/segments?dry=1",
    ],
)
def test_another_target_is_refused(url: str) -> None:
    with refused("request-signature", AuthorityError):
        check(changed(signed(), url=url))


@pytest.mark.parametrize("body", [b"", BODY[:-1], BODY + b" ", BODY.replace(b"a", b"b")])
def test_another_body_is_refused(body: bytes) -> None:
    with refused("request-signature", AuthorityError):
        check(changed(signed(), body=body))


def test_another_body_with_its_own_digest_is_refused() -> None:
    other = signed(body=b"{}")
    with refused("request-signature", AuthorityError):
        check(with_headers(changed(signed(), body=b"{}"), content_digest=other.headers["Content-Digest"]))


def test_a_body_added_to_a_request_without_one_is_refused() -> None:
    request = changed(signed(body=b""), body=BODY)
    with refused("request-signature", AuthorityError):
        check(request)
    with refused("request-signature", AuthorityError):
        check(with_headers(request, content_digest=signed().headers["Content-Digest"]))


def test_request_for_another_channel_is_refused() -> None:
    """A request to one process is worth nothing at another, nor at the same after a restart: the key is new."""
    with refused("request-channel", AuthorityError):
        check(signed(), b64(b"d" * 32))
    with refused("request-channel", AuthorityError):
        check(with_headers(signed(), waykeep_channel=None))
    with refused("request-channel", AuthorityError):
        check(signed(channel=None))


def test_request_whose_channel_was_exchanged_is_refused() -> None:
    other = b64(b"d" * 32)
    with refused("request-signature", AuthorityError):
        check(with_headers(signed(), waykeep_channel=other), other)


def test_a_request_to_a_user_cloud_does_not_pass_at_the_host() -> None:
    with refused("request-channel", AuthorityError):
        access.authorize(signed(), [DEVICE.public])
    with refused("request-signature", AuthorityError):
        access.authorize(with_headers(signed(), waykeep_channel=None), [DEVICE.public])


def test_a_request_to_the_host_does_not_pass_at_a_user_cloud() -> None:
    with refused("request-signature", AuthorityError):
        check(with_headers(signed(channel=None), waykeep_channel=CHANNEL))


@pytest.mark.parametrize(
    "change",
    [
        lambda named: named.replace('nonce="n.1"', 'nonce="n.2"'),
        lambda named: named.replace(f'tag="{TAG}"', 'tag="other"'),
        lambda named: named.replace(f';tag="{TAG}"', ""),
        lambda named: named.replace('"@method" ', ""),
        lambda named: named.replace('"@method" "@target-uri"', '"@target-uri" "@method"'),
        lambda named: named.replace("ed25519", "hmac-sha256"),
        lambda named: named + ";expires=1",
        lambda named: "",
        lambda named: "x=1",
    ],
)
def test_what_the_signature_says_of_itself_cannot_be_changed(change: Any) -> None:
    request = signed()
    with refused("request-signature", AuthorityError):
        check(with_headers(request, signature_input=change(request.headers["Signature-Input"])))


# -- signed by the device, but less than is needed ---------------------------------------------------------------------

COVERED = ("@method", "@target-uri", CHANNEL_HEADER, "content-digest")


class _Timeless(HTTPMessageSigner):
    """The library's signer without the time that it always adds."""

    def _build_signature_base(self, *args: Any, signature_params: dict[str, Any], **kwargs: Any) -> Any:
        signature_params.pop("created", None)
        return super()._build_signature_base(*args, signature_params=signature_params, **kwargs)


def covering(covered: tuple[str, ...], maker: type[HTTPMessageSigner] = _Timeless, **options: Any) -> Request:
    """Signed by the library itself: what a device could send that covers what it likes."""
    message = _Message(BARE)
    options = {"tag": TAG, "nonce": "n.1", "body": BODY if "content-digest" in covered else None} | options
    signer = maker(signature_algorithm=algorithms.ED25519, key_resolver=_Resolver(DEVICE))
    signer.sign(message, key_id=DEVICE.public, covered_component_ids=covered, **options)
    message.headers.setdefault("Content-Digest", signed().headers["Content-Digest"])
    return changed(BARE, headers=message.headers)


def test_all_that_is_needed_is_enough() -> None:
    assert check(covering(COVERED)).signer == DEVICE.public
    assert check(covering((*COVERED, "@authority"))).signer == DEVICE.public


@pytest.mark.parametrize("missing", COVERED)
def test_a_part_that_is_not_covered_is_refused(missing: str) -> None:
    with refused("request-signature", AuthorityError):
        check(covering(tuple(name for name in COVERED if name != missing)))


@pytest.mark.parametrize("options", [{"tag": None}, {"tag": "somebody else's"}])
def test_a_signature_for_another_use_is_refused(options: dict[str, Any]) -> None:
    with refused("request-signature", AuthorityError):
        check(covering(COVERED, **options))


@pytest.mark.parametrize("nonce", [None, ""])
def test_a_request_without_a_nonce_is_refused(nonce: str | None) -> None:
    with refused("request-nonce", AuthorityError):
        check(covering(COVERED, nonce=nonce))


def test_a_request_without_a_nonce_is_not_signed() -> None:
    with refused("request-nonce", AuthorityError):
        signed(nonce=None)


def test_times_are_refused_whatever_they_say() -> None:
    """By whose clock should they be judged? The server's is the host's."""
    with refused("request-signature", AuthorityError):
        check(covering(COVERED, HTTPMessageSigner))
    with refused("request-signature", AuthorityError):
        check(covering(COVERED, expires=datetime.datetime(2999, 1, 1, tzinfo=datetime.UTC)))


def test_two_signatures_are_refused() -> None:
    one, two = signed(), signed(signer=THIEF)
    for other in (two, signed(nonce="n.2")):
        headers = {
            name: f"{one.headers[name]}, {other.headers[name].replace('pyhms', 'second', 1)}"
            for name in ("Signature-Input", "Signature")
        }
        both = with_headers(one, signature_input=headers["Signature-Input"], signature=headers["Signature"])
        with refused("request-signature", AuthorityError):
            check(both)


# -- replayed ----------------------------------------------------------------------------------------------------------


def test_replayed_request_is_refused() -> None:
    sessions = Sessions()
    request = signed(nonce=f"{sessions.open(b's' * 16)}.1")
    sessions.take(check(request).nonce)
    with refused("request-replayed", ChannelError):
        sessions.take(check(request).nonce)


def test_request_of_a_session_of_another_process_is_refused() -> None:
    request = signed(nonce=f"{Sessions().open(b's' * 16)}.1")
    with refused("session-unknown", ChannelError):
        Sessions().take(check(request).nonce)


@pytest.mark.parametrize(
    "nonce", ["n.1", "x" * 22, "x" * 22 + ".0", "x" * 22 + ".01", "x" * 22 + ".-1", "x" * 22 + ".1 "]
)
def test_nonce_that_is_no_sessions_is_refused(nonce: str) -> None:
    with refused("nonce-malformed", ChannelError):
        Sessions().take(check(signed(nonce=nonce)).nonce)


def test_a_flood_of_sessions_does_not_push_out_one_in_use() -> None:
    """Anybody may ask for evidence, and gets a session. That must not log the owner's device out."""
    sessions = Sessions()
    mine = sessions.open(os.urandom(16))
    sessions.take(f"{mine}.1")
    for _ in range(3000):
        sessions.open(os.urandom(16))
    sessions.take(f"{mine}.2")
    with refused("request-replayed", ChannelError):
        sessions.take(f"{mine}.1")


# -- any bytes ---------------------------------------------------------------------------------------------------------

LATIN = st.binary(max_size=60).map(lambda data: data.decode("latin-1"))
NAMED = signed().headers["Signature-Input"]


@given(LATIN, LATIN)
def test_arbitrary_headers_are_refused_by_type(one: str, two: str) -> None:
    request = signed()
    for headers in (
        {"signature": one},
        {"signature_input": one},
        {"signature": one, "signature_input": two},
        {"content_digest": one},
        {"signature_input": NAMED[: len(one)] + two},
    ):
        with pytest.raises(AuthorityError):
            check(with_headers(request, **headers))


@given(st.text(max_size=20), LATIN)
def test_arbitrary_methods_and_targets_are_refused_by_type(method: str, url: str) -> None:
    for changes in ({"method": method}, {"url": url}):
        if changes != {"method": "POST"}:
            with pytest.raises(AuthorityError):
                check(changed(signed(), **changes))
