"""How one entry changes what an owner log says. `waykeep.authority.ownerlog` has the rules."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeVar

import msgspec

from waykeep.authority import keys, memberships, witnessing
from waykeep.authority.controls import SALT_BYTES
from waykeep.authority.ownerstate import FOREVER, Ended, Named, OwnerState
from waykeep.authority.permissions import (
    AlgorithmRevoked,
    Approved,
    BudgetSet,
    EverythingRevoked,
    Granted,
    HolderRevoked,
    Joined,
    Lifted,
    LinkRevoked,
    Permission,
    Withdrawn,
    Withheld,
)
from waykeep.authority.scopes import Scope, canonical, lifetime, observed
from waykeep.authority.statements import (
    WAIVER,
    AuthorityRotated,
    Body,
    DeviceAdded,
    EpochOpened,
    KeyRevoked,
    NodeApproved,
    NodeWithdrawn,
    RecipientsNamed,
    Resumed,
    StateKeyNamed,
    StateKeyRetired,
    WitnessNamed,
    WitnessWaived,
    WriterAdded,
)
from waykeep.errors import AuthorityError
from waykeep.formats import streams
from waykeep.formats.ids import PublicKey, unb64

K = TypeVar("K")
V = TypeVar("V")
MAX_NODES = 64
"""Nodes in force: a sealed state is written for each."""
MAX_WITHHELD = 256
"""Withholdings in force: each is looked at for each read."""


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
        case AuthorityRotated():
            raise AssertionError("a rotation is folded by ownerlog, which knows what it makes void")
        case _:
            return _permitted(state, body, number)


def _permitted(state: OwnerState, body: Permission, number: int) -> OwnerState:
    match body:
        case Approved():
            _check_scope(body.scope, body.store_as)
            return msgspec.structs.replace(state, approvals={**state.approvals, number: body})
        case Granted():
            _check_scope(body.scope, body.store_as)
            if not body.scope.streams or body.scope.until_ms is None or (body.algorithm is None) == (body.rows == 0):
                raise _malformed("data, end, or rows for a read")
            return msgspec.structs.replace(state, grants={**state.grants, number: body})
        case Joined():
            return memberships.join(state, body, number)
        case BudgetSet():
            return memberships.budget(state, body, number)
        case Withdrawn():
            in_force = {*state.approvals, *state.grants, *state.memberships}
            _known(body.number in in_force, "approval, grant or membership")
            return _end(state, {body.number}, number)
        case AlgorithmRevoked():
            given: dict[int, Approved | Granted] = {**state.approvals, **state.grants}
            using = {n for n, g in given.items() if g.algorithm == body.algorithm}
            using |= {n for n, s in state.memberships.items() if memberships.uses(s, body.algorithm)}
            return _end(state, using, number)
        case HolderRevoked():
            shunned = {**state.shunned, body.holder: (*state.shunned.get(body.holder, ()), number)}
            held = {n for n, grant in state.grants.items() if grant.holder == body.holder}
            held |= {n for n, signed in state.memberships.items() if signed.researcher == body.holder}
            return msgspec.structs.replace(_end(state, held, number), shunned=shunned)
        case EverythingRevoked():
            return _end(state, {*state.approvals, *state.grants, *state.memberships}, number)
        case LinkRevoked():
            _known(body.grant in state.grants, "link of a grant")
            link = (body.grant, body.issuer, body.holder)
            return msgspec.structs.replace(state, barred={link: number, **state.barred})
        case Withheld():
            if len(state.withheld) >= MAX_WITHHELD:
                raise AuthorityError("log-limit", "found more withholdings than a log may hold in force", status=409)
            if _is_empty(body.span):
                raise _malformed("time to withhold")
            if body.area is not None:
                canonical(Scope(areas=(body.area,)))
            return msgspec.structs.replace(state, withheld={**state.withheld, number: body})
        case Lifted():
            _known(body.number in state.withheld, "withholding")
            return msgspec.structs.replace(state, withheld=_without(state.withheld, body.number))


def _end(state: OwnerState, numbers: Collection[int], number: int) -> OwnerState:
    """The state in which approvals, grants and memberships were taken back, from entry ``number`` on."""
    return msgspec.structs.replace(
        state,
        approvals={n: kept for n, kept in state.approvals.items() if n not in numbers},
        grants={n: kept for n, kept in state.grants.items() if n not in numbers},
        memberships={n: kept for n, kept in state.memberships.items() if n not in numbers},
        ended=state.ended | dict.fromkeys(numbers, Ended("grant-withdrawn", number)),
    )


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
    ended = state.ended | dict.fromkeys((*state.grants, *state.memberships), Ended("grant-used-up", number))
    return msgspec.structs.replace(state, grants={}, memberships={}, ended=ended)


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


def _check_scope(scope: Scope, store_as: str) -> None:
    """To a read no columns are all columns; and what is kept in a recorded stream would spoil it for every read."""
    if canonical(scope) != scope or scope.streams is None or scope.parameters is None:
        raise _malformed("streams and parameters, or one that is not in its one form")
    if not all(scope.streams.values()):
        raise _malformed("columns")
    if _is_empty(observed(scope)) or _is_empty(lifetime(scope)) or scope.last_ms == 0:
        raise _malformed("time")
    if store_as and not streams.is_derived(store_as):
        raise _malformed("derived stream for its results")


def _is_empty(times: tuple[int, int]) -> bool:
    first, end = times
    return first >= end


def _malformed(what: str) -> AuthorityError:
    return AuthorityError("log-grant", f"found an entry that names no {what}", status=409)
