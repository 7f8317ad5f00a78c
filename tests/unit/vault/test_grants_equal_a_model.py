"""10,000 random grants, chains and requests: what is given equals a simple model, and exceeds no link of the chain.

The model knows nothing of scopes, meets or plans. It is a list of what each party said, the grant first and the request
last, and asks of each row and each word whether all of them allow it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from tests.unit.builders import an_owner, key
from waykeep.authority import chains, plans
from waykeep.authority.areas import Area
from waykeep.authority.asking import Ask
from waykeep.authority.links import Link, narrow
from waykeep.authority.ownerstate import OwnerState
from waykeep.authority.permissions import Granted, Withheld
from waykeep.authority.scopes import HOUR_MS, Scope, canonical
from waykeep.authority.statements import OwnerEntry
from waykeep.errors import WaykeepError
from waykeep.formats import streams
from waykeep.formats.ids import sha256
from waykeep.vault.coarse import coarse

CASES = 10_000
T0 = 1_466_380_800_000
NOW = T0 + 5 * HOUR_MS + 1234
LAT, LON = 525_000_000, 134_000_000
STEPS = (1, 1000, 60_000, 300_000, 900_000, 3_600_000)
COLUMNS = {"location": ("accuracy_cm", "lat_e7", "lon_e7", "speed_cm_s", "ts_ms"), "battery": ("level_pct", "ts_ms")}
LOG = an_owner().state
HOLDERS = [key(f"holder {n}") for n in range(5)]
EVER = 10**15


@dataclass
class Said:
    """What one party said. None, 0 level, 1 step and no areas are nothing."""

    streams: dict[str, tuple[str, ...]] | None = None
    first: int | None = None
    end: int | None = None
    last: int | None = None
    areas: list[tuple[int, int, int]] = field(default_factory=list)
    level: int = 0
    step: int = 1
    begins: int | None = None
    until: int | None = None
    sizes: tuple[int, ...] | None = None
    runs: int | None = None

    def scope(self) -> Scope:
        return Scope(
            streams=self.streams,
            parameters=None if self.sizes is None else {"size": self.sizes},
            from_ms=self.first,
            to_ms=self.end,
            last_ms=self.last,
            areas=tuple(map(square, self.areas)),
            level=self.level,
            step_ms=self.step,
            not_before_ms=self.begins,
            until_ms=self.until,
        )


@dataclass
class Case:
    """``parties``: the grant, the links; ``asked`` the request. ``withheld``: times, or squares."""

    parties: list[Said]
    asked: Said
    size: int
    inputs: dict[str, tuple[str, ...]]
    withheld: list[tuple[int, int] | tuple[int, int, int]]


def square(corner: tuple[int, int, int]) -> Area:
    south, west, size = corner
    return Area(((south, west), (south, west + size), (south + size, west + size), (south + size, west)))


# -- rows --------------------------------------------------------------------------------------------------------------


def rows_of(draw: random.Random) -> dict[str, list[dict[str, int]]]:
    return {
        "location": [
            {
                "ts_ms": T0 + draw.randrange(6 * HOUR_MS),
                "lat_e7": LAT + draw.randrange(-200_000, 200_000),
                "lon_e7": LON + draw.randrange(-200_000, 200_000),
                "accuracy_cm": number,
                "speed_cm_s": number,
            }
            for number in range(30)
        ],
        "battery": [{"ts_ms": T0 + draw.randrange(6 * HOUR_MS), "level_pct": number} for number in range(20)],
    }


def table(stream: str, rows: list[dict[str, int]]) -> pa.Table:
    """In the types that the vault has them in."""
    kinds = streams.schema(stream)
    return pa.table({name: pa.array([row[name] for row in rows], kinds.field(name).type) for name in rows[0]})


WORLD = rows_of(random.Random(7))
TABLES = {stream: table(stream, rows) for stream, rows in WORLD.items()}


# -- the model ---------------------------------------------------------------------------------------------------------


def widens(before: list[Said], link: Said) -> bool:
    """Whether a link says anything that goes beyond what somebody before it said."""
    for said in before:
        columns = link.streams if said.streams is not None and link.streams is not None else {}
        if any(not set(columns[s]) <= set((said.streams or {}).get(s, ())) for s in columns):
            return True
        if link.sizes is not None and said.sizes is not None and not set(link.sizes) <= set(said.sizes):
            return True
        lower = [(link.first, said.first), (link.begins, said.begins)]
        upper = [(link.end, said.end), (link.until, said.until), (link.last, said.last), (link.runs, said.runs)]
        if any(new is not None and old is not None and new < old for new, old in lower):
            return True
        if any(new is not None and old is not None and new > old for new, old in upper):
            return True
        if (link.level and link.level < said.level) or (link.step != 1 and link.step < said.step):
            return True
    return False


def window_of(parties: list[Said]) -> tuple[int, int]:
    hour = NOW // HOUR_MS * HOUR_MS
    first = max([streams.MIN_TS_MS, *(p.first for p in parties if p.first is not None)])
    end = min([streams.MAX_TS_MS, *(p.end for p in parties if p.end is not None)])
    moving = [p.last for p in parties if p.last is not None]
    if moving:
        first, end = max(first, hour - min(moving)), min(end, hour)
    return first, end


def model(case: Case) -> dict[str, list[tuple[int, ...]]] | None:
    """The rows of each stream, sorted; None where it is refused."""
    parties, asked = case.parties, case.asked
    if any(widens(parties[:number], parties[number]) for number in range(1, len(parties))):
        return None
    if not all((p.begins or 0) <= NOW < (EVER if p.until is None else p.until) for p in parties):
        return None
    if any(p.sizes is not None and case.size not in p.sizes for p in parties):
        return None
    for stream, columns in case.inputs.items():
        for party in parties:
            if party.streams is not None and not (columns and set(columns) <= set(party.streams.get(stream, ()))):
                return None
    level, step = max(p.level for p in parties), max(p.step for p in parties)
    if (asked.level and asked.level < level) or (asked.step != 1 and asked.step < step):
        return None
    level, step = max(level, asked.level), max(step, asked.step)
    allowed = [area for party in parties for area in party.areas]
    for stream, columns in case.inputs.items():
        if stream == "battery" and (allowed or asked.areas):
            return None
        if "speed_cm_s" in columns and (level or allowed or asked.areas):
            return None
    if asked.areas and allowed and not within(asked.areas, allowed):
        return None
    first, end = window_of(parties)
    wanted = (first if asked.first is None else asked.first, end if asked.end is None else asked.end)
    if not first <= wanted[0] < wanted[1] <= end:
        return None
    times = [line for line in case.withheld if len(line) == 2]
    if any(line[0] <= wanted[0] and wanted[1] <= line[1] for line in times):
        return None
    return {
        stream: sorted(
            tuple(told(row, level, step)[column] for column in columns)
            for row in WORLD[stream]
            if passes(row, wanted, level, step, [*allowed, *asked.areas], case.withheld)
        )
        for stream, columns in case.inputs.items()
    }


def within(asked: list[tuple[int, int, int]], allowed: list[tuple[int, int, int]]) -> bool:
    """Whether the part that all asked squares have in common lies in each allowed one."""
    south, west = max(s for s, _, _ in asked), max(w for _, w, _ in asked)
    north, east = min(s + size for s, _, size in asked), min(w + size for _, w, size in asked)
    if south >= north or west >= east:
        return False
    return all(s <= south and w <= west and north <= s + n and east <= w + n for s, w, n in allowed)


def cell(row: dict[str, int], level: int) -> tuple[int, int, int, int]:
    """South, west, north, east. At this latitude a column is twice as wide as a row is high."""
    high, wide = 2**level, 2 ** (level + 1)
    south, west = row["lat_e7"] // high * high, row["lon_e7"] // wide * wide
    return south, west, south + high, west + wide


def passes(
    row: dict[str, int], window: tuple[int, int], level: int, step: int, areas: list[Any], withheld: list[Any]
) -> bool:
    begins = row["ts_ms"] // step * step
    if not window[0] <= begins <= begins + step <= window[1]:
        return False
    placed = "lat_e7" in row
    south, west, north, east = cell(row, level) if placed else (0, 0, 0, 0)
    if not all(s <= south and w <= west and north <= s + n and east <= w + n for s, w, n in areas):
        return False
    for line in withheld:
        if len(line) == 2 and begins < line[1] and begins + step > line[0]:
            return False
        if len(line) == 3 and placed:
            s, w, n = line
            if south <= s + n and s <= north and west <= w + n and w <= east:
                return False
    return True


def told(row: dict[str, int], level: int, step: int) -> dict[str, int]:
    found = row | {"ts_ms": row["ts_ms"] // step * step}
    if level and "lat_e7" in row:
        south, west, north, east = cell(row, level)
        found |= {"lat_e7": (south + north) // 2, "lon_e7": (west + east) // 2}
    return found


# -- the real thing ----------------------------------------------------------------------------------------------------


def log_with(grant: Granted, withheld: dict[int, Withheld]) -> OwnerState:
    number = len(LOG.entries) + 1
    entry = OwnerEntry(LOG.owner, number, LOG.head.digest, 0, grant)
    digest = sha256(msgspec.json.encode(grant))
    head = type(LOG.head)(number, digest)
    entries = (*LOG.entries, (LOG.authority, entry, digest))
    return msgspec.structs.replace(LOG, head=head, entries=entries, grants={number: grant}, withheld=withheld)


def real(case: Case) -> dict[str, list[tuple[int, ...]]]:
    """Raises: WaykeepError where it is refused."""
    first, *others = case.parties
    scope = canonical(msgspec.structs.replace(first.scope(), until_ms=EVER if first.until is None else first.until))
    grant = Granted(HOLDERS[0].public, "age1", None, "", "", scope, first.runs or 100, 10**12, 1000, rows=1000)
    lines = {
        number: Withheld(*line, None, "") if len(line) == 2 else Withheld(None, None, square(line), "")
        for number, line in enumerate(case.withheld, 50)
    }
    log = log_with(grant, lines)
    passed, before = list[str](), log.head.digest
    for number, said in enumerate(others):
        link = Link(log.owner, log.head.number, before, HOLDERS[number + 1].public, "age1", said.scope(), said.runs)
        passed.append(narrow(link, HOLDERS[number]).decode())
        before = sha256(passed[-1].encode())
    chain = chains.find(log, log.head.number, None, passed, HOLDERS[len(others)].public)
    chains.in_time(chain.scope, NOW)
    asked = case.asked
    ask = Ask(
        from_ms=asked.first,
        to_ms=asked.end,
        areas=tuple(map(square, asked.areas)),
        level=asked.level or None,
        step_ms=None if asked.step == 1 else asked.step,
    )
    plan = plans.plan(log, chain.scope, ask, case.inputs, {"size": case.size}, NOW)
    given = {}
    for stream, columns in plan.inputs.items():
        found = coarse(TABLES[stream], stream, columns, plan)
        given[stream] = sorted(zip(*(column.to_pylist() for column in found.columns), strict=True))
    return given


# -- random cases ------------------------------------------------------------------------------------------------------


def maybe(draw: random.Random, share: float, value: Any) -> Any:
    return value() if draw.random() < share else None


def party(draw: random.Random, before: Said | None) -> Said:
    """The grant's owner, or a holder who mostly says less than the one before."""
    fair = draw.random() < 0.93

    def columns() -> dict[str, tuple[str, ...]]:
        known = (before.streams if before and before.streams and fair else COLUMNS) or COLUMNS
        chosen = draw.sample(sorted(known), draw.randint(1, len(known)))
        return {s: tuple(sorted(c for c in known[s] if draw.random() < 0.93)) or known[s] for s in chosen}

    def after(limit: int | None, low: int, high: int) -> int:
        floor = limit if limit is not None and fair else low
        return draw.randrange(floor, max(high, floor + 1))

    def until(limit: int | None, low: int, high: int) -> int:
        roof = limit if limit is not None and fair else high
        return draw.randrange(min(low, roof - 1), roof)

    def sizes() -> tuple[int, ...]:
        known = (old.sizes if fair else None) or (1, 2, 3)
        return tuple(sorted(draw.sample(known, min(len(known), draw.randint(1, 2)))))

    old = before or Said()
    return Said(
        streams=maybe(draw, 0.35, columns) if before else columns(),
        first=maybe(draw, 0.3, lambda: after(old.first, T0, T0 + 2 * HOUR_MS)),
        end=maybe(draw, 0.3, lambda: until(old.end, T0 + 3 * HOUR_MS, T0 + 6 * HOUR_MS)),
        last=maybe(draw, 0.15, lambda: until(old.last, 2 * HOUR_MS, 6 * HOUR_MS)),
        areas=[a_square(draw)] if draw.random() < 0.25 else [],
        level=draw.randint(old.level if fair else 0, 19) if draw.random() < 0.35 else 0,
        step=draw.choice(STEPS[STEPS.index(old.step) if fair else 0 :]) if draw.random() < 0.35 else 1,
        begins=maybe(draw, 0.1, lambda: after(old.begins, NOW - 1000, NOW + 50)),
        until=maybe(draw, 0.2, lambda: until(old.until, NOW - 50, NOW + 1000)),
        sizes=maybe(draw, 0.3, sizes) if before else (1, 2, 3),
        runs=draw.randint(1, (old.runs or 100) if fair else 150),
    )


