"""Launch of a user cloud to its first appraised answer, against starting the same server as a fresh Python process.

Side by side in one run: each round launches a user cloud of a new owner through host and supervisor, then starts the
same server (``benchmarks/_fresh.py``) with ``python -I``, which imports the same modules and no others. Both are timed
until a client has appraised fresh evidence. The medians are compared, so that a machine's mood counts for both.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import _fresh
from waykeep.attestation.evidence import USER_CLOUD
from waykeep.authority.keys import SigningKey
from waykeep.channel.client import AttestedClient
from waykeep.channel.trust import Trust
from waykeep.demo.stage import Stage
from waykeep.device import owner
from waykeep.device.account import now_ms
from waykeep.device.hostclient import HostClient
from waykeep.device.trusting import default_policy
from waykeep.formats.messages import Address
from waykeep.supervisor.measure import reference_values

ROUNDS = 15
GOALS = {"launch_ratio": "at most 0.15"}
MEANINGS = {
    "launch_ms": "ask the host for a user cloud, to its first appraised answer (median)",
    "fresh_process_ms": "the same server as a fresh `python -I`, to its first appraised answer (median)",
    "launch_ratio": "the first over the second",
    "fresh_import_ms": "of the fresh process: importing its modules (median)",
    "rounds": "launches of each kind, in turn, after one of each that is not counted",
}


def run() -> dict[str, float | str]:
    """The figures of ``MEANINGS``."""
    launched, fresh, imports = [], [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o711)
        with Stage(folder) as stage:
            trust = Trust({"insecure": stage.root}, reference_values(), default_policy(shared_uid=not stage.own_uids))
            for _ in range(ROUNDS + 1):
                launched.append(launch(stage, trust))
                total, imported = _start_fresh()
                fresh.append(total)
                imports.append(imported)
    launch_ms, fresh_ms = statistics.median(launched[1:]), statistics.median(fresh[1:])
    return {
        "launch_ms": round(launch_ms, 2),
        "fresh_process_ms": round(fresh_ms, 2),
        "launch_ratio": round(launch_ms / fresh_ms, 4),
        "fresh_import_ms": round(statistics.median(imports[1:]), 2),
        "rounds": ROUNDS,
    }


def launch(stage: Stage, trust: Trust) -> float:
    """Milliseconds from asking the host for a new owner's user cloud to its first appraised answer."""
    made = owner.create("bench", now_ms(), os.urandom)
    host = HostClient(stage.host_url, made.secrets.owner, made.secrets.device_key)
    try:
        host.register(made.inception)
        host.put_key_list(1, made.key_list)
        start = time.perf_counter()
        address = host.cloud()
        with AttestedClient(address, workload=USER_CLOUD, binding=made.secrets.owner, trust=trust, clock=now_ms):
            return (time.perf_counter() - start) * 1000
    finally:
        host.close()


def _start_fresh() -> tuple[float, float]:
    """(ms to the first appraised answer, ms of imports) of a fresh process."""
    seed = os.urandom(32)
    start = time.perf_counter()
    # A path is not looked up by `-I -m`, so the file itself is run; it imports only installed modules.
    with subprocess.Popen(
        [sys.executable, "-I", str(Path(_fresh.__file__)), seed.hex()], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL
    ) as process:
        try:
            if process.stdout is None:
                raise RuntimeError("no pipe from the fresh process")
            port, imported = process.stdout.readline().split()
            with AttestedClient(
                Address("127.0.0.1", int(port)),
                workload=USER_CLOUD,
                binding=_fresh.OWNER,
                trust=_fresh.trust(SigningKey(seed).public),
                clock=now_ms,
            ):
                return (time.perf_counter() - start) * 1000, float(imported)
        finally:
            process.kill()
