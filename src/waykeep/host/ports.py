"""What the host needs from outside itself, and its bounds. The command line passes the real ones in."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from waykeep.formats.ids import Digest, OwnerId, PublicKey
from waykeep.formats.segment import MAX_SEGMENT
from waykeep.formats.wire import MIB


@dataclass(frozen=True)
class HostLimits:
    """What one host takes, so that strangers cannot fill it.

    Attributes:
        segment_bytes: The largest object in ``segments/``, in bytes.
        object_bytes: The largest object in any other room, and the largest bundle, in bytes.
        pending_bytes: All bodies that are being received at one moment, in bytes.
        owners: The most owners.
        bundles: The most algorithm bundles.
        studies: The most studies.
        algorithms: The most algorithm services that run at once.
        rings: So many user clouds answer a study at once.
        page: The most names in one listing.
        body_idle_s: The longest silence inside a body, in seconds.
        body_total_s: The longest time that one body may take, in seconds.
        queue_s: The longest wait for room for an algorithm service, in seconds.
    """

    segment_bytes: int = MAX_SEGMENT
    object_bytes: int = MIB
    pending_bytes: int = 256 * MIB
    owners: int = 20_000
    bundles: int = 1000
    studies: int = 1000
    algorithms: int = 8
    rings: int = 64
    page: int = 1000
    body_idle_s: float = 20.0
    body_total_s: float = 600.0
    queue_s: float = 30.0


@dataclass(frozen=True)
class SignedRequest:
    """An HTTP request as RFC 9421 sees it: ``url`` absolute, header names lower case, repeated ones joined."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""


class KeyList(Protocol):
    """Who may do what for an owner at this host, as the owner's authority signed it."""

    @property
    def number(self) -> int: ...

    @property
    def devices(self) -> tuple[PublicKey, ...]: ...

    @property
    def writers(self) -> tuple[PublicKey, ...]: ...

    @property
    def callers(self) -> tuple[PublicKey, ...]:
        """Keys that may have the user cloud started, and nothing else."""

    @property
    def studies(self) -> tuple[Digest, ...]:
        """Whose queries may have the user cloud started."""

    @property
    def rotations(self) -> tuple[str, ...]: ...


class Access(Protocol):
    """Checks of public statements. All are pure, and raise a typed refusal."""

    def register(self, owner: OwnerId, inception: bytes) -> None:
        """Raises: AuthorityError unless the envelope is the inception of that owner id."""

    def key_list(self, owner: OwnerId, inception: bytes, envelope: bytes, number: int, rotations: int = 0) -> KeyList:
        """The key list in an envelope, which holds at least as many rotations of the authority as the one before.

        Raises: AuthorityError for another or a replaced authority, another owner or number.
        """

    def introduced(self, owner: OwnerId, callers: Collection[PublicKey], envelopes: Sequence[bytes]) -> PublicKey:
        """The key that a chain of introductions leads to from one of ``callers``. Raises: AuthorityError."""

    def study(self, envelope: bytes) -> PublicKey:
        """The researcher of a study. Raises: AuthorityError unless the envelope is one of a study."""

    def authorize(self, request: SignedRequest, keys: Collection[str]) -> PublicKey:
        """The key of ``keys`` that signed the request. Raises: AuthorityError with status 401."""


class Store(Protocol):
    """Objects by key. Every call blocks.

    ``owners/<owner id>/<room>/<name>``; ``bundles``, ``studies`` and ``stopped``, each with ``<64 hex digits>``; and
    ``members/<64 hex digits of a study>/<owner id>``.
    """

    def put_new(self, key: str, data: bytes) -> bool:
        """Create an object; durable when it returns. False when the same bytes lie there already.

        Raises:
            VaultError: ``name-taken`` (409) when other bytes lie there.
        """

    def get(self, key: str) -> bytes:
        """Raises: VaultError: ``object-missing`` (404)."""

    def names(self, prefix: str, after: str = "", limit: int = 1000) -> list[str]:
        """The names directly under ``prefix`` that come after ``after``, in ascending order."""

    def create_owner(self, owner: str) -> None:
        """Make the folders of an owner, if they are not there."""

    def create_members(self, study: str) -> None:
        """Make the folder of a study's members, if it is not there."""


class Registered(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An owner that this host knows; ``new`` is false when it did before."""

    owner: OwnerId
    new: bool


class Health(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``ok``, or the answer is a problem document."""

    status: str
