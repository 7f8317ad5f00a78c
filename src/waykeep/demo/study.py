"""The demo's second half: a grant to somebody else, a user cloud that sleeps and wakes, and a host that rewinds it."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import pyarrow as pa

from waykeep.attestation.evidence import USER_CLOUD
from waykeep.authority.asking import Ask
from waykeep.channel.client import AttestedClient
from waykeep.demo.gather import Play
from waykeep.demo.people import Person
from waykeep.demo.refusals import attempt
from waykeep.demo.stage import Stage
from waykeep.device import granting, holder, revoking, tickets, witnesses
from waykeep.device.account import now_ms
from waykeep.device.approvals import parameters_of
from waykeep.device.connecting import suspend
from waykeep.device.granting import To, propose_grant
from waykeep.device.hostclient import HostClient
from waykeep.device.reaching import reach
from waykeep.device.scoping import Terms
from waykeep.errors import DeviceError
from waykeep.formats import streams
from waykeep.formats.bundle import Bundle
from waykeep.formats.messages import Address

ROOMS = ("owner-log", "journal", "snapshots", "sealed")
RUNS = 2
DEADLINE_MS, LOOK_MS = 2000, 300
SHARED = "filtered-location"
ENDED_S = 20.0


class Study:
    """A researcher who may have an algorithm run on a person's data, some times.

    Args:
        folder: For the researcher's key.
    """

    def __init__(self, show: Play, stage: Stage, person: Person, bundle: Bundle, folder: Path) -> None:
        self._show, self._stage, self._person, self._bundle = show, stage, person, bundle
        self._file, self._home = folder / "study.key", stage.store / "owners" / person.device.owner
        self._old = folder / "old"

    def play(self) -> None:
        """All of it, told as it happens."""
        number = self._grant()
        address = self._sleep()
        shutil.copytree(self._home, self._old)
        self._wake(number, address)
        self._rewind(number)
        self._share()

    def _grant(self) -> int:
        device, (token,) = self._person.device, self._stage.start_witness()
        watch = time.perf_counter()
        witnesses.use(device, self._stage.witness_url, witnesses.key_of(self._stage.witness_url), token)
        key, found = holder.make(self._file), self._bundle
        to = To(key.signer.public, key.recipient, RUNS, "to learn how people get about", deadline_ms=DEADLINE_MS)
        grant = propose_grant(found, found.digest, to, Terms(until="2100-01-01"), [])
        number = granting.give(device, grant)
        self._ticket = tickets.open_(granting.ticket(device, number))
        detail = (
            f"{self._person.name} lets a study have {found.manifest.name} run {RUNS} times. A witness, run by somebody "
            "other than the host, signs how far the logs have come."
        )
        self._show.step(8, "device, witness", True, "grants to a study", detail, (time.perf_counter() - watch) * 1000)
        return number

    def _sleep(self) -> Address:
        device, watch = self._person.device, time.perf_counter()
        address = device.host.cloud()
        device.suspend()
        self._until_ended()
        detail = "What it needs to wake is sealed to the key of the node that its owner approved; its process is gone."
        self._show.step(9, "user cloud", True, "sleeps", detail, (time.perf_counter() - watch) * 1000)
        return address

    def _wake(self, number: int, before: Address) -> None:
        key, device = holder.load(self._file), self._person.device
        host = HostClient(device.profile.host, device.owner, key.signer)
        watch = time.perf_counter()
        try:
            address = host.cloud()
            with AttestedClient(
                address, workload=USER_CLOUD, binding=device.owner, trust=device.profile.trust, clock=now_ms
            ):
                self._show.wake_ms = (time.perf_counter() - watch) * 1000
        finally:
            host.close()
        if not address.started or address == before:
            raise DeviceError("demo-failed", "the user cloud did not sleep")
        watch = time.perf_counter()
        rows = self._ask(number)
        took = (time.perf_counter() - watch) * 1000
        detail = (
            f"The study asks; {self._person.name}'s phone is off. Woken in {self._show.wake_ms:.0f} ms, it records the "
            f"run, has it witnessed, and only then computes: {rows} rows, for the study's key alone, at the grant's "
            f"deadline of {DEADLINE_MS // 1000} s: so nobody can tell how long it took, or whether it failed."
        )
        self._show.step(10, "user cloud, witness", True, "wakes and serves the study", detail, took)

    def _rewind(self, number: int) -> None:
        """The operator shows the store as it was before that run, and then again as it is."""
        self._put_to_sleep()
        newest = self._old.with_name("newest")
        shutil.copytree(self._home, newest)
        self._show_store(self._old)
        self._show.refused.append(
            attempt(
                "a host that rewinds a user cloud",
                "The operator ends the user cloud, puts back the store of before the study's run, and has the study "
                "ask again, to get a run that was not granted.",
                "user cloud",
                lambda: self._ask(number),
            )
        )
        self._put_to_sleep()
        self._show_store(newest)
        watch = time.perf_counter()
        rows = self._ask(number)
        took = (time.perf_counter() - watch) * 1000
        detail = f"With the records that were missing it goes on, and serves the study's second run: {rows} rows."
        self._show.step(11, "user cloud, witness", True, "survives a host that rewinds", detail, took)

    def _share(self) -> None:
        """A friend sees where somebody was, about; and one trip is nobody's business."""
        device, watch = self._person.device, time.perf_counter()
        file, (stream, columns) = self._file.with_name("friend.key"), granting.columns_of(SHARED)
        key = holder.make(file)
        to = To(key.signer.public, key.recipient, 10, "so that you know where I was", deadline_ms=LOOK_MS)
        terms = Terms(until="2100-01-01", precision="500", times="15m")
        grant = granting.propose_read(to, terms, {stream: columns}, 10_000)
        ticket = tickets.open_(granting.ticket(device, granting.give(device, grant)))

        def look() -> pa.Table:
            got = holder.use(file, ticket, device.profile.trust, now_ms, ask=Ask(), parameters={})
            return got.tables[stream]

        seen = look()
        places = len({(row["lat_e7"], row["lon_e7"]) for row in seen.to_pylist()})
        trip = revoking.trip_at(device, self._some_trip())
        revoking.revoke(device, revoking.withholding(*trip, None, "this one is mine"))
        hidden = seen.num_rows - look().num_rows
        detail = (
            f"A friend sees {seen.num_rows} rows in {places} cells of 730 m and steps of 15 minutes, no algorithm. "
            f"{self._person.name} takes one trip out of everything: {hidden} rows are gone from the next look."
        )
        took = (time.perf_counter() - watch) * 1000
        self._show.step(12, "device, user cloud", True, "shares with a friend, and withholds a trip", detail, took)

    def _some_trip(self) -> int:
        """A minute in the middle of a trip, by the results that were kept."""
        trips, _ = self._person.device.read(revoking.TRIPS, streams.MIN_TS_MS, streams.MAX_TS_MS)
        row = trips.slice(0, 1).to_pylist()[0]
        return int(row["start_ms"] + row["end_ms"]) // 2

    def _ask(self, number: int) -> int:
        device = self._person.device
        got = holder.use(
            self._file,
            self._ticket,
            device.profile.trust,
            now_ms,
            ask=Ask(),
            parameters=parameters_of(self._bundle, []),
        )
        self._show.spends += 1
        return len(got.rows)

    def _put_to_sleep(self) -> None:
        """Without unlocking it: an old one would be noticed by the device at once, which is not the point here."""
        device = self._person.device
        with reach(device.host, device.owner, device.profile.trust, now_ms, device.signer) as client:
            suspend(client, forget=False)
        self._until_ended()

    def _show_store(self, copy: Path) -> None:
        for room in ROOMS:
            for path in (self._home / room).iterdir():
                path.unlink()
            for path in (copy / room).iterdir():
                shutil.copy2(path, self._home / room / path.name)

    def _until_ended(self) -> None:
        """Until its process is gone. Raises: DeviceError: ``demo-failed``."""
        deadline = time.monotonic() + ENDED_S
        while self._person.device.owner in self._stage.clouds():
            if time.monotonic() > deadline:
                raise DeviceError("demo-failed", "the user cloud did not end")
            time.sleep(0.01)
