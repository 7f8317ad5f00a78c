"""Every order of a few moves, breadth first: where a random search is too weak, and for what it did not find."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Sequence

from tests.model.machine import Protocol
from tests.model.world import Broken, World

Move = tuple[str, tuple[object, ...]]


def move(name: str, *arguments: object) -> Move:
    """A rule of the machine, with its arguments."""
    return name, arguments


def fork(machine: Protocol) -> Protocol:
    """An independent copy; what never changes is shared."""
    other = copy.copy(machine)
    other.world = world = _world(machine.world)
    for name in ("laptop", "phone"):
        device = copy.copy(getattr(machine, name))
        device.world = world
        setattr(other, name, device)
    other.clouds = []
    for cloud in machine.clouds:
        made = copy.copy(cloud)
        if made is not None:
            made.world, made.pending = world, copy.copy(made.pending)
        other.clouds.append(made)
    other.state_keys, other.leaked = list(machine.state_keys), list(machine.leaked)
    return other


def _world(world: World) -> World:
    other = copy.copy(world)
    for name in (
        "branches",
        "journals",
        "wire",
        "answers",
        "folded",
        "effects",
        "over",
        "barred",
        "acknowledged",
        "quoted",
    ):
        setattr(other, name, copy.copy(getattr(world, name)))
    other.witnesses = {}
    for name, witness in world.witnesses.items():
        made = copy.copy(witness)
        made.rows = dict(witness.rows)
        other.witnesses[name] = made
    return other


def print_of(machine: Protocol) -> Hashable:
    """What tells two states apart: all but nonces, and what the host has kept of the past."""
    world = machine.world
    clouds = tuple(
        cloud
        and (
            cloud.log.head,
            cloud.journal.head,
            cloud.key.public,
            cloud.pending and (cloud.pending.phase, cloud.pending.asked.request_id, cloud.pending.held),
        )
        for cloud in machine.clouds
    )
    rows = tuple((key, tuple(witness.rows.items())) for key, witness in world.witnesses.items())
    branches = tuple(branch[-1] for branch in world.branches)
    journals = tuple(records and records[-1].envelope for records in world.journals)
    marks = world.time_ms, len(machine.leaked), len(world.barred) > 0, machine.laptop.closing is None
    marks += (machine.laptop.control.public,)
    return clouds, rows, frozenset(world.effects), branches, journals, marks, machine.laptop.log.head


def explore(start: Protocol, moves: Sequence[Move], depth: int) -> tuple[int, list[Move] | None, Broken | None]:
    """States seen; and the first trace that breaks a promise, with the promise, where there is one."""
    seen = {print_of(start)}
    level: list[tuple[Protocol, list[Move]]] = [(start, [])]
    for _ in range(depth):
        following: list[tuple[Protocol, list[Move]]] = []
        for machine, trace in level:
            for name, arguments in moves:
                other = fork(machine)
                try:
                    getattr(other, name)(*arguments)
                except Broken as broken:
                    return len(seen), [*trace, (name, arguments)], broken
                mark = print_of(other)
                if mark not in seen:
                    seen.add(mark)
                    following.append((other, [*trace, (name, arguments)]))
        level = following
    return len(seen), None, None
