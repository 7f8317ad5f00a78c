"""Runs a user cloud's whole path once, in the parent that forks: a child's first use then costs 7 ms, not 150.

It also makes sure that a child imports nothing: with a uid of its own it may not even reach the interpreter's files.
The owner here is made up, their keys are forgotten at once, their store is deleted, and every thread has ended when
`warm` returns.
"""

from __future__ import annotations

import asyncio
import os
import socket
import tempfile
from pathlib import Path

import pyarrow as pa

from waykeep.attestation import insecure
from waykeep.attestation.appraisal import Policy, ReferenceValues
from waykeep.attestation.evidence import USER_CLOUD
from waykeep.authority import dsse, sealing, segment
from waykeep.authority.keys import SigningKey
from waykeep.authority.sealing import Sealed
from waykeep.authority.statements import (
    EPOCH_TYPE,
    INCEPTION_TYPE,
    OWNER_ENTRY_TYPE,
    DeviceAdded,
    EpochOpened,
    EpochStatement,
    Inception,
    NodeApproved,
    OwnerEntry,
    RecipientsNamed,
    StateKeyNamed,
    WriterAdded,
)
from waykeep.channel.client import AttestedClient
from waykeep.channel.server import AttestedServer, listen
from waykeep.channel.trust import Trust
from waykeep.errors import WaykeepError
from waykeep.formats import agefile, streams, table
from waykeep.formats.ids import OwnerId, numbered, owner_id, sha256
from waykeep.formats.messages import (
    Accept,
    Address,
    Head,
    Run,
    Suspend,
    Unlock,
)
from waykeep.formats.segment import SegmentHeader
from waykeep.formats.wire import encode_json
from waykeep.supervisor.signer import Signer
from waykeep.usercloud.cloud import Cloud
from waykeep.usercloud.computing import Computer
from waykeep.usercloud.routes import Routes
from waykeep.usercloud.runs import Runner
from waykeep.usercloud.sleeping import Bed, try_wake
from waykeep.usercloud.spends import Spender
from waykeep.usercloud.witnessing import Witnessing
from waykeep.vault.store import DirectoryStore

_TS = streams.MIN_TS_MS + 1


def warm() -> None:
    """Everything once: unlock, accept, read, status, and a run that is refused for want of a host."""
    pa.set_cpu_count(1)
    with tempfile.TemporaryDirectory() as folder:
        made = _MadeUp(DirectoryStore(Path(folder)))
        root = SigningKey(os.urandom(32))
        server = AttestedServer(_Attester(root, made.owner))
        computer = Computer("http://127.0.0.1:9", server.measurement)
        bed = Bed(made.cloud, made, made.node, server.measurement)
        spender = Spender(made.cloud, computer, Witnessing(made.cloud, lambda: 0))
        asyncio.run(_talk(server, Routes(server, made.cloud, Runner(made.cloud, computer), spender, bed), made, root))
        made.cloud = Cloud(made.owner, made.cloud.store)
        if try_wake(Bed(made.cloud, made, made.node, server.measurement), made.cloud) != "awake":
            raise AssertionError("a sealed state woke nobody")


class _Attester:
    """Signs for this process as a supervisor would, with a root that nobody trusts."""

    def __init__(self, root: SigningKey, owner: OwnerId) -> None:
        self._owner = owner
        self._signer = Signer(
            insecure.PLATFORM,
            lambda data: insecure.quote(root, "warm", data),
            os.urandom(32),
            0,
            {USER_CLOUD: "warm"},
            agefile.generate()[1],
        )

    def evidence(self, claims: bytes, sandbox: tuple[str, ...]) -> bytes:
        return self._signer.evidence(USER_CLOUD, self._owner, claims, ("warm",), sandbox)


