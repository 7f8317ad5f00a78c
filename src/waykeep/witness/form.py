"""The form of a request: what its types do not say."""

from __future__ import annotations

from waykeep.authority.witnessing import NONCE_BYTES, Held, Read, Request
from waykeep.formats.ids import parse_digest, parse_public_key, unb64
from waykeep.formats.messages import Head


def check_form(asked: Request | Read) -> None:
    """Each digest and key of a request is one, so that nothing else is ever held. Rotations are opened by the rules.

    Raises:
        FormatError: ``digest-malformed``, ``public-key-malformed``, ``base64-malformed`` for the nonce of a read.
    """
    parse_digest(asked.pseudonym)
    if isinstance(asked, Read):
        unb64(asked.nonce, NONCE_BYTES)
        return
    for name in asked.action.__struct_fields__:
        _check(name, getattr(asked.action, name))


def _check(name: str, value: object) -> None:
    if isinstance(value, Head):
        parse_digest(value.digest)
    elif isinstance(value, Held):
        for field in value.__struct_fields__:
            _check(field, getattr(value, field))
    elif isinstance(value, tuple) and name != "rotations":
        for key in value:
            _check_key(key)
    elif name == "next_control":
        parse_digest(str(value))
    elif name in ("control", "key", "successor") and value is not None:
        _check_key(str(value))


def _check_key(text: str) -> None:
    unb64(parse_public_key(text), 32)