def a_square(draw: random.Random) -> tuple[int, int, int]:
    return (LAT + draw.randrange(-300_000, 50_000), LON + draw.randrange(-300_000, 50_000), draw.randrange(1, 600_000))


def a_case(draw: random.Random) -> Case:
    parties: list[Said] = []
    for _ in range(draw.randint(1, 4)):
        before = merged(parties) if parties else None
        parties.append(party(draw, before))
    known = merged(parties)
    asked = Said(
        first=maybe(draw, 0.2, lambda: draw.randrange(T0, T0 + 3 * HOUR_MS)),
        end=maybe(draw, 0.2, lambda: draw.randrange(T0 + 3 * HOUR_MS, T0 + 6 * HOUR_MS)),
        areas=[a_square(draw)] if draw.random() < 0.1 else [],
        level=draw.randint(max(known.level - 1, 0), 20) if draw.random() < 0.2 else 0,
        step=draw.choice(STEPS) if draw.random() < 0.1 else 1,
    )
    allowed = known.streams or COLUMNS
    inputs = {s: c for s, c in allowed.items() if draw.random() < 0.8 and c}
    if draw.random() < 0.6:
        inputs = {s: tuple(n for n in c if n != "speed_cm_s") or ("ts_ms",) for s, c in inputs.items()}
    if draw.random() < 0.05:
        inputs["location"] = COLUMNS["location"]
    withheld: list[Any] = []
    if draw.random() < 0.2:
        start = draw.randrange(T0, T0 + 5 * HOUR_MS)
        withheld.append((start, start + draw.randrange(1, 2 * HOUR_MS)))
    if draw.random() < 0.2:
        withheld.append(a_square(draw))
    return Case(parties, asked, draw.choice(known.sizes or (1,)), inputs, withheld)


