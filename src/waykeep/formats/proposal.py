"""Proposals: what a QR code or a link asks an owner to allow, as a URI ``waykeep:approve?digest=…&host=…``.

Nothing in it is believed: the bundle behind the digest is fetched and checked, and the owner is shown what it comes to.
A field that this version does not know is refused, since it may change what the rest means.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote, unquote_to_bytes, urlsplit

import msgspec

from waykeep.errors import FormatError, WaykeepError
from waykeep.formats import ids
from waykeep.formats.ids import Digest

SCHEME = "waykeep:approve?"
MAX_URI = 2000
MAX_SETTINGS = 64

_DAY, _DURATION = r"[0-9]{4}-[0-9]{2}-[0-9]{2}", r"[0-9]{1,6}(ms|s|m|min|h|d)"
_TEXTS = {
    "host": re.compile(r"https?://[A-Za-z0-9.\[\]:-]{1,190}/?"),
    "holder": re.compile(r"[A-Za-z0-9_-]{43}"),
    "recipient": re.compile(r"age1[a-z0-9]{1,120}"),
    "first": re.compile(_DAY),
    "after": re.compile(_DAY),
    "last": re.compile(r"[0-9]{1,6}(h|d)"),
    "until": re.compile(_DAY),
    "precision": re.compile(r"[0-9]{1,6}(\.[0-9]{1,3})?(m|km)?"),
    "times": re.compile(_DURATION),
    "deadline": re.compile(_DURATION),
    "store": re.compile(r"[a-z][a-z0-9-]{0,31}"),
    "purpose": re.compile(r"\S.{0,199}"),
}
_NUMBERS = {"runs": 100_000, "bits": 10**12}
_NAMES = {"first": "from", "after": "to"}
"""Of fields whose key in the URI is another word."""
_SETTING = re.compile(r"[a-z][a-z0-9_]{0,31}=[^\s=]{1,60}")
_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")


class Proposal(msgspec.Struct, frozen=True):
    """See the module. What is empty or None is not proposed.

    Attributes:
        host: Where the bundle lies.
        holder, recipient, runs, bits, deadline, purpose: Of a grant to somebody else; of an approval without a holder.
        first, after, last, until, precision, times: As an owner types them.
        store: Name under which results are kept. settings: ``NAME=VALUE``.
    """

    digest: Digest
    host: str
    holder: str = ""
    recipient: str = ""
    runs: int | None = None
    bits: int | None = None
    first: str = ""
    after: str = ""
    last: str = ""
    until: str = ""
    precision: str = ""
    times: str = ""
    deadline: str = ""
    store: str = ""
    purpose: str = ""
    settings: tuple[str, ...] = ()


_KEYS = {_NAMES.get(name, name): name for name in Proposal.__struct_fields__ if name != "settings"}


def write(proposal: Proposal) -> str:
    """The URI of a proposal. Raises: FormatError: As `parse`."""
    uri = SCHEME + "&".join(f"{key}={quote(value, safe=':/,')}" for key, value in _said(proposal))
    if parse(uri) != proposal:
        raise _malformed("a proposal that cannot be written")
    return uri


def _said(proposal: Proposal) -> Iterator[tuple[str, str]]:
    for key, name in _KEYS.items():
        value = getattr(proposal, name)
        if value not in ("", None):
            yield key, str(value)
    yield from (("set", setting) for setting in proposal.settings)


def parse(uri: str) -> Proposal:
    """The proposal in a URI from outside.

    Raises: FormatError: ``proposal-too-long``, ``proposal-unknown`` for a field that is not known,
        ``proposal-malformed``.
    """
    if len(uri) > MAX_URI:
        raise FormatError("proposal-too-long", f"found a proposal of more than {MAX_URI} characters")
    if not uri.startswith(SCHEME) or not uri.isascii() or not uri.isprintable() or "#" in uri or " " in uri:
        raise _malformed("text that is no proposal")
    found: dict[str, str] = {}
    settings: list[str] = []
    for part in uri.removeprefix(SCHEME).split("&"):
        key, equals, escaped = part.partition("=")
        value = _unescaped(escaped)
        if key == "set":
            settings.append(value)
        elif key not in _KEYS:
            raise FormatError(
                "proposal-unknown",
                "found a proposal with a field that this version does not know",
                hint="a newer Waykeep may know it; nothing was changed",
            )
        elif not equals or _KEYS[key] in found:
            raise _malformed("a field without a value, or one twice")
        else:
            found[_KEYS[key]] = value
    return _checked(found, settings)


def _unescaped(text: str) -> str:
    if _ESCAPE.search(text) or "+" in text:
        raise _malformed("an escape that is none")
    try:
        value = unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise _malformed("an escape that is no text") from None
    if not value.isprintable():
        raise _malformed("characters that do not print")
    return value


def _checked(found: dict[str, str], settings: list[str]) -> Proposal:
    numbers: dict[str, int] = {}
    for name, value in found.items():
        if name in _NUMBERS:
            if not re.fullmatch(r"[1-9][0-9]{0,12}", value) or int(value) > _NUMBERS[name]:
                raise _malformed(f"no number in {name}")
            numbers[name] = int(value)
        elif name != "digest" and not _TEXTS[name].fullmatch(value):
            raise _malformed(f"no value of {name}")
    if len(settings) > MAX_SETTINGS or not all(map(_SETTING.fullmatch, settings)):
        raise _malformed("settings that are not NAME=VALUE")
    try:
        digest = ids.parse_digest(found.pop("digest", ""))
        if found.get("holder"):
            ids.parse_public_key(found["holder"])
        urlsplit(found["host"]).port  # noqa: B018 - raises where there is none
    except (WaykeepError, ValueError, KeyError):
        raise _malformed("no digest, host or key") from None
    texts = {name: value for name, value in found.items() if name not in numbers}
    return msgspec.structs.replace(
        Proposal(digest, texts.pop("host")), **{**texts, **numbers, "settings": tuple(settings)}
    )


def _malformed(what: str) -> FormatError:
    return FormatError("proposal-malformed", f"found {what}", hint="ask whoever made it for another")
