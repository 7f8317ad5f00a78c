"""Clocks that are off by an hour or a year: the witness's decides what is done for others, and no other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support import stages
from tests.support.grants import ROWS, Holder, choose, with_rows
from tests.support.people import Person, refused
from tests.support.stages import Watched
from tests.support.witness import Witness
from waykeep.authority.records import Debited, Spent
from waykeep.device.account import Account, now_ms
from waykeep.formats.ids import parse_public_key

MINUTE_MS, HOUR_MS, YEAR_MS = 60_000, 3_600_000, 365 * 86_400_000
OFF = [-YEAR_MS, -HOUR_MS, HOUR_MS, YEAR_MS]
_WITNESS = """
import secrets, sys, time
from pathlib import Path
from waykeep.witness.serve import serve
off = int(sys.argv[2])
serve(Path(sys.argv[1]), "127.0.0.1", 0, seed=secrets.token_bytes(32),
      time_ms=lambda: time.time_ns() // 1_000_000 + off,
      ready=lambda port, key: print('{"port": %d, "key": "%s"}' % (port, key), flush=True))
"""


@pytest.fixture(scope="module")
def stage() -> Iterator[Watched]:
    with stages.running() as found:
        yield found


@contextmanager
def witness_off_by(folder: Path, off_ms: int) -> Iterator[Witness]:
    """A witness whose machine's clock is wrong."""
    witness = Witness(folder / "witness")
    witness.process = subprocess.Popen(
        [sys.executable, "-I", "-c", _WITNESS, str(witness.state), str(off_ms)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8"},
    )
    try:
        assert witness.process.stdout is not None
        ready = json.loads(witness.process.stdout.readline())
        witness.url, witness.key = f"http://127.0.0.1:{ready['port']}", parse_public_key(ready["key"])
        witness.admit(1)
        yield witness
    finally:
        assert witness.stop() == 0


@pytest.mark.parametrize("off_ms", OFF)
def test_a_witness_whose_clock_is_off_does_nothing_outside_the_window(
    stage: Watched, tmp_path: Path, off_ms: int
) -> None:
    person = Person(stage, f"witness{off_ms}")
    with witness_off_by(tmp_path, off_ms) as witness, person.account() as device:
        with_rows(person, device)
        choose(device, witness)
        holder = Holder(person)
        window = {"not_before_ms": now_ms() - 10 * MINUTE_MS, "until_ms": now_ms() + 10 * MINUTE_MS}
        number = holder.granted(device, **window)
        with refused("grant-expired" if off_ms > 0 else "grant-not-yet", "authority"):
            holder.use(number)
        assert not [detail for detail in person.details() if isinstance(detail, Debited)]
        wide = holder.granted(device, not_before_ms=0, until_ms=now_ms() + 2 * YEAR_MS)
        if off_ms != HOUR_MS:
            # By that clock the node's evidence is of the future, or too old: it serves nobody.
            with refused("run-failed", "device"):
                holder.use(wide)
            failure = person.details()[-1]
            assert isinstance(failure, Spent)
            assert failure.failed == ("platform-evidence-expired" if off_ms > 0 else "platform-evidence-from-future")
            return
        found = holder.use(wide)
        assert found.rows == [{"rows": ROWS}]
        assert abs(found.receipt.time_ms - now_ms() - off_ms) < MINUTE_MS


@pytest.mark.parametrize("off_ms", [-HOUR_MS, HOUR_MS])
def test_a_device_whose_clock_is_off_by_an_hour_changes_no_window(stage: Watched, tmp_path: Path, off_ms: int) -> None:
    person = Person(stage, f"device{off_ms}")
    with (
        witness_off_by(tmp_path, 0) as witness,
        Account(person.folder, person.lock, lambda: now_ms() + off_ms) as device,
    ):
        if off_ms < 0:
            # To this device the node's evidence comes from the future.
            with refused("platform-evidence-from-future", "attestation"):
                device.connect()
            return
        with_rows(person, device)
        choose(device, witness)
        holder = Holder(person)
        number = holder.granted(device)
        assert holder.use(number).rows == [{"rows": ROWS}]
