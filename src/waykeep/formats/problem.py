"""Problem details for HTTP (RFC 9457): how a typed refusal crosses a connection."""

from __future__ import annotations

import msgspec

from waykeep.errors import (
    AggregatorError,
    AlgorithmError,
    AttestationError,
    AuthorityError,
    ChannelError,
    DeviceError,
    FormatError,
    HostError,
    PrivacyError,
    SupervisorError,
    UserCloudError,
    VaultError,
    WaykeepError,
    WitnessError,
)
from waykeep.formats.wire import decode_json, encode_json

MEDIA_TYPE = "application/problem+json"
_PREFIX = "urn:waykeep:error:"
_FAMILIES: dict[str, type[WaykeepError]] = {
    kind.family: kind
    for kind in (
        FormatError,
        AttestationError,
        AuthorityError,
        VaultError,
        ChannelError,
        SupervisorError,
        UserCloudError,
        AlgorithmError,
        DeviceError,
        HostError,
        WitnessError,
        PrivacyError,
        AggregatorError,
    )
}


class Problem(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``type`` is ``urn:waykeep:error:<family>:<rule>``; ``title`` the rule; ``detail`` the message."""

    type: str
    title: str
    status: int
    detail: str
    hint: str = ""


def encode(error: WaykeepError) -> bytes:
    return encode_json(
        Problem(
            type=f"{_PREFIX}{error.family}:{error.rule}",
            title=error.rule,
            status=error.status,
            detail=error.message,
            hint=error.hint,
        )
    )


def decode(body: bytes) -> WaykeepError:
    """The refusal in a problem document. What a peer says is a message to show, never a decision to act on.

    Raises:
        FormatError: ``malformed`` when the body is no problem document of Waykeep's.
    """
    problem = decode_json(body, Problem, limit=16384, what="a problem document")
    family, _, rule = problem.type.removeprefix(_PREFIX).partition(":")
    kind = _FAMILIES.get(family) if problem.type.startswith(_PREFIX) else None
    if kind is None or len(rule) > 64 or not 400 <= problem.status <= 599:
        raise FormatError("malformed", "found a problem document that is none of Waykeep's")
    try:
        return kind(rule, _shown(problem.detail), hint=_shown(problem.hint), status=problem.status)
    except ValueError:
        raise FormatError("malformed", "found a problem document without a rule") from None


def _shown(text: str) -> str:
    # It is shown on a terminal, where a peer's control characters would write what they like.
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text[:1000])
