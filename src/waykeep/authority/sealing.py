"""Sealed state: what a sleeping user cloud needs to wake, encrypted to one node's key. No I/O.

An age file to the node's recipient. age does not say who encrypted, and a node's recipient is public: so inside lies a
header signed by the state key, which binds owner, workload, measurement, node and payload. The supervisor gives the
payload only to a process of that owner, workload and measurement; the user cloud believes it only if the owner log,
read from the owner id on, names that state key.
"""

from __future__ import annotations

import msgspec

from waykeep.authority import dsse
from waykeep.authority.keys import SigningKey
from waykeep.errors import AuthorityError, FormatError
from waykeep.formats import agefile
from waykeep.formats.ids import Digest, OwnerId, PublicKey, sha256
from waykeep.formats.messages import Appraisal, Head
from waykeep.formats.wire import MIB, decode_frame, decode_json, encode_json

SEALED_TYPE = "application/vnd.waykeep.sealed-state+json"
MAX_SEALED = MIB
ROOM_FOR_HEADERS = 16384


class SealedHeader(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """For whom a sealed state is, and of when: its owner's heads as they were."""

    owner: OwnerId
    workload: str
    measurement: str
    node: str
    payload: Digest
    owner_head: Head
    journal: Head | None


class SealedState(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The payload: everything that a user cloud was handed, and its state key's 32 secret bytes."""

    state_key: bytes
    log_secrets: tuple[str, ...]
    epochs: dict[str, str]
    appraisal: Appraisal

    def __repr__(self) -> str:
        return "SealedState(...)"


class Sealed(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What lies inside age: the header's envelope and the payload."""

    header: bytes
    payload: bytes

    def __repr__(self) -> str:
        return "Sealed(...)"


def seal(
    state: SealedState,
    *,
    owner: OwnerId,
    workload: str,
    measurement: str,
    node: str,
    owner_head: Head,
    journal: Head | None,
) -> bytes:
    """The age file for one node; ``node`` is its age recipient. Raises: AuthorityError: ``sealed-too-large``."""
    payload = encode_json(state)
    if len(payload) > MAX_SEALED - ROOM_FOR_HEADERS:
        raise AuthorityError("sealed-too-large", "found more than a sealed state may hold", status=413)
    header = SealedHeader(owner, workload, measurement, node, sha256(payload), owner_head, journal)
    envelope = dsse.sign(SEALED_TYPE, encode_json(header), SigningKey(state.state_key))
    return agefile.seal(msgspec.msgpack.encode(Sealed(envelope, payload)), [node])


def open_(data: bytes, secret: str, *, owner: OwnerId, workload: str, measurement: str) -> Sealed:
    """Open a sealed state with a node's age secret key, for one process; its signer is not judged here.

    Raises:
        AuthorityError: ``sealed-node`` when it is encrypted to another node or was changed or truncated,
            ``sealed-malformed`` when its header was, ``sealed-owner``, ``sealed-measurement``.
    """
    try:
        plain = agefile.open_(data, [secret], limit=MAX_SEALED, what="a sealed state")
        found = decode_frame(plain, Sealed, limit=MAX_SEALED, what="a sealed state")
        header, _ = open_header(found)
    except FormatError as error:
        rule = "sealed-node" if error.rule == "age-not-ours" else "sealed-malformed"
        raise AuthorityError(rule, "found a sealed state that this node cannot open", status=409) from None
    if header.owner != owner or header.node != agefile.recipient_of(secret):
        raise AuthorityError("sealed-owner", "found a sealed state of another owner or node", status=403)
    if header.workload != workload or header.measurement != measurement:
        raise AuthorityError(
            "sealed-measurement",
            "found a sealed state of other code than this",
            hint="the owner's device has to unlock the user cloud, which approves the new code",
            status=403,
        )
    return found


def open_header(found: Sealed) -> tuple[SealedHeader, PublicKey]:
    """The header and the key that signed it. Raises: AuthorityError: ``sealed-malformed``."""
    try:
        opened = dsse.peek(found.header, SEALED_TYPE)
        header = decode_json(opened.payload, SealedHeader, what="a sealed state's header")
    except (AuthorityError, FormatError):
        raise AuthorityError("sealed-malformed", "found a sealed state whose header is none", status=409) from None
    if header.payload != sha256(found.payload):
        raise AuthorityError(
            "sealed-malformed", "found a sealed state whose payload does not fit its header", status=409
        )
    return header, opened.signer


def open_payload(found: Sealed) -> SealedState:
    """The payload of a sealed state whose signer was judged. Raises: AuthorityError: ``sealed-malformed``."""
    refusal = AuthorityError("sealed-malformed", "found a sealed state whose payload is none", status=409)
    try:
        state = decode_json(found.payload, SealedState, what="a sealed state")
    except FormatError:
        raise refusal from None
    if len(state.state_key) != 32 or not state.log_secrets:
        raise refusal
    return state