def merged(parties: list[Said]) -> Said:
    """What is left for the next one to narrow; only for drawing likely cases."""
    found = Said(streams=dict(COLUMNS), sizes=(1, 2, 3))
    for said in parties:
        if said.streams is not None:
            found.streams = {s: c for s, c in said.streams.items() if c}
        found.sizes = said.sizes or found.sizes
        found.first = said.first if said.first is not None else found.first
        found.end = said.end if said.end is not None else found.end
        found.last = said.last if said.last is not None else found.last
        found.begins = said.begins if said.begins is not None else found.begins
        found.until = said.until if said.until is not None else found.until
        found.runs = said.runs or found.runs
        found.level, found.step = max(found.level, said.level), max(found.step, said.step)
    return found


# -- the property ------------------------------------------------------------------------------------------------------


def exceeds(said: Said, stream: str, columns: tuple[str, ...], row: tuple[int, ...]) -> bool:
    """Whether one row that was given is more than one party alone allowed."""
    if said.streams is not None and not set(columns) <= set(said.streams.get(stream, ())):
        return True
    told_of = dict(zip(columns, row, strict=True))
    if "ts_ms" in told_of:
        ts = told_of["ts_ms"]
        if ts % said.step or not (said.first or 0) <= ts < (EVER if said.end is None else said.end):
            return True
        if said.last is not None and not NOW // HOUR_MS * HOUR_MS - said.last <= ts < NOW:
            return True
    if {"lat_e7", "lon_e7"} <= told_of.keys():
        if not all(s <= told_of["lat_e7"] <= s + n and w <= told_of["lon_e7"] <= w + n for s, w, n in said.areas):
            return True
        # The middle of a cell that is at least as coarse.
        if said.level and (told_of["lat_e7"] % 2 ** (said.level - 1) or told_of["lon_e7"] % 2**said.level):
            return True
    return False


