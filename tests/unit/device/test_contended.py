"""Where somebody else is faster each time, a device gives up after a number of tries, by name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.between import Said, between, missing
from tests.support.people import refused
from tests.unit.channel.answering import WITNESS, Server, answering, genuine
from tests.unit.vault.segmenting import LOG, NOW_MS, OWNER, SECRETS
from waykeep.authority import ownerlog
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.statements import WitnessNamed
from waykeep.authority.witnessing import Held
from waykeep.device import keystore, owner, upkeep, witnessing
from waykeep.device.appending import OwnerLog
from waykeep.device.chain import OwnerChain
from waykeep.device.hostclient import HostClient
from waykeep.device.keyring import Keyring
from waykeep.device.keystore import KeyFile
from waykeep.device.pending import Pending
from waykeep.device.profile import Folder
from waykeep.device.upkeep import Upkeep
from waykeep.device.witnessing import OwnerWitness
from waykeep.errors import HostError, WitnessError
from waykeep.formats import problem
from waykeep.formats.ids import b64, numbered
from waykeep.formats.messages import Listing
from waykeep.formats.wire import encode_json


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


@pytest.fixture
def keys(folder: Folder) -> Keyring:
    lock = KeyFile(folder.path / "owner.key", create=True)
    keystore.save(folder.keystore, SECRETS, lock)
    return Keyring(folder, lock)


@pytest.fixture
def witness() -> Iterator[Server]:
    with answering() as found:
        yield found


def test_a_key_list_that_is_ahead_each_time(folder: Folder, keys: Keyring) -> None:
    """Its numbers go on under the device, and none of them says what the log says."""

    def rule(count: int, method: str, path: str) -> Said:
        if method == "PUT":
            return HostError("name-taken", "found other bytes", status=409)
        if path.endswith("/access"):
            return encode_json(Listing((numbered(0), numbered(2 + count)), False))
        return OWNER.inception if path.endswith(numbered(0)) else missing()

    with between("http://127.0.0.1:1") as host:
        host.rule = rule
        client = HostClient(host.url, LOG.owner, SECRETS.device_key)
        told = OwnerWitness(keys)
        log = OwnerLog(
            OwnerChain(folder, client, keys), Pending(folder, SECRETS.queue), client, keys, told, lambda: NOW_MS
        )
        with refused("key-list-contended", "device"):
            Upkeep(log, client, keys, lambda: NOW_MS).list_keys(LOG)
        client.close()
        assert host.puts("access") == upkeep.ATTEMPTS


def witnessed(url: str) -> OwnerState:
    """The log with a witness at this address."""
    named = WitnessNamed(WITNESS.public, url, SECRETS.control_key.public, b64(SECRETS.control_salt))
    return ownerlog.fold(LOG, [owner.entry_after(LOG.owner, LOG.head, NOW_MS, named, SECRETS.authority_key)])


def test_a_witness_that_is_ahead_each_time(keys: Keyring, witness: Server) -> None:
    """It never holds what it just said that it holds."""
    log = witnessed(witness.url)
    behind = Held(LOG.head, None, None, 0, ())

    def reply(path: str, body: bytes) -> tuple[int, bytes]:
        if path == "/v1/read":
            return genuine(path, body, held=behind)
        return 409, problem.encode(WitnessError("witness-head", "found another head", status=409))

    witness.reply = reply
    told = OwnerWitness(keys)
    with refused("witness-contended", "device"):
        told.follow(log)
    assert [path for path, _ in witness.asked].count("/v1/requests") == witnessing.ATTEMPTS
    # A command of the owner's goes on without it, and says so.
    assert told.tell(log) is None
    assert told.untold is not None and told.untold.rule == "witness-contended"
    told.close()
