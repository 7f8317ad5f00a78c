"""Objects of owners: who may put what where, and who may read it.

Everything here is ciphertext or a public statement. Reading still needs a device's or writer's key, since sizes and
times tell a lot; epochs and key lists are what a writer needs before it has a key, so they are open.
"""

from __future__ import annotations

from anyio.to_thread import run_sync
from starlette.responses import Response

from waykeep.errors import HostError
from waykeep.formats import agefile, entries
from waykeep.formats.ids import ROOMS, OwnerId, numbered, parse_object, parse_owner_id, sha256
from waykeep.formats.messages import Listing, Stored
from waykeep.host.answers import answer, octets
from waykeep.host.directory import Directory
from waykeep.host.inbound import Inbound
from waykeep.host.ports import HostLimits, KeyList, Store

SEGMENTS = "segments"
DEVICE_ROOMS = frozenset({"owner-log", "epochs", "keys"})
"""Rooms that devices alone put to. Writers and devices put to ``segments``; the rest is the user cloud's."""
OPEN_ROOMS = frozenset({"access", "epochs"})
"""Rooms that are read without a signature."""
AGE_ROOMS = frozenset({SEGMENTS, "owner-log", "keys"})


class Objects:
    """Puts and gets below ``/v1/owners/{owner}``."""

    def __init__(self, store: Store, directory: Directory, limits: HostLimits) -> None:
        self._store, self._directory, self._limits = store, directory, limits

    async def put(self, inbound: Inbound) -> Response:
        """``PUT /v1/owners/{owner}/{room}/{name}``: create-only; a repeated put of equal bytes changes nothing."""
        owner, room = self._place(inbound)
        key = f"owners/{owner}/{parse_object(room, inbound.part('name'))}"
        if room != SEGMENTS and room not in DEVICE_ROOMS:
            raise HostError("not-yours", "found a put to a room that only the user cloud writes", status=403)
        keys = await self._directory.keys(owner)
        body = await inbound.read(self._limits.segment_bytes if room == SEGMENTS else self._limits.object_bytes)
        allowed = keys.devices if room in DEVICE_ROOMS else keys.devices + keys.writers
        self._directory.authorize(inbound, keys, allowed, body)
        if room in AGE_ROOMS:
            agefile.check_header(body)
        if room == "owner-log":
            await run_sync(self._require_next, owner, inbound.part("name"), keys)
        new = await run_sync(self._store.put_new, key, body)
        return answer(Stored(sha256(body), new), 201 if new else 200)

    async def get(self, inbound: Inbound) -> Response:
        """``GET /v1/owners/{owner}/{room}/{name}``"""
        owner, room = self._place(inbound)
        key = f"owners/{owner}/{parse_object(room, inbound.part('name'))}"
        await self._may_read(inbound, owner, room)
        return octets(await run_sync(self._store.get, key))

    async def names(self, inbound: Inbound) -> Response:
        """``GET /v1/owners/{owner}/{room}?after=``"""
        owner, room = self._place(inbound)
        after = inbound.query("after")
        if after:
            parse_object(room, after)
        await self._may_read(inbound, owner, room)
        page = self._limits.page
        names = await run_sync(self._store.names, f"owners/{owner}/{room}/", after, page + 1)
        return answer(Listing(tuple(names[:page]), more=len(names) > page))

    def _require_next(self, owner: OwnerId, name: str, keys: KeyList) -> None:
        """No number of the owner log is put before the ones below it, nor beside it but under the newest key list."""
        number, prefix = entries.number_of(name), f"owners/{owner}/owner-log/"
        if number is not None:
            below = number - 1 if name == numbered(number) else number
            lying = below < 0 or self._store.names(prefix, entries.before(below), 1) == [numbered(below)]
            if lying and name in (numbered(number), entries.beside(number, len(keys.rotations), keys.number)):
                return
        raise HostError(
            "entry-skips",
            "found the name of an owner-log entry that is not the next one, nor beside one under the newest key list",
            hint="fetch the log and the key list again",
            status=409,
        )

    def _place(self, inbound: Inbound) -> tuple[OwnerId, str]:
        owner, room = parse_owner_id(inbound.part("owner")), inbound.part("room")
        if room not in ROOMS:
            raise HostError("room-unknown", f"an owner's rooms are {', '.join(ROOMS)}", status=404)
        return owner, room

    async def _may_read(self, inbound: Inbound, owner: OwnerId, room: str) -> None:
        if room in OPEN_ROOMS:
            await self._directory.require_owner(owner)
        else:
            keys = await self._directory.keys(owner)
            self._directory.authorize(inbound, keys, keys.devices + keys.writers)