def test_what_is_given_equals_the_model_and_exceeds_no_link_of_the_chain() -> None:
    draw, kinds = random.Random(20261125), {"refused": 0, "nothing": 0, "rows": 0, "chains": 0}
    for number in range(CASES):
        case = a_case(draw)
        expected = model(case)
        try:
            given = real(case)
        except WaykeepError as error:
            assert expected is None, (number, error.rule, case)
            kinds["refused"] += 1
            continue
        assert given == expected, (number, case)
        kinds["rows" if any(given.values()) else "nothing"] += 1
        kinds["chains"] += len(case.parties) > 1
        for stream, rows in given.items():
            for said in (*case.parties, case.asked):
                assert not any(exceeds(said, stream, case.inputs[stream], row) for row in rows), (number, case)
    # Random cases that were nearly all refused would show nothing.
    assert kinds["rows"] > CASES // 5 and kinds["refused"] > CASES // 10 and kinds["chains"] > CASES // 8, kinds


def test_the_model_is_not_blind() -> None:
    """One row more, one column more or one finer place would be seen."""
    whole = Case([Said(streams=dict(COLUMNS))], Said(), 1, {"location": ("lat_e7", "lon_e7", "ts_ms")}, [])
    assert len((model(whole) or {})["location"]) == len(WORLD["location"]) == TABLES["location"].num_rows
    assert exceeds(Said(level=10), "location", ("lat_e7", "lon_e7"), (LAT + 1, LON))
    assert exceeds(Said(step=1000), "location", ("ts_ms",), (T0 + 1,))
    assert exceeds(Said(streams={}), "location", ("ts_ms",), (T0,))
    assert not exceeds(Said(), "location", ("ts_ms",), (T0,))
    assert np.unique([row["ts_ms"] for row in WORLD["location"]]).size == len(WORLD["location"])
