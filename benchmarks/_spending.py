"""What a witness adds to a spend, for `benchmarks.state`: the user cloud's own steps, and a real witness."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import msgspec

from waykeep.attestation.appraisal import ReferenceValues
from waykeep.authority import ownerlog
from waykeep.authority.keys import key_digest
from waykeep.authority.records import RunDone
from waykeep.authority.statements import StateKeyNamed, WitnessNamed
from waykeep.authority.witnessing import Held, NameStateKey, Register
from waykeep.channel.trust import Trust
from waykeep.channel.witness import WitnessClient
from waykeep.device import owner
from waykeep.device.trusting import default_policy
from waykeep.formats import agefile
from waykeep.formats.ids import b64, numbered, sha256
from waykeep.formats.messages import Head, Unlock
from waykeep.usercloud.cloud import Cloud
from waykeep.usercloud.witnessing import Witnessing
from waykeep.vault.store import DirectoryStore

SPENDS = 200


def witness_ms() -> float:
    """Median of what is added: reading heads and time before a peer is appraised, and having the record witnessed."""
    with tempfile.TemporaryDirectory(prefix="waykeep-spending-") as name:
        state = Path(name) / "witness"
        verbs, more = [sys.executable, "-I", "-m", "waykeep", "witness"], ["--state", str(state), "--json"]
        with subprocess.Popen([*verbs, "serve", *more, "--port", "0"], stdout=subprocess.PIPE) as process:
            try:
                if process.stdout is None:
                    raise RuntimeError("no pipe from the witness")
                ready = msgspec.json.decode(process.stdout.readline())
                admitted = subprocess.run([*verbs, "admit", *more], stdout=subprocess.PIPE, check=True)
                token = msgspec.json.decode(admitted.stdout)["tokens"][0]
                cloud = _cloud(Path(name) / "store", ready["url"], ready["key"], token)
                return statistics.median(_spends(cloud))
            finally:
                process.terminate()


def _spends(cloud: Cloud) -> list[float]:
    witnessing, took = Witnessing(cloud, lambda: 0), []
    for number in range(SPENDS + 1):
        start = time.perf_counter()
        witnessing.stand(cloud.log)
        read = time.perf_counter()
        cloud.append(RunDone(f"run {number}", sha256(b""), "bench 1", 1, {}, {}, 0, 0, "", None))
        durable = time.perf_counter()
        witnessing.witness(cloud.log, cloud.newest())
        took.append((read - start + time.perf_counter() - durable) * 1000)
    return took[1:]


def _cloud(folder: Path, url: str, key: str, token: str) -> Cloud:
    """A user cloud over a store of its own, whose owner chose that witness."""
    folder.mkdir()
    store = DirectoryStore(folder)
    made = owner.create("bench", 0, os.urandom)
    secrets = made.secrets
    store.create_owner(secrets.owner)
    cloud = Cloud(secrets.owner, store)
    control = secrets.control_key
    entries = list(made.entries)
    for body in (
        StateKeyNamed(cloud.state_key.public),
        WitnessNamed(key, url, control.public, b64(secrets.control_salt)),
    ):
        head = Head(len(entries) - 1, sha256(entries[-1]))
        entries.append(owner.entry_after(secrets.owner, head, 0, body, secrets.authority_key))
    log = ownerlog.fold(ownerlog.begin(secrets.owner, entries[0]), entries[1:])
    for number, entry in enumerate(entries):
        store.put_new(f"owners/{secrets.owner}/owner-log/{numbered(number)}", agefile.seal(entry, log.log_recipients()))
    store.put_new(f"owners/{secrets.owner}/epochs/{numbered(1)}", made.epoch)
    with WitnessClient(url, key, key_digest(control.public)) as client:
        held = Held(log.head, None, None, 0, ())
        client.ask(Register(token, control.public, log.next_control, held), control)
        client.ask(NameStateKey(cloud.state_key.public), control)
    trust = Trust({}, ReferenceValues((), {}), default_policy())
    asked = Unlock(secrets.logs, secrets.epochs, log.head, trust.to_message())
    cloud.unlock(asked, cloud.look(asked))
    return cloud
