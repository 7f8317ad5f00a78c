"""From a digest, or what somebody proposes, to what an owner is asked to allow."""

from __future__ import annotations

import msgspec

from waykeep.authority.permissions import Approved, Granted
from waykeep.device.account import Account
from waykeep.device.approvals import propose, require
from waykeep.device.granting import To, propose_grant
from waykeep.device.hostclient import HostClient
from waykeep.device.scoping import Terms, duration_ms
from waykeep.errors import WaykeepError
from waykeep.formats import bundle as bundles
from waykeep.formats.bundle import Bundle
from waykeep.formats.ids import Digest, parse_public_key
from waykeep.formats.proposal import Proposal


def fetch(account: Account, digest: Digest, elsewhere: str = "") -> Bundle:
    """The bundle of a digest, from the owner's host, or else from another one; then the owner's host gets it as well.

    Raises: DeviceError: ``bundle-changed``; HostError: As the hosts refuse.
    """
    try:
        found = bundles.load(account.host.bundle(digest))
    except WaykeepError as error:
        if error.status != 404 or not elsewhere:
            raise
        client = HostClient(elsewhere)
        try:
            archive = client.bundle(digest)
        finally:
            client.close()
        found = bundles.load(archive)
        require(found, digest)
        account.host.put_bundle(digest, archive)
    require(found, digest)
    return found


def allowed_before(account: Account, found: Bundle) -> Digest | None:
    """The other version of an algorithm, by its name, that the owner allowed last."""
    for _, entry, _ in reversed(account.log().entries):
        body = entry.body
        named = isinstance(body, Approved | Granted) and body.name.rpartition(" ")[0] == found.manifest.name
        if isinstance(body, Approved | Granted) and named and body.algorithm not in (None, found.digest):
            return body.algorithm
    return None


def allowance(found: Bundle, asked: Proposal, typed: Terms, settings: list[str], store: str) -> Approved | Granted:
    """The approval that a proposal comes to, or the grant where it names a holder. What was typed counts more.

    Args:
        typed, settings, store: As `propose` and `propose_grant` take them; what is empty is as it was proposed.

    Raises: As `propose`, `propose_grant` and `duration_ms` do.
    """
    proposed = Terms(
        first=asked.first,
        after=asked.after,
        last=asked.last,
        until=asked.until,
        precision=asked.precision,
        times=asked.times,
    )
    own = {name: value for name, value in msgspec.structs.asdict(typed).items() if value}
    terms = msgspec.structs.replace(proposed, **own)
    settings, store = settings or list(asked.settings), store or asked.store
    if not asked.holder:
        return propose(found, asked.digest, terms, settings, store)
    deadline_ms = duration_ms(asked.deadline) if asked.deadline else None
    holder = parse_public_key(asked.holder)
    to = To(holder, asked.recipient, asked.runs or 1, asked.purpose, asked.bits, deadline_ms)
    return propose_grant(found, asked.digest, to, terms, settings, store)
