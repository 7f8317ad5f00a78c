"""Signed requests: HTTP Message Signatures (RFC 9421) with Ed25519, through `http-message-signatures`.

A signature covers method, target URI, content digest and, on an attested channel, the server's channel (SHA-256 of its
public key) and a nonce. Channel and nonce replace a clock: a replay to another process, or after a restart or rollback,
fails because the channel key differs; within one process the nonce's counter was already used
(`waykeep.channel.sessions`). So neither ``created`` nor ``expires`` is sent or asked for. The library's verifier
requires nothing by default; here everything is.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from http_message_signatures import (
    HTTPMessageSigner,
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    InvalidSignature,
    algorithms,
)
from http_message_signatures.exceptions import HTTPMessageSignaturesException

from waykeep.authority.keys import SigningKey, verifying_key
from waykeep.errors import AuthorityError, FormatError
from waykeep.formats.ids import PublicKey, parse_public_key

TAG = "waykeep"
CHANNEL_HEADER = "waykeep-channel"
_HOST = ("@method", "@target-uri")
_CHANNEL = (*_HOST, CHANNEL_HEADER)


class HttpRequest(Protocol):
    """What `verify` reads of a request, whatever server it came from."""

    @property
    def method(self) -> str: ...
    @property
    def url(self) -> str: ...
    @property
    def headers(self) -> Mapping[str, str]: ...
    @property
    def body(self) -> bytes: ...


@dataclass(frozen=True)
class Request:
    """An HTTP request as RFC 9421 sees it. ``url`` is absolute; header names are lower case."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True)
class Signed:
    """Who signed a request and the nonce inside the signature; only `verify` builds one."""

    signer: PublicKey
    nonce: str


@dataclass
class _Message:
    method: str
    url: str
    headers: dict[str, str] = field(default_factory=dict)


class _Keys(HTTPSignatureKeyResolver):
    def __init__(self, signer: SigningKey | None = None, allowed: Collection[str] = ()) -> None:
        self._signer, self._allowed = signer, allowed

    def resolve_private_key(self, key_id: str) -> object:
        return self._signer.private if self._signer else None

    def resolve_public_key(self, key_id: str) -> object:
        return verifying_key(key_id) if key_id in self._allowed else None


class _Signer(HTTPMessageSigner):
    """Sends no ``created``: a device's clock may be off, and nothing here asks for the time."""

    def _build_signature_base(self, *args: Any, signature_params: dict[str, Any], **kwargs: Any) -> Any:
        signature_params.pop("created", None)
        return super()._build_signature_base(*args, signature_params=signature_params, **kwargs)


class _Verifier(HTTPMessageVerifier):
    """Refuses times instead of judging them by this machine's clock, which is the host's."""

    require_created = False

    def validate_created_and_expires(self, sig_input: Any, max_age: Any = None) -> None:
        if "created" in sig_input.params or "expires" in sig_input.params:
            raise InvalidSignature("a time in a signature")


def sign(request: Request, key: SigningKey, *, nonce: str | None = None) -> dict[str, str]:
    """The headers to send: the request's own, ``Content-Digest`` when there is a body, and the signature's two.

    With ``Waykeep-Channel`` among the headers the signature covers it, and a nonce is needed.
    """
    message = _Message(request.method, request.url, {k.lower(): v for k, v in request.headers.items()})
    signer = _Signer(signature_algorithm=algorithms.ED25519, key_resolver=_Keys(signer=key))
    channel = CHANNEL_HEADER in message.headers
    if channel and not nonce:
        raise AuthorityError("request-nonce", "a request on an attested channel needs a nonce")
    covered = [*(_CHANNEL if channel else _HOST), *(("content-digest",) if request.body else ())]
    signer.sign(
        message,
        key_id=key.public,
        nonce=nonce,
        tag=TAG,
        covered_component_ids=covered,
        body=request.body if request.body else None,
    )
    return message.headers


def verify(request: HttpRequest, keys: Collection[str], *, channel: str | None) -> Signed:
    """Verify a request's signature.

    Args:
        keys: Public keys that may sign; none refuses all. channel: What ``Waykeep-Channel`` must say on an attested
            channel. None is for the host, which has no channel key, and then nothing in the request may claim one.

    Raises:
        AuthorityError: ``request-unsigned``, ``request-signature``, ``request-channel``, ``request-nonce``, all with
            status 401.
    """
    headers = {k.lower(): v for k, v in request.headers.items()}
    if "signature" not in headers or "signature-input" not in headers:
        raise AuthorityError("request-unsigned", "found a request without a signature", status=401)
    if headers.get(CHANNEL_HEADER) != channel:
        raise AuthorityError(
            "request-channel",
            "found a request made for another channel key",
            status=401,
            hint="attest the server again",
        )
    verifier = _Verifier(signature_algorithm=algorithms.ED25519, key_resolver=_Keys(allowed=keys))
    try:
        results = verifier.verify(
            _Message(request.method, request.url, headers),
            max_age=None,
            expect_tag=TAG,
            require_components=_HOST if channel is None else _CHANNEL,
            body=request.body,
        )
        signer = parse_public_key(str(results[0].parameters["keyid"])) if len(results) == 1 else None
    except (InvalidSignature, HTTPMessageSignaturesException, FormatError, ValueError, KeyError) as error:
        raise AuthorityError(
            "request-signature", f"found a signature that does not verify ({type(error).__name__})", status=401
        ) from None
    if signer is None:
        raise AuthorityError("request-signature", f"found {len(results)} signatures, expected one", status=401)
    nonce = results[0].nonce
    if channel is not None and not nonce:
        raise AuthorityError("request-nonce", "found a request without a nonce", status=401)
    return Signed(signer, nonce or "")
