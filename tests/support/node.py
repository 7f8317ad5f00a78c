"""The supervisor's socket, asked by hand: as a hostile host does."""

from __future__ import annotations

import asyncio
from pathlib import Path

from waykeep.formats.frames import Clouds, Launched
from waykeep.formats.ids import Digest, OwnerId
from waykeep.formats.messages import Address
from waykeep.host.supervisor import Supervisor


def launch_cloud(socket: Path, owner: OwnerId, host_url: str) -> Address:
    """Start an owner's user cloud, which will ask this host for bundles and services."""
    return _address(asyncio.run(Supervisor(socket).launch_cloud(owner, host_url)))


def launch_algorithm(socket: Path, digest: Digest, archive: bytes) -> Address:
    """Start a service for one run, at once, however many there are."""
    return _address(asyncio.run(Supervisor(socket).launch_algorithm(digest, archive, most=64, wait_s=0.0)))


def running(socket: Path) -> Clouds:
    return asyncio.run(Supervisor(socket).clouds())


def _address(launched: Launched) -> Address:
    return Address(launched.host, launched.port, launched.started)