class _MadeUp:
    """An owner with a log, an epoch and one uploaded segment."""

    def __init__(self, store: DirectoryStore) -> None:
        self.key, device, writer = (SigningKey(os.urandom(32)) for _ in range(3))
        self.device = device
        (self.log, log_recipient), (self.epoch, recipient) = agefile.generate(), agefile.generate()
        self._node, self.node = agefile.generate()
        payload = encode_json(Inception(1, self.key.public, sha256(b""), sha256(b""), sha256(b"")))
        self.owner = owner_id(payload)
        self.cloud = Cloud(self.owner, store)
        statement = dsse.sign(EPOCH_TYPE, encode_json(EpochStatement(self.owner, 1, recipient, 0)), self.key)
        entries = [dsse.sign(INCEPTION_TYPE, payload, self.key)]
        for body in (
            RecipientsNamed(log_recipient, log_recipient),
            DeviceAdded(device.public, ""),
            WriterAdded(writer.public, "", "signed"),
            EpochOpened(1, sha256(statement), recipient),
            StateKeyNamed(self.cloud.state_key.public),
            NodeApproved(self.node, ""),
        ):
            entry = OwnerEntry(self.owner, len(entries), sha256(entries[-1]), 0, body)
            entries.append(dsse.sign(OWNER_ENTRY_TYPE, encode_json(entry), self.key))
        self.head = Head(len(entries) - 1, sha256(entries[-1]))
        store.create_owner(self.owner)
        home = f"owners/{self.owner}"
        for number, envelope in enumerate(entries):
            store.put_new(f"{home}/owner-log/{numbered(number)}", agefile.seal(envelope, [log_recipient]))
        store.put_new(f"{home}/epochs/{numbered(1)}", statement)
        parquet = table.to_parquet(_points())
        header = SegmentHeader(self.owner, "recorded", "location", 1, 0, recipient, sha256(parquet), len(parquet), 2)
        store.put_new(f"{home}/segments/warm", segment.seal(header, parquet, writer))

    def unseal(self, data: bytes) -> Sealed:
        """As the supervisor does."""
        return sealing.open_(data, self._node, owner=self.owner, workload=USER_CLOUD, measurement="warm")


def _points() -> pa.Table:
    rows = {"ts_ms": [_TS, _TS + 1], "write_ms": [_TS, _TS + 1], "lat_e7": [1, 2], "lon_e7": [1, 2], "zone": ["", ""]}
    wanted = streams.schema("location")
    return pa.table({name: rows.get(name, [None, None]) for name in wanted.names}, schema=wanted)


async def _talk(server: AttestedServer, routes: Routes, made: _MadeUp, root: SigningKey) -> None:
    stop, listener = asyncio.Event(), listen("127.0.0.1")
    listener.listen(4)
    serving = asyncio.create_task(server.serve(server.app(routes.all()), listener, stop))
    try:
        await asyncio.to_thread(_ask, made, root, listener)
    finally:
        stop.set()
        await serving


def _ask(made: _MadeUp, root: SigningKey, listener: socket.socket) -> None:
    policy = Policy((insecure.PLATFORM,), 0, 0, ("warm",), {USER_CLOUD: ()})
    trust = Trust({insecure.PLATFORM: root.public}, ReferenceValues(("warm",), {USER_CLOUD: ("warm",)}), policy)
    address = Address("127.0.0.1", listener.getsockname()[1])
    with AttestedClient(
        address, workload=USER_CLOUD, binding=made.owner, trust=trust, clock=lambda: 0, signer=made.device
    ) as client:
        unlock = Unlock((made.log,), {"1": made.epoch}, made.head, trust.to_message())
        client.request("POST", "/v1/unlock", encode_json(unlock))
        client.request("POST", "/v1/segments", encode_json(Accept(("warm",))))
        client.request("GET", f"/v1/rows?stream=location&from_ms=0&to_ms={_TS + 1}")
        client.request("GET", "/v1/status")
        try:
            client.request("POST", "/v1/suspend", encode_json(Suspend()))
            run = Run("A" * 22, sha256(b""), {}, 0, 1, 0)
            client.request("POST", "/v1/runs", encode_json(run))
        except WaykeepError:
            return
    raise AssertionError("an algorithm that nobody approved was run")
