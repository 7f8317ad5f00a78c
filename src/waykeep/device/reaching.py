"""Reaching one's user cloud: asking the host where it is, and connecting to nothing that does not prove to be it."""

from __future__ import annotations

import time
from collections.abc import Callable

from waykeep.attestation.evidence import USER_CLOUD
from waykeep.authority.keys import SigningKey
from waykeep.channel.client import AttestedClient
from waykeep.channel.trust import Trust
from waykeep.device.hostclient import HostClient
from waykeep.errors import ChannelError
from waykeep.formats.ids import OwnerId

TIMEOUT_S = 300.0
"""Without a snapshot that it can believe, a user cloud folds a long journal before it answers an unlock."""
PAUSES_S = (0.05, 0.2)
"""A host still names a user cloud that died some milliseconds ago; then it is asked again."""


def reach(
    host: HostClient,
    owner: OwnerId,
    trust: Trust,
    clock: Callable[[], int],
    signer: SigningKey,
    introductions: tuple[str, ...] = (),
    timeout_s: float = TIMEOUT_S,
) -> AttestedClient:
    """An appraised connection to the owner's user cloud, which the host launched or found.

    Args:
        introductions: As in `HostClient.cloud`.

    Raises:
        AttestationError: Named by the rule that refused it.
        ChannelError: ``unreachable`` where nothing listens.
    """
    for pause_s in (*PAUSES_S, None):
        try:
            return AttestedClient(
                host.cloud(introductions),
                workload=USER_CLOUD,
                binding=owner,
                trust=trust,
                clock=clock,
                signer=signer,
                timeout_s=timeout_s,
            )
        except ChannelError as error:
            if error.rule != "unreachable" or pause_s is None:
                raise
            time.sleep(pause_s)
    raise AssertionError("the last try returns or raises")
