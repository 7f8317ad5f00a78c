"""Sleep and wake: a snapshot, what is needed to wake sealed to each node that the owner approved, and back.

A sealed state is written as soon as there are keys, so that a user cloud that was killed wakes as well as one that went
to sleep. What waking believes is checked from the owner id on: the owner log names the state key that signed the sealed
state, and logs and journal hold at least the heads that it names.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from waykeep.attestation.evidence import USER_CLOUD
from waykeep.authority import sealing
from waykeep.authority.keys import SigningKey
from waykeep.authority.sealing import Sealed, SealedHeader, SealedState
from waykeep.errors import AuthorityError, VaultError, WaykeepError
from waykeep.formats.messages import Head, Suspended, Unlock
from waykeep.formats.wire import encode_json
from waykeep.usercloud.cloud import Cloud
from waykeep.usercloud.keys import take_over
from waykeep.vault import sealed, snapshots
from waykeep.vault.objects import Reader


class Unsealer(Protocol):
    """Whoever holds the node's key: the supervisor, which opens a sealed state for the process that may have it."""

    def unseal(self, data: bytes) -> Sealed: ...


class Bed:
    """Where one user cloud sleeps.

    Args:
        node: This node's age recipient.
        measurement: This user cloud's own: other code does not get what it sealed.
    """

    def __init__(self, cloud: Cloud, unsealer: Unsealer, node: str, measurement: str) -> None:
        self._cloud, self._unsealer, self._node, self._measurement = cloud, unsealer, node, measurement
        self._handed: bytes | None = None
        self._forgotten = False
        self._head: Head | None = None

    def seal(self, *, asleep: bool = False) -> bool:
        """Seal to every node that the owner approved; whether this one is among them.

        Nothing is written where it would say the same again; ``asleep`` says that the journal's head counts as well.
        What lies there for a node that was withdrawn is deleted. Raises: VaultError: ``store-failed``.
        """
        cloud = self._cloud
        with cloud.lock:
            log, handed = cloud.log, cloud.keys.handed
            if self._forgotten or not log.signs_now(cloud.state_key.public):
                return False
            content = _content(handed, log.nodes)
            if content == self._handed and (not asleep or cloud.journal.head == self._head):
                return self._node in log.nodes
            state = SealedState(cloud.state_seed, handed.log_secrets, handed.epochs, handed.appraisal)
            for node in log.nodes:
                data = sealing.seal(
                    state,
                    owner=cloud.owner,
                    workload=USER_CLOUD,
                    measurement=self._measurement,
                    node=node,
                    owner_head=log.head,
                    journal=cloud.journal.head,
                )
                sealed.put(cloud.store, cloud.owner, node, data)
            sealed.keep_only(cloud.store, cloud.owner, log.nodes)
            self._handed, self._head = content, cloud.journal.head
            return self._node in log.nodes

    def sleep(self, *, forget: bool = False) -> Suspended:
        """Write down what waking needs; or with ``forget`` delete it, so that only the owner can start this again.

        Raises:
            UserCloudError: ``locked``. VaultError: ``store-failed``.
        """
        cloud = self._cloud
        with cloud.lock:
            if forget:
                self._forgotten = True
                sealed.keep_only(cloud.store, cloud.owner, ())
                return Suspended(cloud.journal.head, False)
            cloud.snapshot()
            return Suspended(cloud.journal.head, self.seal(asleep=True))

    def wake(self) -> bool:
        """Take over what was sealed for this node; whether there was something.

        Raises:
            AuthorityError: ``sealed-node``, ``sealed-malformed``, ``sealed-owner``, ``sealed-measurement``,
                ``sealed-foreign``, ``sealed-retired``. VaultError: ``sealed-ahead``, and as `Reader.owner_log` does.
            And as `take_over`. Nothing was taken over then.
        """
        data = sealed.newest(self._cloud.store, self._cloud.owner, self._node)
        if data is None:
            return False
        found = self._unsealer.unseal(data)
        header, signer = sealing.open_header(found)
        state = sealing.open_payload(found)
        key = SigningKey(state.state_key)
        if header.owner != self._cloud.owner or key.public != signer:
            raise AuthorityError("sealed-foreign", "found a sealed state that this owner's user cloud did not make")
        asked = Unlock(state.log_secrets, state.epochs, header.owner_head, state.appraisal)
        with self._cloud.lock:
            self._take(asked, header, key, state.state_key)
        return True

    def _take(self, asked: Unlock, header: SealedHeader, key: SigningKey, seed: bytes) -> None:
        cloud = self._cloud
        reader = Reader(cloud.store, cloud.owner, asked.log_secrets)
        log = snapshots.owner_log(reader, asked.owner_head)
        if key.public not in log.state_keys:
            raise AuthorityError(
                "sealed-foreign", "found a sealed state by a key that the owner log never named", status=403
            )
        if not log.signs_now(key.public):
            raise AuthorityError(
                "sealed-retired",
                "found a sealed state whose state key the owner has retired",
                hint="the owner's device unlocks the user cloud, which makes a new one",
                status=409,
            )
        keys = take_over(asked, log, reader, key, {})
        folded = reader.journal(snapshots.read(reader, log), log)
        if header.journal is not None and folded.digest_at(header.journal.number) != header.journal.digest:
            raise VaultError(
                "sealed-ahead",
                f"found a journal without record {header.journal.number}, which was there when this was sealed",
                hint="the host lost or withholds records, or shows an old copy",
                status=409,
            )
        cloud.wake(keys, log, folded, seed)
        self._handed, self._head = _content(keys.handed, log.nodes), header.journal


def _content(handed: Unlock, nodes: Collection[str]) -> bytes:
    """What a sealed state would say, but for heads."""
    return encode_json((handed.log_secrets, handed.epochs, handed.appraisal, tuple(nodes)))


def try_wake(bed: Bed, cloud: Cloud) -> str:
    """Wake where that is possible; the event's name for the supervisor's log. After a refusal it stays locked."""
    try:
        return "awake" if bed.wake() else "locked"
    except WaykeepError as error:
        cloud.asleep = error
        return error.rule
