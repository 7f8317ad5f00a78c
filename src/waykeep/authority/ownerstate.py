"""What an owner log says up to a head, and how one entry changes it. `waykeep.authority.ownerlog` has the rules."""

from __future__ import annotations

from typing import TypeVar

import msgspec

from waykeep.authority import keys, witnessing
from waykeep.authority.controls import SALT_BYTES
from waykeep.authority.statements import (
    WAIVER,
    Approved,
    AuthorityRotated,
    Body,
    DeviceAdded,
    EpochOpened,
    Granted,
    Inception,
    KeyRevoked,
    NodeApproved,
    NodeWithdrawn,
    OwnerEntry,
    RecipientsNamed,
    Resumed,
    StateKeyNamed,
    StateKeyRetired,
    Withdrawn,
    WitnessNamed,
    WitnessWaived,
    WriterAdded,
)
from waykeep.errors import AuthorityError
from waykeep.formats.ids import Digest, OwnerId, PublicKey, unb64
from waykeep.formats.messages import Head

K = TypeVar("K")
V = TypeVar("V")
MAX_NODES = 64
"""Nodes in force: a sealed state is written for each."""
Line = tuple[PublicKey, OwnerEntry, Digest]
"""Signer, entry, and digest of the envelope."""


class Named(msgspec.Struct, frozen=True):
    """A state key's life.

    Records by it quote owner heads of ``since <= number < until``. ``void``: it was named by an entry without effect,
    and so its records have none.
    """

    since: int
    until: int
    void: bool = False


FOREVER = 1 << 60


class Ended(msgspec.Struct, frozen=True):
    """Why an approval or grant is in force no longer (the name of a rule), and from which entry on."""

    rule: str
    since: int


class OwnerState(msgspec.Struct, frozen=True):
    """What the log says up to ``head``.

    Attributes:
        first: Digest of the inception's envelope.
        authority, next_authority, next_control: As the last rotation has them.
        control: Commitment to the control key that is used now.
        rotated: Number of the entry of the last rotation, 0 if there was none; ``rotations`` their envelopes, and
            ``controls`` those of the control keys that go with them.
        devices, writers, nodes, epochs, approvals, grants: What is in force. Epochs stay.
        approvers: By a node's recipient who approved it.
        wrote: Writers, also those that were revoked: what they wrote before stays.
        state_keys: Every state key that was ever named.
        ended: Approvals and grants that are in force no longer, by number.
        last_epoch: The highest epoch ever named, also without effect.
        closed_at: The journal head that the witness before held when it was closed: the journal still has it.
        resumed: Numbers of the entries that set the journal back.
        entries: All, from number 1 on, also those without effect.
        base: What was in force right after the last rotation, None if there was none.
    """

    owner: OwnerId
    inception: Inception
    head: Head
    first: Digest
    authority: PublicKey
    next_authority: Digest
    control: Digest
    next_control: Digest
    rotated: int = 0
    rotations: tuple[str, ...] = ()
    controls: tuple[str, ...] = ()
    devices: dict[PublicKey, DeviceAdded] = {}
    writers: dict[PublicKey, WriterAdded] = {}
    wrote: dict[PublicKey, WriterAdded] = {}
    known: frozenset[PublicKey] = frozenset()
    nodes: dict[str, NodeApproved] = {}
    approvers: dict[str, PublicKey] = {}
    epochs: dict[int, EpochOpened] = {}
    last_epoch: int = 0
    state_keys: dict[PublicKey, Named] = {}
    approvals: dict[int, Approved] = {}
    grants: dict[int, Granted] = {}
    ended: dict[int, Ended] = {}
    witness: WitnessNamed | None = None
    closed_at: Head | None = None
    waived: bool = False
    resumed: tuple[int, ...] = ()
    recipients: tuple[RecipientsNamed, ...] = ()
    entries: tuple[Line, ...] = ()
    base: OwnerState | None = None

    def digest_at(self, number: int) -> Digest:
        """The digest of entry ``number``, which lies between 0 and the head's."""
        return self.entries[number - 1][2] if number else self.first

    def holds(self, head: Head) -> bool:
        """Whether ``head`` is an entry of this log."""
        return head.number <= self.head.number and self.digest_at(head.number) == head.digest

    def log_recipients(self) -> tuple[str, str]:
        """Who can open logs and journal. Raises: AuthorityError: ``log-recipients`` before they are named."""
        if not self.recipients:
            raise AuthorityError(
                "log-recipients", "found an owner log that does not name its recipients yet", status=409
            )
        return self.recipients[-1].log, self.recipients[-1].recovery

    def signs_now(self, key: PublicKey) -> bool:
        """Whether records by this state key that quote the head have effect."""
        named = self.state_keys.get(key)
        return named is not None and not named.void and named.since <= self.head.number < named.until

    def pseudonym(self) -> Digest:
        """What the owner is called at the witness. Raises: AuthorityError: ``witness-missing``."""
        if self.witness is None:
            raise AuthorityError(
                "witness-missing",
                "found no witness in the owner log, so nothing may be done for others",
                hint="choose one with 'waykeep witness use', or read there what it means to do without",
                status=409,
            )
        return keys.key_digest(self.witness.control)


