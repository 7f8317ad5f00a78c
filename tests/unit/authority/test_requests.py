"""Signed requests: the same bytes at any time, and every odd but well-formed signature refused by type."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from http_message_signatures import HTTPMessageSigner, HTTPSignatureKeyResolver, algorithms

from tests.unit.builders import key, refused
from waykeep.authority.requests import CHANNEL_HEADER, TAG, Request, sign, verify
from waykeep.errors import AuthorityError
from waykeep.formats.ids import b64

DEVICE = key("device")
CHANNEL = b64(b"c" * 32)
BARE = Request("POST", "https://127.0.0.1:4711/v1/segments?dry=1", {CHANNEL_HEADER: CHANNEL}, b'{"names":[]}')
HEADERS = sign(BARE, DEVICE, nonce="n.1")
INPUT, SIGNATURE = HEADERS["Signature-Input"], HEADERS["Signature"]


def check(**headers: str) -> None:
    found = {name.lower(): value for name, value in HEADERS.items()}
    found |= {name.replace("_", "-"): value for name, value in headers.items()}
    verify(Request(BARE.method, BARE.url, found, BARE.body), [DEVICE.public], channel=CHANNEL)


# -- no clock ----------------------------------------------------------------------------------------------------------


def test_a_signature_is_the_same_whenever_it_is_made() -> None:
    """Made once and kept here: Ed25519 has no randomness, and the signature holds no time that could differ."""
    kept = "HtVfnKmTE+HpMdgANmx211SFOKygHcCEDuwnO7N7gnM7t7uhWKBCPPVmR8z3pcmu+fpmsL4B/vCaKW16zO3HDA=="
    assert f"pyhms=:{kept}:" == SIGNATURE
    check()


class _Device(HTTPSignatureKeyResolver):
    def resolve_private_key(self, key_id: str) -> object:
        return DEVICE.private

    def resolve_public_key(self, key_id: str) -> object:
        raise NotImplementedError


class _Chosen(HTTPMessageSigner):
    """The library's signer, for the times that it is given and no other; it adds ``created`` by itself."""

    times: Mapping[str, int] = {}

    def _build_signature_base(self, *args: Any, signature_params: dict[str, Any], **kwargs: Any) -> Any:
        if "created" not in self.times:
            signature_params.pop("created", None)
        signature_params.update(self.times)
        return super()._build_signature_base(*args, signature_params=signature_params, **kwargs)


@dataclass
class _Sent:
    method: str
    url: str
    headers: dict[str, str]


@pytest.mark.parametrize(
    "times",
    [{"created": 0}, {"created": 2**40}, {"expires": 0}, {"expires": 2**40}, {"created": 0, "expires": 2**40}],
    ids=str,
)
def test_times_that_the_device_itself_signed_are_refused(times: dict[str, int]) -> None:
    """The signature is right, and covers the time: what is refused is that there is one, be it past or to come."""
    for chosen in ({}, times):
        message = _Sent(BARE.method, BARE.url, dict(BARE.headers))
        signer = _Chosen(signature_algorithm=algorithms.ED25519, key_resolver=_Device())
        signer.times = chosen
        covered = ("@method", "@target-uri", CHANNEL_HEADER, "content-digest")
        signer.sign(
            message,
            key_id=DEVICE.public,
            nonce="n.1",
            tag=TAG,
            covered_component_ids=covered,
            body=BARE.body,
        )
        request = Request(BARE.method, BARE.url, message.headers, BARE.body)
        assert all(f";{name}={value}" in message.headers["Signature-Input"] for name, value in chosen.items())
        if not chosen:  # else the refusals would be for something else
            assert verify(request, [DEVICE.public], channel=CHANNEL).signer == DEVICE.public
            continue
        with refused("request-signature", AuthorityError):
            verify(request, [DEVICE.public], channel=CHANNEL)


