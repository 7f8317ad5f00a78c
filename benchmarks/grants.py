"""What permission costs: authorizing a request with a chain of three, and reading under a grant.

Side by side in one run, at the user cloud's own code in one process. A request comes as bytes and is authorized against
an owner log with a thousand entries: it is decoded, four signatures are verified, the meet of the scopes is taken, what
is left is counted, and the debit is made (what makes it durable and witnessed is timed by ``state``). Then the same
rows are read from the same segments, decrypted and parsed: by their owner; under a grant that rounds places to 730 m
and times to 15 minutes, cuts to an area, and leaves out a time and an area that the owner withholds; and under one that
rounds to 46 m and a minute.
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa

from waykeep.attestation.appraisal import ReferenceValues
from waykeep.authority import journalstate, ownerlog, segment, spending
from waykeep.authority.areas import Area
from waykeep.authority.asking import Ask, Spend
from waykeep.authority.keys import SigningKey
from waykeep.authority.links import Link, narrow
from waykeep.authority.permissions import Granted, Withheld
from waykeep.authority.plans import ReadPlan, own_reading, plan
from waykeep.authority.scopes import HOUR_MS, Scope, canonical
from waykeep.authority.spending import Wanted
from waykeep.authority.statements import Body, StateKeyNamed, WriterAdded
from waykeep.channel.trust import Trust
from waykeep.device import owner
from waykeep.device.trusting import default_policy
from waykeep.formats import agefile, streams, table
from waykeep.formats.ids import numbered, sha256
from waykeep.formats.messages import Head, Unlock
from waykeep.formats.segment import SegmentHeader
from waykeep.formats.wire import decode_json, encode_json
from waykeep.usercloud import reading
from waykeep.usercloud.cloud import Cloud
from waykeep.usercloud.uploads import accept
from waykeep.vault.store import DirectoryStore

REQUESTS = 500
ENTRIES = 1000
ROWS, SEGMENTS = 100_000, 10
READS = 15
FIRST_MS = 1_500_000_000_000
EVERY_MS = 30_000
PLACE = (525_000_000, 134_000_000)
FINE, COARSE = (12, 60_000), (16, 900_000)
COLUMNS = ("lat_e7", "lon_e7", "ts_ms")
GOALS = {"authorize_ms": "at most 1", "read_ratio": "at most 1.3"}
MEANINGS = {
    "authorize_ms": "a request with a chain of three links, from its bytes to the debit (median)",
    "authorize_own_ms": "the same by the grant's own holder, without a link (median)",
    "read_ms": f"{ROWS:,} rows in {SEGMENTS} segments under a grant: rounded, cut to areas, some withheld (median)",
    "read_own_ms": "the same rows and columns, for their owner (median)",
    "read_ratio": "the first over the second",
    "read_fine_ratio": "the same for a grant that rounds to 46 m and a minute",
    "rows_given": "of those rows under the grant",
}


def run() -> dict[str, float | str]:
    """The figures of ``MEANINGS``."""
    with tempfile.TemporaryDirectory(prefix="waykeep-grants-") as name:
        made = _Owner(Path(name))
        chained, own = made.requests()
        granted, fine, plain, rows = made.reads()
    return {
        "authorize_ms": chained,
        "authorize_own_ms": own,
        "read_ms": granted,
        "read_own_ms": plain,
        "read_ratio": granted / plain,
        "read_fine_ratio": fine / plain,
        "rows_given": str(rows),
    }


def _square(south: int, west: int, size: int) -> Area:
    return Area(((south, west), (south, west + size), (south + size, west + size), (south + size, west)))


class _Owner:
    """An owner with a user cloud in this process, a long owner log and many rows."""

    def __init__(self, folder: Path) -> None:
        self.store = DirectoryStore(folder)
        made = owner.create("bench", 0, os.urandom)
        self.secrets, self.writer, self.holders = made.secrets, SigningKey(os.urandom(32)), _keys(4)
        self.store.create_owner(self.secrets.owner)
        self.cloud = Cloud(self.secrets.owner, self.store)
        self.entries = list(made.entries)
        self._add(StateKeyNamed(self.cloud.state_key.public))
        self._add(WriterAdded(self.writer.public, "bench", "imported"))
        self.grant = len(self.entries)
        self._add(self._granted())
        self._add(Withheld(FIRST_MS + HOUR_MS, FIRST_MS + 3 * HOUR_MS, None, ""))
        self._add(Withheld(None, None, _square(PLACE[0], PLACE[1], 2000), ""))
        for number in range(ENTRIES - len(self.entries)):
            self._add(Withheld(number, number + 1, None, "")) if number < 8 else self._add(self._granted())
        log = ownerlog.fold(ownerlog.begin(self.secrets.owner, self.entries[0]), self.entries[1:])
        home = f"owners/{self.secrets.owner}"
        for number, entry in enumerate(self.entries):
            self.store.put_new(f"{home}/owner-log/{numbered(number)}", agefile.seal(entry, log.log_recipients()))
        self.store.put_new(f"{home}/epochs/{numbered(1)}", made.epoch)
        trust = Trust({}, ReferenceValues((), {}), default_policy())
        asked = Unlock(self.secrets.logs, self.secrets.epochs, log.head, trust.to_message())
        self.cloud.unlock(asked, self.cloud.look(asked))
        self.log = log

    def _add(self, body: Body) -> None:
        head = Head(len(self.entries) - 1, sha256(self.entries[-1]))
        key = self.secrets.authority_key
        self.entries.append(owner.entry_after(self.secrets.owner, head, 0, body, key))

    def _granted(self) -> Granted:
        scope = canonical(
            Scope(
                streams={"location": COLUMNS},
                parameters={"size": tuple(range(32))},
                areas=(_square(PLACE[0] - 400_000, PLACE[1] - 400_000, 1_000_000),),
                level=FINE[0],
                step_ms=FINE[1],
                until_ms=streams.MAX_TS_MS,
            )
        )
        holder = self.holders[0].public
        recipient = agefile.generate()[1]
        return Granted(holder, recipient, sha256(b"bundle"), "bench 1.0.0", "", scope, 100_000, 10**12, 1000)

    # -- authorizing ---------------------------------------------------------------------------------------------------

    def requests(self) -> tuple[float, float]:
        """Medians in ms, with a chain of three and without one."""
        links, before = list[str](), sha256(self.entries[self.grant])
        scopes = (
            Scope(from_ms=FIRST_MS, streams={"location": COLUMNS}),
            Scope(level=COARSE[0], areas=(_square(PLACE[0] - 300_000, PLACE[1] - 300_000, 800_000),)),
            Scope(step_ms=COARSE[1], parameters={"size": (1, 2, 3)}, until_ms=streams.MAX_TS_MS - 1),
        )
        for by, to, scope in zip(self.holders, self.holders[1:], scopes, strict=False):
            said = Link(self.secrets.owner, self.grant, before, to.public, agefile.generate()[1], scope, 1000)
            links.append(narrow(said, by).decode())
            before = sha256(links[-1].encode())
        chained, own = list[float](), list[float]()
        for number in range(REQUESTS):
            chained.append(self._authorize(number, tuple(links), self.holders[3]))
            own.append(self._authorize(number, (), self.holders[0]))
        return statistics.median(chained), statistics.median(own)

    def _authorize(self, number: int, links: tuple[str, ...], holder: SigningKey) -> float:
        ask = Ask(from_ms=FIRST_MS + HOUR_MS * 4)
        request = Spend(f"{number:022}", self.grant, sha256(b"bundle"), {"size": 1}, ask, links)
        body = encode_json(request)
        start = time.perf_counter()
        asked = decode_json(body, Spend, what="a spend request")
        wanted = Wanted({"location": COLUMNS}, asked.parameters, 100)
        spending.debit(self.log, journalstate.EMPTY, asked, holder.public, wanted, FIRST_MS, (1,))
        return (time.perf_counter() - start) * 1000

    # -- reading -------------------------------------------------------------------------------------------------------

    def reads(self) -> tuple[float, float, float, int]:
        """Medians in ms: under the grant as it was narrowed, as it was given, and without one; and the rows given."""
        self._upload()
        given = self.log.grants[self.grant].scope
        asks = {"coarse": Ask(level=COARSE[0], step_ms=COARSE[1]), "fine": Ask()}
        plans = {
            kind: plan(self.log, given, ask, {"location": COLUMNS}, {"size": 1}, FIRST_MS) for kind, ask in asks.items()
        }
        own = own_reading("location", streams.MIN_TS_MS, streams.MAX_TS_MS)
        plans["own"] = ReadPlan({"location": COLUMNS}, own.from_ms, own.to_ms)
        took: dict[str, list[float]] = {kind: [] for kind in plans}
        rows: dict[str, int] = {}
        for _ in range(READS + 1):
            for kind, wanted in plans.items():
                rows[kind] = self._read(wanted, took[kind].append)
        if rows["own"] != ROWS or not 0 < rows["coarse"] < ROWS:
            raise RuntimeError("the owner's own read is not whole, or the grant narrows nothing")
        coarse, fine, whole = (statistics.median(took[kind][1:]) for kind in ("coarse", "fine", "own"))
        return coarse, fine, whole, rows["coarse"]

    def _read(self, wanted: ReadPlan, took: Callable[[float], None]) -> int:
        start = time.perf_counter()
        found = reading.read(self.cloud, wanted)
        took((time.perf_counter() - start) * 1000)
        return int(found.tables["location"].num_rows)

    def _upload(self) -> None:
        names = []
        for number in range(SEGMENTS):
            parquet = table.to_parquet(_walk(number))
            recipient = agefile.recipient_of(self.secrets.epochs["1"])
            header = SegmentHeader(
                self.secrets.owner, "recorded", "location", 1, number, recipient, sha256(parquet), len(parquet),
                ROWS // SEGMENTS, "imported",
            )  # fmt: skip
            names.append(f"{os.urandom(16).hex()}.age")
            data = segment.seal(header, parquet, self.writer)
            self.store.put_new(f"owners/{self.secrets.owner}/segments/{names[-1]}", data)
        outcome = accept(self.cloud, tuple(names)).outcome
        if set(outcome.values()) != {"accepted"}:
            raise RuntimeError(f"segments were refused: {outcome}")


def _keys(count: int) -> list[SigningKey]:
    return [SigningKey(os.urandom(32)) for _ in range(count)]


def _walk(number: int) -> pa.Table:
    """A random walk of `ROWS` over `SEGMENTS` points: dwelling at places, and ways between them."""
    count, draw = ROWS // SEGMENTS, np.random.default_rng(number)
    times = FIRST_MS + (number * count + np.arange(count, dtype="int64")) * EVERY_MS
    moving = np.repeat(draw.integers(0, 2, count // 100 + 1), 100)[:count]
    lat, lon = (place + np.cumsum(draw.normal(0, 3000, count) * moving).astype("int64") for place in PLACE)
    nothing = pa.nulls(count, pa.int32())
    columns = {
        "ts_ms": times,
        "write_ms": times,
        "lat_e7": lat.astype("int32"),
        "lon_e7": lon.astype("int32"),
        "accuracy_cm": pa.array(np.full(count, 500, "int32")),
        "altitude_cm": nothing,
        "speed_cm_s": nothing,
        "heading_cdeg": nothing,
        "zone": ["Europe/Berlin"] * count,
    }
    return table.conform(pa.table(columns), "location")
