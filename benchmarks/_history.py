"""A long history for `benchmarks.state`: records, snapshots and a sealed state, as a user cloud writes them."""

from __future__ import annotations

import os

from waykeep.attestation.evidence import USER_CLOUD
from waykeep.authority import journalstate, sealing
from waykeep.authority.keys import SigningKey
from waykeep.authority.records import SegmentEntry, SegmentsAccepted
from waykeep.authority.sealing import SealedState
from waykeep.authority.statements import StateKeyNamed
from waykeep.demo.stage import Stage
from waykeep.device.account import Account
from waykeep.formats.ids import sha256
from waykeep.formats.streams import MIN_TS_MS
from waykeep.supervisor.measure import measure
from waykeep.vault import sealed, snapshots
from waykeep.vault.objects import Journal, Reader
from waykeep.vault.store import DirectoryStore

FIRST_MS = 1_500_000_000_000
EVERY_MS = 60_000
SNAPSHOT_EVERY = 1024


class _Unsynced(DirectoryStore):
    """Made once for a measurement that only reads: nothing of it has to outlive the machine."""

    def put_new(self, key: str, data: bytes) -> bool:
        (self._root / key).write_bytes(data)
        return True


def long_history(stage: Stage, device: Account, records: int) -> None:
    """Give a sleeping owner a journal of so many records under a state key made here, which the device names."""
    seed, secrets = os.urandom(32), device.keys.secrets
    key, store = SigningKey(seed), _Unsynced(stage.store)
    device.owner_log.append(StateKeyNamed(key.public))
    log = device.log()
    reader = Reader(store, device.owner, secrets.logs)
    state = reader.journal(journalstate.EMPTY, log)
    if state.head is not None or FIRST_MS < MIN_TS_MS:
        raise RuntimeError("an owner for a long history has none yet")
    written = Journal(store, device.owner, key, os.urandom)
    writer = next(iter(log.writers))
    for number in range(records):
        first = FIRST_MS + EVERY_MS * number
        # Of an epoch whose key is not at hand: there are no segments behind these lines, and none is opened.
        line = SegmentEntry(
            f"{os.urandom(16).hex()}.age", "location", "recorded", 2, writer, sha256(b"%d" % number), "imported",
            50, 50, first, first + EVERY_MS - 1, (473_700_000, 85_400_000, 473_800_000, 85_500_000),
        )  # fmt: skip
        state = written.append(state, log, SegmentsAccepted((line,)))
        if len(state.digests) >= SNAPSHOT_EVERY:
            state = snapshots.write(reader, log, state, key)
    state = snapshots.write(reader, log, state, key)
    for node in log.nodes:
        data = sealing.seal(
            SealedState(seed, secrets.logs, secrets.epochs, device.profile.trust.to_message()),
            owner=device.owner,
            workload=USER_CLOUD,
            measurement=measure(USER_CLOUD),
            node=node,
            owner_head=log.head,
            journal=state.head,
        )
        sealed.put(store, device.owner, node, data)