def test_each_part_gives_another_signature() -> None:
    requests = [
        (BARE, "n.1"),
        (BARE, "n.2"),
        (Request("PUT", BARE.url, BARE.headers, BARE.body), "n.1"),
        (Request(BARE.method, BARE.url + "1", BARE.headers, BARE.body), "n.1"),
        (Request(BARE.method, BARE.url, {CHANNEL_HEADER: b64(b"d" * 32)}, BARE.body), "n.1"),
        (Request(BARE.method, BARE.url, BARE.headers, b"{}"), "n.1"),
        (Request(BARE.method, BARE.url, BARE.headers, b""), "n.1"),
    ]
    assert len({sign(request, DEVICE, nonce=nonce)["Signature"] for request, nonce in requests}) == len(requests)


def test_what_is_signed_is_not_changed() -> None:
    headers = {"Accept": "application/json", CHANNEL_HEADER: CHANNEL}
    sign(Request("GET", BARE.url, headers), DEVICE, nonce="n.1")
    assert headers == {"Accept": "application/json", CHANNEL_HEADER: CHANNEL}


# -- well-formed, and not what is expected -----------------------------------------------------------------------------

ITEMS = ["5", "-1", "1.5", "?1", "?0", ":YWJj:", ":!:", "token", "*", '"x"', '""', "@1659578233", '%"x"', "(a)", ""]
COMPONENTS = [
    '"@status"',
    '"@unknown"',
    '"@query-param"',
    '"@query-param";name="dry"',
    '"@query-param";name=5',
    '"@method";req',
    '"@target-uri";req',
    '"waykeep-channel";bs',
    '"waykeep-channel";sf',
    '"content-digest";key="sha-256"',
    '"content-digest";key=5',
    '"content-digest";sf;bs',
    '"content-digest";tr',
    '"Content-Digest"',
    '"@signature-params"',
    '"signature";key="pyhms"',
    '"missing"',
    '"@method"',  # a second time
    '""',
    "5",
    "token",
    ":YWJj:",
]
SHAPES = ["pyhms=5", "pyhms", "pyhms=()", 'pyhms="x"', 'pyhms=(("a"))', "pyhms=:YQ==:", "*=()", "a=(), b=()", ","]


def odd_parameters() -> Iterator[str]:
    """Every parameter of the signature as every kind of item (RFC 9651): in its place, and once more at the end."""
    for name, item in itertools.product(("keyid", "alg", "nonce", "tag", "created", "expires"), ITEMS):
        in_place = re.sub(rf'\b{name}="[^"]*"', f"{name}={item}", INPUT)
        yield from (description for description in (in_place, f"{INPUT};{name}={item}") if description != INPUT)


def odd_components() -> Iterator[str]:
    for component in COMPONENTS:
        yield INPUT.replace('("@method"', f'({component} "@method"')
        if component != '"@method"':
            yield INPUT.replace('"@method"', component)
        yield re.sub(r"\([^)]*\)", f"({component})", INPUT)


@pytest.mark.parametrize("odd", [odd_parameters, odd_components], ids=["parameters", "components"])
def test_odd_descriptions_are_refused_by_type(odd: object) -> None:
    tried = 0
    for description in odd():
        tried += 1
        with refused("request-signature", AuthorityError):
            check(signature_input=description)
    assert tried > 60


def test_odd_shapes_are_refused_by_type() -> None:
    for described, made in itertools.product([INPUT, *SHAPES], [SIGNATURE, *SHAPES]):
        if (described, made) != (INPUT, SIGNATURE):
            with refused("request-signature", AuthorityError):
                check(signature_input=described, signature=made)


@pytest.mark.parametrize(
    "digest", ["5", "sha-256=5", "sha-256", "sha-256=()", "sha-256=:YQ==:", "md5=:YQ==:", "", ",", "unknown=:YQ==:"]
)
def test_odd_digests_are_refused_by_type(digest: str) -> None:
    with refused("request-signature", AuthorityError):
        check(content_digest=digest)
