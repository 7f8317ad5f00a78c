"""Links: how a holder passes a grant on to another key, narrower, without asking anybody.

A chain begins with the grant's entry in the owner log. Each link is a statement (DSSE) by the holder before it, which
names the next holder. What a chain allows is the meet of its scopes; runs and bits are counted at each link of it, so
that those who got parts of one link share what it has left. In this order:

1. ``chain-too-long``: at most `MAX_LINKS` links, of `MAX_CHAIN` bytes in all.
2. ``link-foreign``: each link is of this owner and grant.
3. ``link-order``: it names the digest of what is before it: the entry's envelope, then the link's.
4. ``link-signer``: the holder before it signed it.
5. ``link-widens``: each field that it sets is within what is allowed before it, and so are its runs and bits.
6. ``link-barred``: the owner has not revoked it: (grant, key of the issuer, key of the holder).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, NamedTuple

import msgspec

from waykeep.authority import dsse
from waykeep.authority.keys import SigningKey
from waykeep.authority.scopes import Bits, Runs, Scope, canonical, meet
from waykeep.errors import AuthorityError
from waykeep.formats.ids import Digest, OwnerId, PublicKey, sha256
from waykeep.formats.messages import Number
from waykeep.formats.wire import decode_json, encode_json

LINK_TYPE = "application/vnd.waykeep.grant-link+json"
MAX_LINKS = 16
MAX_LINK = 32768
MAX_CHAIN = 65536


class Link(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """By the holder of what ``follows`` names.

    Attributes:
        owner, grant: Whose grant, and the number of its entry.
        follows: Digest of the envelope before: the entry's or a link's.
        holder, recipient: Who may ask, and the age recipient that results are encrypted to.
        scope: What is left; a field that it leaves out stays as it was.
        runs, bits: Of all that is asked by this link; None leaves what is before it.
    """

    owner: OwnerId
    grant: Number
    follows: Digest
    holder: PublicKey
    recipient: Annotated[str, msgspec.Meta(max_length=128)]
    scope: Scope
    runs: Runs | None = None
    bits: Bits | None = None


class Budget(NamedTuple):
    """What may be debited at one link, or at the grant's entry: ``of`` is its envelope's digest."""

    of: Digest
    runs: int
    bits: int


class Chain(NamedTuple):
    """What a chain allows, and to whom; ``budgets`` from the grant's entry on. Only `follow` builds one with links."""

    holder: PublicKey
    recipient: str
    scope: Scope
    budgets: tuple[Budget, ...]


def narrow(link: Link, key: SigningKey) -> bytes:
    """The envelope of a link, by the holder's key."""
    return dsse.sign(LINK_TYPE, encode_json(link), key)


def holder_of(envelope: bytes) -> PublicKey:
    """To whom a link passes a grant. Raises as `follow` does."""
    return _opened(envelope)[1].holder


def signer_of(envelope: bytes) -> PublicKey:
    """Who passed a grant on by a link. Raises as `follow` does."""
    return _opened(envelope)[0]


def _opened(envelope: bytes) -> tuple[PublicKey, Link]:
    """Who signed a link, and what it says."""
    opened = dsse.peek(envelope, LINK_TYPE, limit=MAX_LINK)
    return opened.signer, decode_json(opened.payload, Link, what="a link of a grant")


def follow(
    owner: OwnerId,
    grant: int,
    begun: Chain,
    envelopes: Sequence[bytes],
    barred: Callable[[PublicKey, PublicKey], bool] = lambda issuer, holder: False,
) -> Chain:
    """What a chain of links allows.

    Args:
        begun: The grant itself, with the one budget of its entry.
        envelopes: Of the links, in order.
        barred: Whether the owner revoked links of this grant by an issuer's key to a holder's.

    Raises:
        AuthorityError: Named by the rules of this module (403); ``scope-malformed``; and as `dsse.peek` does.
        FormatError: ``malformed`` also for a field that this version does not know.
    """
    if len(envelopes) > MAX_LINKS or sum(map(len, envelopes)) > MAX_CHAIN:
        raise _refused("chain-too-long", f"found a chain of {len(envelopes)} links, at most {MAX_LINKS} are taken")
    found = begun
    for envelope in envelopes:
        signer, link = _opened(envelope)
        if (link.owner, link.grant) != (owner, grant):
            raise _refused("link-foreign", "found a link of another owner's grant, or of another grant")
        if link.follows != found.budgets[-1].of:
            raise _refused("link-order", "found a link that does not follow the one before")
        if signer != found.holder:
            raise _refused("link-signer", "found a link that the holder before it did not sign")
        found = _narrowed(found, link, sha256(envelope))
        if barred(signer, link.holder):
            raise _refused("link-barred", "found a link that the owner has revoked")
    return found


def _narrowed(before: Chain, link: Link, of: Digest) -> Chain:
    said, both, last = canonical(link.scope), meet(before.scope, link.scope), before.budgets[-1]
    default = Scope()
    for field in Scope.__struct_fields__:
        own = getattr(said, field)
        if own != getattr(default, field) and not _within(field, own, getattr(both, field)):
            raise _refused("link-widens", f"found a link whose {field} allows more than the one before it")
    if (link.runs or 0) > last.runs or (link.bits or 0) > last.bits:
        raise _refused("link-widens", "found a link with more runs or bits than the one before it")
    budget = Budget(of, link.runs or last.runs, link.bits or last.bits)
    return Chain(link.holder, link.recipient, both, (*before.budgets, budget))


def _within(field: str, own: object, both: object) -> bool:
    """Whether what a link says of a field is what it comes to; to areas and reviews it may only add."""
    if isinstance(own, tuple) and isinstance(both, tuple):
        return set(own) <= set(both)
    return own == both


def _refused(rule: str, found: str) -> AuthorityError:
    return AuthorityError(rule, found, hint="ask whoever gave you the grant for a new link", status=403)