def after(state: OwnerState, body: Body, number: int, signer: PublicKey) -> OwnerState:
    """The state after the effect of one entry, whose place in the chain and ``signer`` were checked.

    Raises:
        AuthorityError: ``log-repeat``, ``log-epoch``, ``log-unknown``, ``log-limit``, ``log-witness``, ``log-grant``.
    """
    match body:
        case DeviceAdded():
            devices = {**state.devices, body.key: body}
            return msgspec.structs.replace(state, devices=devices, known=_new_key(state, body.key))
        case WriterAdded():
            writers = {**state.writers, body.key: body}
            wrote = {**state.wrote, body.key: body}
            return msgspec.structs.replace(state, writers=writers, wrote=wrote, known=_new_key(state, body.key))
        case KeyRevoked():
            _known(body.key in state.devices or body.key in state.writers, "key")
            left = _no_state_key(used_up(state, number), number) if body.key in state.devices else state
            return msgspec.structs.replace(
                left,
                devices=_without(state.devices, body.key),
                writers=_without(state.writers, body.key),
                # A user cloud seals all that it holds to each node: to one of a thief's also the keys to come.
                nodes={node: kept for node, kept in state.nodes.items() if state.approvers[node] != body.key},
            )
        case RecipientsNamed():
            return msgspec.structs.replace(state, recipients=(*state.recipients, body))
        case EpochOpened():
            if body.number != state.last_epoch + 1:
                raise AuthorityError(
                    "log-epoch", f"found epoch {body.number}, expected {state.last_epoch + 1}", status=409
                )
            return msgspec.structs.replace(state, epochs={**state.epochs, body.number: body}, last_epoch=body.number)
        case StateKeyNamed():
            named = {**state.state_keys, body.key: Named(number, FOREVER)}
            return msgspec.structs.replace(state, state_keys=named, known=_new_key(state, body.key))
        case StateKeyRetired():
            _known(state.state_keys.get(body.key, Named(0, 0)).until == FOREVER, "state key")
            return msgspec.structs.replace(state, state_keys=_retire(state.state_keys, number, body.key))
        case NodeApproved():
            if len(state.nodes) >= MAX_NODES and body.recipient not in state.nodes:
                raise AuthorityError("log-limit", "found more nodes than a log may hold in force", status=409)
            approvers = {**state.approvers, body.recipient: signer}
            return msgspec.structs.replace(state, nodes={**state.nodes, body.recipient: body}, approvers=approvers)
        case NodeWithdrawn():
            _known(body.recipient in state.nodes, "node")
            return msgspec.structs.replace(_no_state_key(state, number), nodes=_without(state.nodes, body.recipient))
        case WitnessNamed():
            return _witnessed(state, body, number)
        case WitnessWaived():
            if body.words != WAIVER:
                raise AuthorityError("log-witness", "found other words than an owner without a witness accepts")
            return msgspec.structs.replace(state, witness=None, waived=True)
        case Resumed():
            resumed = (*state.resumed, number)
            return msgspec.structs.replace(used_up(state, number), resumed=resumed, closed_at=None)
        case Approved():
            return msgspec.structs.replace(state, approvals={**state.approvals, number: body})
        case Granted():
            _check_grant(body)
            return msgspec.structs.replace(state, grants={**state.grants, number: body})
        case Withdrawn():
            _known(body.number in state.approvals or body.number in state.grants, "approval or grant")
            return msgspec.structs.replace(
                state,
                approvals=_without(state.approvals, body.number),
                grants=_without(state.grants, body.number),
                ended={**state.ended, body.number: Ended("grant-withdrawn", number)},
            )
        case AuthorityRotated():
            raise AssertionError("a rotation is folded by ownerlog, which knows what it makes void")


def _new_key(state: OwnerState, key: PublicKey) -> frozenset[PublicKey]:
    if key in state.known or key == state.authority:
        raise AuthorityError("log-repeat", "found a key that the log already holds", status=409)
    return state.known | {key}


def _known(found: bool, what: str) -> None:
    if not found:
        raise AuthorityError(
            "log-unknown", f"found an entry that takes back a {what} which is not in force", status=409
        )


def _without(kept: dict[K, V], key: K) -> dict[K, V]:
    return {k: v for k, v in kept.items() if k != key}


def _retire(named: dict[PublicKey, Named], number: int, *retired: PublicKey) -> dict[PublicKey, Named]:
    return {
        key: msgspec.structs.replace(life, until=number) if key in retired and life.until == FOREVER else life
        for key, life in named.items()
    }


def _no_state_key(state: OwnerState, number: int) -> OwnerState:
    """The state in which no state key signs records any more that quote entry ``number``, or a later one."""
    return msgspec.structs.replace(state, state_keys=_retire(state.state_keys, number, *state.state_keys))


def used_up(state: OwnerState, number: int) -> OwnerState:
    """The state in which nothing may be spent until it is granted anew, from entry ``number`` on."""
    ended = state.ended | dict.fromkeys(state.grants, Ended("grant-used-up", number))
    return msgspec.structs.replace(state, grants={}, ended=ended)


def _witnessed(state: OwnerState, body: WitnessNamed, number: int) -> OwnerState:
    found = keys.commitment(unb64(body.salt, SALT_BYTES), body.control)
    if found != state.control:
        raise AuthorityError(
            "log-witness", "found a witness under a control key that is not this owner's now", status=403
        )
    moved, closed_at = state, None
    if body.closed and state.witness is not None:
        closed = witnessing.open_close(body.closed.encode(), state.witness.key, state.pseudonym(), body.key)
        closed_at = closed.held.journal
    elif state.witness is not None or state.waived:
        moved = used_up(state, number)
    return msgspec.structs.replace(moved, witness=body, waived=False, closed_at=closed_at)


def _check_grant(body: Granted) -> None:
    if not (
        body.not_before_ms < body.until_ms and body.from_ms < body.to_ms and body.inputs and all(body.inputs.values())
    ):
        raise AuthorityError("log-grant", "found a grant that names no time or no columns", status=409)
