"""The directory of owners: inceptions, the numbered lists of keys that may write, and who signed a request.

``access/0000000000`` is an owner's inception; ``access/<n>`` the n-th key list, signed by the authority that the
inception names, or by the one after the rotations that the list holds, of which no later list may hold fewer. The
newest list counts. Both are read from the store for each request: the host keeps nothing in memory that a restart could
lose or that could go stale.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection

import msgspec
from anyio.to_thread import run_sync
from starlette.responses import Response

from waykeep.errors import FormatError, HostError, VaultError
from waykeep.formats.ids import Digest, OwnerId, PublicKey, numbered, owner_id, parse_owner_id, sha256
from waykeep.formats.messages import Doorbell, Stored
from waykeep.formats.wire import decode_json
from waykeep.host.answers import answer
from waykeep.host.inbound import Inbound
from waykeep.host.ports import Access, HostLimits, KeyList, Registered, Store

_NUMBER = re.compile(r"[0-9]{10}")


class _Envelope(msgspec.Struct):
    payload: str


class Directory:
    """Registers owners and authorizes requests."""

    def __init__(self, store: Store, access: Access, limits: HostLimits) -> None:
        self._store, self._access, self._limits = store, access, limits

    async def register(self, inbound: Inbound) -> Response:
        """``POST /v1/owners``"""
        envelope = await inbound.read(self._limits.object_bytes)
        owner = _owner_of(envelope)
        self._access.register(owner, envelope)
        new = await run_sync(self._enrol, owner, envelope)
        return answer(Registered(owner, new), 201 if new else 200)

    async def put_list(self, inbound: Inbound) -> Response:
        """``PUT /v1/owners/{owner}/access/{number}``"""
        owner = parse_owner_id(inbound.part("owner"))
        if _NUMBER.fullmatch(inbound.part("number")) is None:
            raise FormatError("object-name-malformed", "a key list is named by ten digits", status=404)
        envelope = await inbound.read(self._limits.object_bytes)
        new = await run_sync(self._append, owner, int(inbound.part("number")), envelope)
        return answer(Stored(sha256(envelope), new), 201 if new else 200)

    async def require_owner(self, owner: OwnerId) -> None:
        """Raises: HostError: ``owner-unknown`` (404)."""
        await run_sync(self._inception, owner)

    async def keys(self, owner: OwnerId) -> KeyList:
        """The newest key list.

        Raises:
            HostError: ``owner-unknown`` (404), ``key-list-missing`` (403).
        """
        return await run_sync(self._newest_list, owner)

    def authorize(
        self, inbound: Inbound, keys: KeyList, allowed: Collection[PublicKey], body: bytes = b""
    ) -> PublicKey:
        """The listed key that signed the request.

        Args:
            allowed: Those of the listed keys that may ask this.

        Raises:
            AuthorityError: with status 401, when no listed key signed it.
            HostError: ``not-yours`` (403), when a listed key signed it that may not ask this.
        """
        signer = self._access.authorize(inbound.signed(body), {*keys.devices, *keys.writers, *keys.callers, *allowed})
        if signer not in allowed:
            raise HostError("not-yours", "found the signature of a key that may not ask this", status=403)
        return signer

    def introduced(self, owner: OwnerId, keys: KeyList, rung: Doorbell) -> PublicKey:
        """The key that a doorbell's introductions lead to. Raises: AuthorityError: ``introduction-unknown`` (403)."""
        return self._access.introduced(owner, keys.callers, [said.encode() for said in rung.introductions])

    def _enrol(self, owner: OwnerId, envelope: bytes) -> bool:
        try:
            self._inception(owner)
        except HostError:
            if len(self._store.names("owners/", limit=self._limits.owners)) >= self._limits.owners:
                raise HostError(
                    "host-full",
                    f"this host keeps at most {self._limits.owners} owners",
                    hint="ask another host",
                    status=507,
                ) from None
        self._store.create_owner(owner)
        return self._store.put_new(_key(owner, 0), envelope)

    def _append(self, owner: OwnerId, number: int, envelope: bytes) -> bool:
        inception = self._inception(owner)
        newest = self._newest(owner)
        if number > newest + 1:
            raise HostError(
                "key-list-skips",
                f"found key list {number}, expected {newest + 1}",
                hint="put the ones before it",
                status=409,
            )
        if number == newest + 1:
            rotations = len(self._list(owner, inception, newest).rotations) if newest else 0
            listed = self._access.key_list(owner, inception, envelope, number, rotations)
            for study in listed.studies:
                self._take_part(owner, study)
        # A number that is taken reaches the store as well: equal bytes are a repeated put, others are refused there.
        return self._store.put_new(_key(owner, number), envelope)

    def _take_part(self, owner: OwnerId, study: Digest) -> None:
        """Put an owner where a study's members are looked for; before the list, which alone is believed."""
        name = study.removeprefix("sha256:")
        try:
            self._store.get(f"studies/{name}")
        except VaultError as error:
            if error.status != 404:
                raise
            raise HostError(
                "study-unknown", "found a study that this host does not keep", hint="publish it here first", status=404
            ) from None
        self._store.put_new(f"members/{name}/{owner}", b"")

    def _inception(self, owner: OwnerId) -> bytes:
        try:
            return self._store.get(_key(owner, 0))
        except VaultError as error:
            if error.status != 404:
                raise
            raise HostError(
                "owner-unknown", "this host knows no such owner", hint="register with 'waykeep init'", status=404
            ) from None

    def _newest(self, owner: OwnerId) -> int:
        newest = numbered(0)
        while names := self._store.names(f"owners/{owner}/access/", newest):
            newest = names[-1]
        return int(newest)

    def _newest_list(self, owner: OwnerId) -> KeyList:
        inception = self._inception(owner)
        number = self._newest(owner)
        if number == 0:
            raise HostError(
                "key-list-missing", "this owner has no key list yet", hint="put access/0000000001", status=403
            )
        return self._list(owner, inception, number)

    def _list(self, owner: OwnerId, inception: bytes, number: int) -> KeyList:
        return self._access.key_list(owner, inception, self._store.get(_key(owner, number)), number)


def _key(owner: OwnerId, number: int) -> str:
    return f"owners/{owner}/access/{numbered(number)}"


def _owner_of(envelope: bytes) -> OwnerId:
    """The owner id that an inception's envelope would have; whether it is an inception, `Access.register` says."""
    payload = decode_json(envelope, _Envelope, what="a signed statement").payload
    try:
        return owner_id(base64.b64decode(payload, validate=True))
    except (ValueError, binascii.Error):
        raise FormatError("malformed", "found a signed statement whose payload is not base64") from None
