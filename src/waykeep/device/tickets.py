"""Tickets: what a holder needs to use a grant or to pass it on. The owner gives the first, each holder the next.

A ticket is no secret key: who has it and not the holder's key can do nothing with it. It tells what was granted.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from waykeep.authority import dsse, introductions, links
from waykeep.authority.keys import SigningKey
from waykeep.authority.links import Budget, Chain, Link, follow
from waykeep.authority.permissions import Granted
from waykeep.authority.scopes import Scope
from waykeep.authority.statements import OWNER_ENTRY_TYPE, OwnerEntry
from waykeep.errors import DeviceError, FormatError
from waykeep.formats import agefile
from waykeep.formats.ids import OwnerId, PublicKey, sha256
from waykeep.formats.messages import Small, Value
from waykeep.formats.wire import MIB, decode_json, encode_json

VERSION = 1


class Ticket(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """See the module.

    Attributes:
        host: The owner's, as a URL.
        entry: The envelope of the grant's entry in the owner log.
        links, introductions: Envelopes, from the grant's holder to whom this ticket is for.
    """

    version: int
    host: Small
    entry: str
    links: tuple[str, ...] = ()
    introductions: tuple[str, ...] = ()


class Opened(msgspec.Struct, frozen=True):
    """What a ticket says, as far as its holder can tell: the user cloud alone knows whether it is in force."""

    ticket: Ticket
    owner: OwnerId
    number: int
    grant: Granted
    chain: Chain


def write(ticket: Ticket) -> bytes:
    return encode_json(ticket)


def read(path: Path) -> Opened:
    """The ticket in a file. Raises: DeviceError: ``ticket-missing``, ``ticket-malformed``; and as `follow` does."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DeviceError(
            "ticket-missing",
            f"cannot read the ticket ({error.strerror})",
            hint="whoever granted it writes one with 'waykeep grant ticket'",
        ) from None
    try:
        return open_(decode_json(data, Ticket, limit=MIB, what="a ticket"))
    except FormatError as error:
        raise DeviceError("ticket-malformed", f"found a file that is no ticket ({error.rule})") from None


def open_(ticket: Ticket) -> Opened:
    """Raises: DeviceError: ``ticket-malformed``; and as `follow` and `dsse.peek` do."""
    envelope = ticket.entry.encode()
    entry = decode_json(dsse.peek(envelope, OWNER_ENTRY_TYPE, limit=65536).payload, OwnerEntry, what="an entry")
    grant = entry.body
    if not isinstance(grant, Granted) or ticket.version != VERSION:
        raise DeviceError("ticket-malformed", "found a ticket of another version, or without a grant")
    begun = Chain(grant.holder, grant.recipient, grant.scope, (Budget(sha256(envelope), grant.runs, grant.bits),))
    chain = follow(entry.owner, entry.number, begun, [link.encode() for link in ticket.links])
    return Opened(ticket, entry.owner, entry.number, grant, chain)


def pass_on(
    found: Opened,
    key: SigningKey,
    holder: PublicKey,
    recipient: str,
    scope: Scope,
    runs: int | None = None,
    bits: int | None = None,
) -> Ticket:
    """The ticket for the next holder, narrower; nobody has to be asked.

    Raises:
        DeviceError: ``ticket-foreign`` where the ticket is another key's. AuthorityError: ``link-widens``,
            ``chain-too-long``.
    """
    agefile.parse_recipient(recipient)
    usable(found, key.public)
    before, ticket = found.chain.budgets[-1].of, found.ticket
    link = links.narrow(Link(found.owner, found.number, before, holder, recipient, scope, runs, bits), key)
    known = introductions.introduce(found.owner, holder, key)
    made = msgspec.structs.replace(
        ticket,
        links=(*ticket.links, link.decode()),
        introductions=(*ticket.introductions, known.decode()),
    )
    open_(made)  # a link that the user cloud would refuse is refused here
    return made


def only(found: Opened, settings: list[str]) -> dict[str, tuple[Value, ...]]:
    """Of the values that a ticket allows those of ``NAME=VALUE`` texts; of a parameter that none names, all.

    Raises: DeviceError: ``setting-malformed``.
    """
    allowed, named = found.chain.scope.parameters or {}, dict[str, tuple[Value, ...]]()
    for text in settings:
        name, _, value = text.partition("=")
        same = tuple(v for v in allowed.get(name, ()) if str(v).lower() == value.lower())
        if not same:
            raise DeviceError("setting-malformed", "found a setting that the ticket does not allow")
        named[name] = (*named.get(name, ()), *same)
    return {name: named.get(name, values) for name, values in allowed.items()}


def usable(found: Opened, key: PublicKey) -> None:
    """Raises: DeviceError: ``ticket-foreign``."""
    if key != found.chain.holder:
        raise DeviceError("ticket-foreign", "found a ticket for another key", hint="give the key file it was made for")
