"""Waking a user cloud against launching one, with a short and a long history; and what a witness adds to a spend.

Side by side in one run: each round launches a user cloud of a new owner, wakes one with an empty journal, and wakes one
whose journal has 100,000 records. All three are timed from asking the host to the first appraised answer; a woken one
has by then unsealed its state, folded its owner log and taken its snapshot, and its owner's device gets a signed status
from it without unlocking it (checked, and timed apart). What a witness adds is timed at the user cloud's own code,
against a witness process on loopback.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

from benchmarks._history import long_history
from benchmarks._spending import witness_ms
from benchmarks._witness import witness_per_s
from benchmarks.launch import launch
from waykeep.attestation.evidence import USER_CLOUD
from waykeep.channel.client import AttestedClient
from waykeep.channel.trust import Trust
from waykeep.demo.stage import Stage
from waykeep.device.account import Account, now_ms
from waykeep.device.keystore import KeyFile
from waykeep.device.making import create
from waykeep.device.profile import Folder, Profile
from waykeep.device.trusting import default_policy
from waykeep.formats.messages import Status
from waykeep.formats.wire import decode_json
from waykeep.supervisor.measure import reference_values

ROUNDS = 15
RECORDS = 100_000
GOALS = {"wake_long_ratio": "at most 1.5", "witness_ms": "at most 4", "witness_per_s": "at least 2000"}
MEANINGS = {
    "wake_ms": "ask the host for a sleeping user cloud, to its first appraised answer, awake (median)",
    "launch_ms": "the same for an owner who has none yet, so that it stays locked (median)",
    "wake_ratio": "the first over the second",
    "wake_long_ms": f"wake_ms with {RECORDS:,} journal records, a segment each (median)",
    "wake_long_ratio": "wake_long_ms over wake_ms",
    "status_long_ms": "after waking: a signed status of that owner (median)",
    "read_long_ms": "after waking: the names of its segments of one day (median)",
    "witness_ms": "what a witness adds to a spend: reading it, and having a head witnessed (median)",
    "witness_per_s": "advances that one witness process signs in a second, durable, under load",
    "rounds": "of each kind, in turn, after one of each that is not counted",
}


def run() -> dict[str, float | str]:
    """The figures of ``MEANINGS``."""
    launched: list[float] = []
    short: list[float] = []
    long: list[float] = []
    statuses: list[float] = []
    reads: list[float] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        with Stage(folder) as stage:
            trust = Trust({"insecure": stage.root}, reference_values(), default_policy(shared_uid=not stage.own_uids))
            with _owner(stage, trust, folder / "short") as few, _owner(stage, trust, folder / "long") as many:
                for device in (few, many):
                    device.status()
                    device.suspend()
                long_history(stage, many, RECORDS)
                for _ in range(ROUNDS + 1):
                    launched.append(launch(stage, trust))
                    short.append(_wake(stage, few, 0)[0])
                    woken, status, read = _wake(stage, many, RECORDS)
                    long.append(woken)
                    statuses.append(status)
                    reads.append(read)
    launch_ms, wake_ms, long_ms = (statistics.median(each[1:]) for each in (launched, short, long))
    return {
        "wake_ms": round(wake_ms, 2),
        "launch_ms": round(launch_ms, 2),
        "wake_ratio": round(wake_ms / launch_ms, 3),
        "wake_long_ms": round(long_ms, 2),
        "wake_long_ratio": round(long_ms / wake_ms, 3),
        "status_long_ms": round(statistics.median(statuses[1:]), 2),
        "read_long_ms": round(statistics.median(reads[1:]), 2),
        "witness_ms": round(witness_ms(), 2),
        "witness_per_s": round(witness_per_s()),
        "rounds": ROUNDS,
    }


def _owner(stage: Stage, trust: Trust, home: Path) -> Account:
    key = KeyFile(home.with_suffix(".key"), create=True)
    create(Folder(home), lambda made: Profile(made.owner, stage.host_url, trust), key, "bench")
    return Account(Folder(home), key)


def _wake(stage: Stage, device: Account, records: int) -> tuple[float, float, float]:
    """Wake it, check that it has its whole history, and have it sleep again; ms of waking, status and read."""
    start = time.perf_counter()
    address = device.host.cloud()
    with AttestedClient(
        address,
        workload=USER_CLOUD,
        binding=device.owner,
        trust=device.profile.trust,
        clock=now_ms,
        signer=device.signer,
    ) as client:
        woken = time.perf_counter()
        status = decode_json(client.request("GET", "/v1/status"), Status, what="a status")
        said = time.perf_counter()
        if sum(line.segments for line in status.streams) != records:
            raise RuntimeError("a user cloud woke with another history than it went to sleep with")
        # A window without rows, but with its lines of the catalogue: an epoch that nobody handed over is named.
        client.request("GET", "/v1/rows?stream=location&from_ms=1500000000000&to_ms=1500086400000")
        read = time.perf_counter()
        client.request("POST", "/v1/suspend", b"{}")
    while device.owner in stage.clouds():
        time.sleep(0.002)
    return (woken - start) * 1000, (said - woken) * 1000, (read - said) * 1000
